//! The cause of an error: kept whole where it happens, printed once where a person reads it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What led to an error: another error, or a sentence. An error type that must be `Clone` holds it
/// as its `#[source]`, and does not print it inside its own text; [`chain`] prints both.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

/// A sentence, and the error that is its reason.
#[derive(Debug)]
struct Sentence {
    text: String,
    reason: Box<dyn Error + Send + Sync>,
}

impl Cause {
    /// The error itself is the cause; a sentence (`&str`, `String`) is one too.
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// A sentence that says what was being done (a file's path, "the schema could not be made"),
    /// and the error that stopped it.
    pub fn new(text: impl fmt::Display, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(Sentence { text: text.to_string(), reason: reason.into() })
    }

    /// The error itself, to ask for its type.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + 'static) {
        self.0.as_ref()
    }
}

/// Clones of one cause are equal; two errors that only say the same are not.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Sentence {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.reason.as_ref())
    }
}

/// An error with all its causes on one line, the nearest first: `could not be read: disk full`.
#[must_use]
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> Chain<'a> {
    Chain(error)
}

/// An error that prints itself with all its causes on one line; made by [`chain`].
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some libraries print their cause themselves: it is not said twice.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        f.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, chain};

    #[derive(Debug, Clone, thiserror::Error)]
    #[error("the log could not be read")]
    struct Unreadable(#[source] Cause);

    #[test]
    fn a_chain_says_every_cause_once() {
        let full = std::io::Error::other("disk full");
        let error = Unreadable(Cause::new("log.db", full));
        assert_eq!(error.to_string(), "the log could not be read");
        assert_eq!(chain(&error).to_string(), "the log could not be read: log.db: disk full");
        assert_eq!(
            chain(&error.clone()).to_string(),
            "the log could not be read: log.db: disk full"
        );

        let says_it_itself = Cause::new("can't connect: refused", Cause::of("refused"));
        assert_eq!(chain(&says_it_itself).to_string(), "can't connect: refused");
    }
}
