//! Which events of `$all` a reader wants: by the beginning of the stream's name or of the type, or
//! by a regular expression over one of them.
//!
//! An expression without look-around is matched in linear time, and so is "not what matches X",
//! which is how the clients write what is to be left out (`^(?!X)`). Other look-around takes a
//! backtracking engine: it is bounded in steps, short, and without counted repeats, which count as
//! no steps.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::Refusal;
use crate::model::Event;
use crate::wire::streams::read_req::options::FilterOptions;
use crate::wire::streams::read_req::options::filter_options::{Expression, Filter as Wire, Window};

/// Longest expression, or all prefixes together, in bytes.
const EXPRESSION_BYTES_MAX: usize = 16 << 10;
/// Longest expression with look-around, in bytes.
const LOOK_AROUND_BYTES_MAX: usize = 512;
/// Most prefixes of a filter.
const PREFIXES_MAX: usize = 1_000;
/// Largest compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most steps that an expression may backtrack on one name.
const BACKTRACK_MAX: usize = 10_000;
/// Events between two checkpoints if the client does not say.
const WINDOW: u32 = 32;

enum Test {
    Prefixes(Vec<String>),
    /// Matches in linear time; with `false` the filter wants what the expression does not match.
    Linear(Regex, bool),
    LookAround(Box<fancy_regex::Regex>),
}

/// A compiled filter.
pub(crate) struct Filter {
    by_stream: bool,
    test: Test,
    /// How many events are looked at between two checkpoints.
    pub(crate) window: u32,
}

/// The X of `^(?!X)`, with or without `.*` after it; `None` for another expression.
fn left_out(expression: &str) -> Option<&str> {
    let rest = expression.strip_prefix("^(?!")?;
    ["", ".*", ".*$"].iter().find_map(|end| rest.strip_suffix(end)?.strip_suffix(')'))
}

fn linear(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
}

fn test(expression: Expression) -> Result<Test, Refusal> {
    let bad = |why: &dyn std::fmt::Display| {
        Refusal::BadRequest(format!("the filter's regular expression: {why}"))
    };
    let bytes = expression.regex.len() + expression.prefix.iter().map(String::len).sum::<usize>();
    if bytes > EXPRESSION_BYTES_MAX || expression.prefix.len() > PREFIXES_MAX {
        let count = expression.prefix.len();
        return Err(Refusal::BadRequest(format!(
            "a filter may have {EXPRESSION_BYTES_MAX} bytes and {PREFIXES_MAX} prefixes; this one \
             has {bytes} and {count}"
        )));
    }
    let text = expression.regex.as_str();
    if text.is_empty() {
        return Ok(Test::Prefixes(expression.prefix));
    }
    let plain = match linear(text) {
        Ok(regex) => return Ok(Test::Linear(regex, true)),
        Err(e) => e,
    };
    // Only if X stands alone: of `^(?!a)b|(?!c)` it would be half of something.
    if let Some(Ok(regex)) = left_out(text).map(|x| linear(&format!("^(?:{x})"))) {
        return Ok(Test::Linear(regex, false));
    }
    if !text.contains("(?=")
        && !text.contains("(?!")
        && !text.contains("(?<")
        && !text.contains('\\')
    {
        return Err(bad(&plain));
    }
    if text.len() > LOOK_AROUND_BYTES_MAX || text.contains('{') {
        return Err(bad(&format!(
            "with look-around it may have {LOOK_AROUND_BYTES_MAX} bytes and no counted repeats \
             {{n}}"
        )));
    }
    let built = fancy_regex::RegexBuilder::new(text)
        .backtrack_limit(BACKTRACK_MAX)
        .delegate_size_limit(COMPILED_BYTES_MAX)
        .build();
    built.map(|r| Test::LookAround(Box::new(r))).map_err(|e| bad(&e))
}

impl Filter {
    pub(crate) fn new(wire: FilterOptions) -> Result<Arc<Self>, Refusal> {
        let multiplier = wire.checkpoint_interval_multiplier.max(1);
        let window = match wire.window {
            Some(Window::Max(0)) => {
                return Err(Refusal::BadRequest("a filter's window must be at least 1".to_owned()));
            }
            Some(Window::Max(n)) => n,
            Some(Window::Count(_)) | None => WINDOW,
        };
        let (by_stream, expression) = match wire.filter {
            Some(Wire::StreamIdentifier(e)) => (true, e),
            Some(Wire::EventType(e)) => (false, e),
            None => {
                return Err(Refusal::BadRequest(
                    "a filter needs `stream_identifier` or `event_type`".to_owned(),
                ));
            }
        };
        Ok(Arc::new(Self {
            by_stream,
            test: test(expression)?,
            window: window.saturating_mul(multiplier),
        }))
    }

    /// True if the reader wants an event.
    ///
    /// # Errors
    /// If the expression takes too long on this name, which must not count as a no.
    pub(crate) fn wants(&self, event: &Event) -> Result<bool, Refusal> {
        let name = if self.by_stream { &event.stream } else { &event.event_type };
        match &self.test {
            Test::Prefixes(all) => Ok(all.iter().any(|p| name.starts_with(p.as_str()))),
            Test::Linear(regex, wanted) => Ok(regex.is_match(name) == *wanted),
            Test::LookAround(regex) => regex.is_match(name).map_err(|e| {
                Refusal::BadRequest(format!(
                    "the filter's regular expression takes too long on `{name}`: {e}"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
