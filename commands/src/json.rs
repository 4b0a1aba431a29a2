//! JSON of a caller, with errors that name the field.

use serde::de::DeserializeOwned;

/// Reads JSON that a caller sent. The error names the field by its path (`usage.input_tokens`), in
/// words that may be shown to the caller.
///
/// # Errors
/// A sentence that says what does not fit, and where.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    // The path costs time, so only what failed is read again for it.
    serde_json::from_slice(json).map_err(|plain| {
        let mut again = serde_json::Deserializer::from_slice(json);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Ok(_) => plain.to_string(),
            Err(e) if e.path().iter().next().is_none() => e.inner().to_string(),
            Err(e) => format!("`{}`: {}", e.path(), e.inner()),
        }
    })
}
