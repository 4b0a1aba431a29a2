//! Canonical bytes (RFC 8785, JCS) and the I-JSON gate (RFC 7493, made stricter).
//!
//! The gate refuses what two honest readers could read differently: duplicate keys, integer
//! literals that a double can't hold, lone surrogates. It also refuses `$sealed` keys, which only
//! the sealer may write, and anything too deep to be walked safely. The canonicaliser itself has
//! no such limits: it is checked against the RFC's own vectors.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::{Number, Value};

/// Deepest nesting of arrays and objects that is accepted.
pub const DEPTH_MAX: usize = 64;
/// Largest integer literal that is accepted: 2^53 − 1, the last one a double holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Keys that begin with this are written by the sealer alone.
pub const SEALED_PREFIX: &str = "$sealed";

/// Why the gate refused a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Not JSON, a duplicate key, too deep, a lone surrogate or a reserved key.
    #[error("{0}")]
    Malformed(String),
    /// An integer literal that would lose digits in a double.
    #[error("the integer {literal} at byte {at} is beyond ±(2^53−1); send it as a string")]
    IntegerTooLarge {
        /// The literal as it was written.
        literal: String,
        /// Offset of its first byte.
        at: usize,
    },
}

/// The RFC 8785 bytes of any value that serialises to JSON.
///
/// # Errors
/// When the value can't be JSON (a map key that is no string, NaN, infinity), or when its own
/// `Serialize` refuses, as an unsealed personal field does.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// The same bytes of a JSON value. It sorts the keys of each object in place of every key with its
/// value, which is what most of the time goes to in [`to_bytes`].
#[must_use]
pub fn value_to_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write_value(&mut bytes, value);
    bytes
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(n) => write_number(out, n),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by(|(a, _), (b, _)| in_utf16(a, b));
            out.push(b'{');
            for (i, (key, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_text(out, key);
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
    }
}

/// The order of keys: by their UTF-16 code units (RFC 8785, section 3.2.3).
fn in_utf16(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Neither a text nor a vector refuses.
    let _ = serde_json::to_writer(out, text);
}

fn write_number(out: &mut Vec<u8>, n: &Number) {
    let small = |n: &i64| n.unsigned_abs() <= INTEGER_MAX;
    match n.as_i64().filter(small) {
        Some(n) => out.extend(n.to_string().as_bytes()),
        // As ECMAScript writes it.
        None => out.extend(serde_json_canonicalizer::to_vec(n).unwrap_or_default()),
    }
}

/// Checks a JSON text against the gate's rules, or says what is wrong with it and where.
///
/// # Errors
/// [`GateError`], with line and column or the byte's offset.
pub fn gate(json: &[u8]) -> Result<(), GateError> {
    let mut de = serde_json::Deserializer::from_slice(json);
    Gate { depth: 0 }
        .deserialize(&mut de)
        .and_then(|()| de.end())
        .map_err(|e| explain(json, &e))?;
    check_integers(json)
}

/// Names a lone surrogate in the error, which serde_json reports as a wrong hex escape.
fn explain(json: &[u8], e: &serde_json::Error) -> GateError {
    let line = json.split(|b| *b == b'\n').nth(e.line().saturating_sub(1)).unwrap_or_default();
    let read = line.get(..e.column().min(line.len())).unwrap_or_default();
    let escape = read.windows(2).rposition(|two| two == br"\u").and_then(|at| read.get(at + 2..));
    // An escaped surrogate is `\uD800` to `\uDFFF`; one with a partner is no error.
    let surrogate =
        matches!(escape, Some([b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]));
    let at_escape = surrogate && escape.is_some_and(|escape| escape.len() <= 6);
    GateError::Malformed(if at_escape { format!("a lone surrogate: {e}") } else { e.to_string() })
}

/// Refuses integer literals beyond [`INTEGER_MAX`], in a text that is known to be JSON.
fn check_integers(json: &[u8]) -> Result<(), GateError> {
    let mut i = 0;
    while let Some(&b) = json.get(i) {
        match b {
            b'"' => {
                i += 1;
                while let Some(&c) = json.get(i) {
                    match c {
                        b'\\' => i += 2,
                        b'"' => break,
                        0..=255 => i += 1,
                    }
                }
                i += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = json.get(i..).unwrap_or_default();
                let end = rest
                    .iter()
                    .position(|c| !matches!(c, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .unwrap_or(rest.len());
                let literal = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
                let digits = literal.trim_start_matches('-');
                let whole = digits.bytes().all(|c| c.is_ascii_digit());
                if whole && digits.parse::<u64>().map_or(true, |n| n > INTEGER_MAX) {
                    return Err(GateError::IntegerTooLarge {
                        literal: literal.into_owned(),
                        at: i,
                    });
                }
                i += end;
            }
            0..=255 => i += 1,
        }
    }
    Ok(())
}

/// Visits a JSON value to check its nesting and its keys.
struct Gate {
    depth: usize,
}

impl Gate {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Gate {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Gate {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.starts_with(SEALED_PREFIX) {
                return Err(A::Error::custom(format!(
                    "the key `{key}` is reserved for sealed fields"
                )));
            }
            map.next_value_seed(self.deeper()?)?;
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!(
                    "the key `{key}` stands twice in one object"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
