//! The list of forgettings beside what wraps the keys: ids alone, one JSON object a line,
//! `{"log", "position", "business", "subject", "generation"}`. Lines are added and never taken away.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use serde::{Deserialize, Serialize};

use crate::app::AppError;

/// One forgetting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The leaf hash of the first event of the log that says it.
    pub(crate) log: Digest,
    /// Where it stood in that log.
    pub(crate) position: u64,
    /// In which business; the nil UUID for the name of a principal.
    pub(crate) business: BusinessId,
    /// Whose keys.
    pub(crate) subject: SubjectId,
    /// Up to which of them.
    pub(crate) generation: u32,
}

/// The list.
pub(crate) struct ForgottenList {
    file: PathBuf,
    lines: Vec<Line>,
    known: HashSet<(Digest, BusinessId, SubjectId, u32)>,
}

impl ForgottenList {
    /// Reads the list; a file that is not there is an empty one, and is made with its first line.
    ///
    /// # Errors
    /// Names the line that is none. A last line without its end was never acknowledged and is overwritten.
    pub(crate) fn open(file: PathBuf) -> Result<Self, AppError> {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(AppError::other(format!("the list of forgettings {} can't be read: {e}", file.display()))),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            let cut = File::options().write(true).open(&file).and_then(|f| f.set_len(whole as u64).and_then(|()| f.sync_all()));
            cut.map_err(|e| AppError::other(format!("the list of forgettings {} can't be written: {e}", file.display())))?;
        }
        let (mut lines, mut known) = (Vec::new(), HashSet::new());
        for (n, line) in text.get(..whole).unwrap_or_default().lines().enumerate() {
            let bad = |e: serde_json::Error| {
                AppError::other(format!("line {} of the list of forgettings {} is none: {e}; take the file from a backup", n + 1, file.display()))
            };
            let line: Line = serde_json::from_str(line).map_err(bad)?;
            known.insert((line.log, line.business, line.subject, line.generation));
            lines.push(line);
        }
        Ok(Self { file, lines, known })
    }

    /// The last position of a log that it knows of; 0 when it knows none.
    pub(crate) fn position(&self, log: Digest) -> u64 {
        self.lines.iter().filter(|line| line.log == log).map(|line| line.position).max().unwrap_or(0)
    }

    /// The lines of a log after a position.
    pub(crate) fn after(&self, log: Digest, position: u64) -> Vec<Line> {
        self.lines.iter().filter(|line| line.log == log && line.position > position).copied().collect()
    }

    /// Adds a line, durably, unless the list says the same already.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn add(&mut self, line: &Line) -> Result<(), AppError> {
        let said = (line.log, line.business, line.subject, line.generation);
        if self.known.contains(&said) {
            return Ok(());
        }
        let failed = |e: std::io::Error| AppError::other(format!("the list of forgettings {} can't be written: {e}", self.file.display()));
        let mut text = serde_json::to_string(line).map_err(AppError::other)?;
        text.push('\n');
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.file).map_err(failed)?;
        let before = file.metadata().map_err(failed)?.len();
        if let Err(e) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // Half a line would make the next one unreadable.
            let _ = file.set_len(before);
            return Err(failed(e));
        }
        self.known.insert(said);
        self.lines.push(*line);
        Ok(())
    }
}
