//! The columns of a CSV file, and the rows one by one.

use serde::{Deserialize, Serialize};

/// Which column is what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The case.
    pub case: String,
    /// What was done.
    pub activity: String,
    /// When.
    pub time: String,
    /// Who did it.
    pub resource: Option<String>,
    /// Which step of doing it.
    pub lifecycle: Option<String>,
    /// Kept as attributes; all others when empty.
    pub attributes: Vec<String>,
}

pub(super) struct Places {
    pub(super) case: usize,
    pub(super) activity: usize,
    pub(super) time: usize,
    pub(super) resource: Option<usize>,
    pub(super) lifecycle: Option<usize>,
    pub(super) attributes: Vec<(usize, String)>,
}
