#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "tests may"
)]
use super::*;

fn refused(json: &str) -> String {
    gate(json.as_bytes()).expect_err(json).to_string()
}

#[test]
fn the_rfc_8785_vectors_come_out_byte_for_byte() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/rfc8785-jcs");
    let mut seen = 0;
    for entry in std::fs::read_dir(format!("{dir}/input")).unwrap() {
        let input = entry.unwrap().path();
        let name = input.file_name().unwrap().to_str().unwrap().to_owned();
        let value: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&input).unwrap()).unwrap();
        let expected = std::fs::read(format!("{dir}/output/{name}")).unwrap();
        assert_eq!(
            String::from_utf8(to_bytes(&value).unwrap()).unwrap(),
            String::from_utf8(expected).unwrap(),
            "{name}"
        );
        assert_eq!(value_to_bytes(&value), to_bytes(&value).unwrap(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 6, "every vector was run");
}

/// Numbers in an order that looks like none, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 16] = [
            'a',
            'b',
            'Z',
            '"',
            '\\',
            '/',
            '\n',
            '\u{1}',
            '\u{7f}',
            'é',
            '€',
            '\u{e000}',
            '\u{ffff}',
            '\u{10000}',
            '\u{1f600}',
            ' ',
        ];
        (0..self.below(5)).map(|_| CHARS[self.below(16) as usize]).collect()
    }

    fn number(&mut self) -> Value {
        match self.below(7) {
            0 => Value::from(self.below(1_000)),
            1 => Value::from(-(self.below(1 << 30) as i64)),
            2 => Value::from(u64::MAX - self.below(5)),
            3 => Value::from(i64::MIN + self.below(5) as i64),
            4 => Value::from((1_u64 << 53) - 3 + self.below(6)),
            5 => Value::from(f64::from_bits(self.below(1 << 30) << 33 | self.below(1 << 30))),
            _ => Value::from(self.below(1_000) as f64 / 8.0 - 3.0),
        }
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => Value::Null,
            1 => Value::from(self.below(2) == 1),
            2 => self.number(),
            3 => Value::from(self.text()),
            4 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(6)).map(|_| (self.text(), self.value(depth - 1))).collect(),
        }
    }
}

#[test]
fn a_value_has_the_bytes_that_the_library_gives() {
    let mut numbers = Numbers(7);
    for _ in 0..20_000 {
        let value = numbers.value(4);
        let (ours, theirs) = (value_to_bytes(&value), to_bytes(&value).unwrap());
        assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    assert!(refused(r#"{"a":1,"b":{"c":1,"c":2}}"#).contains("`c` stands twice"));
    assert!(
        refused("{\"a\":1,\"\\u0061\":2}").contains("`a` stands twice"),
        "escapes do not hide it"
    );
}

#[test]
fn an_integer_literal_that_a_double_cannot_hold_is_refused() {
    gate(b"[9007199254740991,-9007199254740991,0,-0]").unwrap();
    for n in ["9007199254740992", "-9007199254740992", "100000000000000000000000"] {
        assert!(refused(&format!(r#"{{"a":{n}}}"#)).contains(n));
    }
    gate(br#"{"a":"9007199254740992","b":1e30,"c":12345678901234567890.5}"#).unwrap();
    gate(br#"{"escaped \" 9007199254740992":"\\"}"#).unwrap();
}

#[test]
fn nesting_is_accepted_to_the_limit_and_not_beyond() {
    let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    gate(nested(DEPTH_MAX).as_bytes()).unwrap();
    assert!(refused(&nested(DEPTH_MAX + 1)).contains("deeper than 64"));
    assert!(refused(&nested(100_000)).contains("deeper than 64"), "and never overflows the stack");
}

#[test]
fn lone_surrogates_reserved_keys_and_trailing_text_are_refused() {
    for alone in [r"\ud800", r"\uD8FFx", r"\udc00", r"\ud800\n", r"\ud800\u0041", r"\ud800\ud800"] {
        let why = refused(&format!(r#"{{"a":"{alone}"}}"#));
        assert!(why.contains("surrogate"), "{alone}: {why}");
    }
    assert!(!refused(r#"{"a":"\u00e"}"#).contains("surrogate"));
    assert!(refused(r#"{"$sealed":0}"#).contains("reserved"));
    assert!(refused(r#"{"a":[{"$sealedX":0}]}"#).contains("reserved"));
    assert!(refused("{} {}").contains("trailing"));
    assert!(!refused("{\"a\":").is_empty());
    gate("{\"a\":\"\u{1F600}\"}".as_bytes()).unwrap();
}
