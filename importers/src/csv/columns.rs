//! The columns of a CSV file, and the rows one by one.

use serde::{Deserialize, Serialize};

/// Names of the columns that have a meaning.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Columns {
    /// Column with the name of the case.
    pub case: String,
    /// Column with the name of the activity.
    pub activity: String,
    /// Column with the time.
    pub time: String,
    /// Column with the name of who did the activity; `None` = no such column.
    pub resource: Option<String>,
    /// Column with the step of the activity; `None` = no such column.
    pub lifecycle: Option<String>,
    /// Columns that are imported as attributes; empty = all others.
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
