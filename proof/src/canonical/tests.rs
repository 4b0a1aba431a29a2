#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may")]
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
        seen += 1;
    }
    assert_eq!(seen, 6, "every vector was run");
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
