//! API keys: 256 random bits, shown once; only their SHA-256 is kept.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use domain::values::Digest;
use event_log::Entropy;
use sha2::{Digest as _, Sha256};

use crate::app::AppError;

/// An API key in the clear; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Generates a new key.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(format!("mb_{}", Digest(bytes)))
    }

    /// Makes a key from its text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The SHA-256 of the key, which is all that is stored of it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The text of the key: for the one time that it is shown, and for requests.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Reads a key from its file.
///
/// # Errors
/// When the file can't be read.
pub(crate) fn read(file: &Path) -> Result<Secret, AppError> {
    let text = std::fs::read_to_string(file).map_err(|e| AppError::caused(file.display(), e))?;
    Ok(Secret::from_text(&text))
}

/// Writes a key into a new file that only its owner can read.
///
/// # Errors
/// If the file exists already, or can't be written.
pub(crate) fn write(file: &Path, secret: &Secret) -> Result<(), AppError> {
    let failed = |e: std::io::Error| {
        AppError::caused(
            format!(
                "the key can't be written to {}; name a file that is not there yet",
                file.display()
            ),
            e,
        )
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file).map_err(failed)?;
    writeln!(opened, "{}", secret.reveal()).and_then(|()| opened.sync_all()).map_err(failed)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}
