//! The list of forgettings beside the file that wraps the keys: ids only, a JSON object a line,
//! `{"log", "position", "business", "subject", "generation"}`. Lines are added, never removed.

use domain::personal::Generation;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use event_log::Position;
use serde::{Deserialize, Serialize};

use crate::app::AppError;

/// A line of the list: one forgetting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// Leaf hash of the first event of the log that records the forgetting; it names the log.
    pub(crate) log: Digest,
    /// Position of the forgetting in that log.
    pub(crate) position: Position,
    /// The business; the nil UUID if the name of a principal was forgotten.
    pub(crate) business: BusinessId,
    /// The data subject whose keys are destroyed.
    pub(crate) subject: SubjectId,
    /// The generation up to which the subject's keys are destroyed.
    pub(crate) generation: Generation,
}

/// The list of forgettings.
pub(crate) struct ForgottenList {
    file: PathBuf,
    lines: Vec<Line>,
    /// Length of the complete lines, in bytes.
    whole: u64,
    /// A last line without its end: a process was killed while it wrote (then the log has the
    /// forgetting, and the line is written again), or a copy was cut off.
    torn: Option<String>,
    known: HashSet<(Digest, BusinessId, SubjectId, Generation)>,
}

impl ForgottenList {
    /// Reads the list; a file that is not there is an empty one, and is made with its first line.
    ///
    /// # Errors
    /// Names the line that can't be read.
    pub(crate) fn open(file: PathBuf) -> Result<Self, AppError> {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => {
                return Err(AppError::caused(
                    format!("the list of forgettings {} can't be read", file.display()),
                    e,
                ));
            }
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let torn = text.get(whole..).filter(|rest| !rest.is_empty()).map(str::to_owned);
        let (mut lines, mut known) = (Vec::new(), HashSet::new());
        for (n, line) in text.get(..whole).unwrap_or_default().lines().enumerate() {
            let bad = |e: serde_json::Error| {
                AppError::caused(
                    format!(
                        "line {} of the list of forgettings {} is none; take the file from a backup",
                        n + 1,
                        file.display()
                    ),
                    e,
                )
            };
            let line: Line = serde_json::from_str(line).map_err(bad)?;
            known.insert((line.log, line.business, line.subject, line.generation));
            lines.push(line);
        }
        Ok(Self { file, lines, known, whole: whole as u64, torn })
    }

    /// The last position of a log that the list knows; 0 if it knows none.
    pub(crate) fn position(&self, log: Digest) -> Position {
        self.lines
            .iter()
            .filter(|line| line.log == log)
            .map(|line| line.position)
            .max()
            .unwrap_or_default()
    }

    /// Every line of the list, of whichever log.
    pub(crate) fn all(&self) -> &[Line] {
        &self.lines
    }

    /// The lines of one log.
    pub(crate) fn of(&self, log: Digest) -> Vec<Line> {
        self.lines.iter().filter(|line| line.log == log).copied().collect()
    }

    /// Checks that the last line is complete.
    ///
    /// # Errors
    /// If it is not, and no forgetting of the log completes it: without that line a forgotten
    /// subject would come back.
    pub(crate) fn is_whole(&self) -> Result<(), AppError> {
        if self.torn.is_none() {
            return Ok(());
        }
        let what = "is cut off in its last line; take the whole file from where it is kept";
        Err(AppError::other(format!("the list of forgettings {} {what}", self.file.display())))
    }

    /// Adds a line durably, unless the list has the same one already.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn add(&mut self, line: &Line) -> Result<(), AppError> {
        let said = (line.log, line.business, line.subject, line.generation);
        if self.known.contains(&said) {
            return Ok(());
        }
        let failed = |e: std::io::Error| {
            AppError::caused(
                format!("the list of forgettings {} can't be written", self.file.display()),
                e,
            )
        };
        let mut text = serde_json::to_string(line).map_err(AppError::other)?;
        if self.torn.as_ref().is_some_and(|torn| !text.starts_with(torn.as_str())) {
            return self.is_whole();
        }
        text.push('\n');
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.file).map_err(failed)?;
        // What was begun of this very line.
        file.set_len(self.whole).map_err(failed)?;
        if let Err(e) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // Half a line would make the next one unreadable.
            let _ = file.set_len(self.whole);
            return Err(failed(e));
        }
        self.whole += text.len() as u64;
        self.torn = None;
        self.known.insert(said);
        self.lines.push(*line);
        Ok(())
    }
}
