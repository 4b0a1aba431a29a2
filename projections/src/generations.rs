//! The view files of a folder: the current one, the previous one, kept for a rollback, and perhaps
//! one in the making. A small file, always replaced as a whole, says which is which.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The view files of one folder, and which of them is read, kept or in the making.
pub(crate) struct Generations {
    folder: PathBuf,
    named: Manifest,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Manifest {
    current: Option<u64>,
    previous: Option<u64>,
    building: Option<u64>,
    /// The boot of the machine in which the build began: what is built is not synced, so a crash of
    /// the machine may have torn it.
    #[serde(default)]
    boot: Option<String>,
}

/// Identifies the boot of the machine; `None` where that can't be told.
fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

impl Generations {
    /// Opens the folder, or makes it; deletes files that the index does not name.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let named = match fs::read(folder.join("generations.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Manifest::default(),
            Err(e) => return Err(e),
        };
        let this = Self { folder: folder.to_owned(), named };
        let kept: Vec<String> = [this.named.current, this.named.previous, this.named.building]
            .into_iter()
            .flatten()
            .map(|n| format!("{n}.db"))
            .collect();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(".db") && !kept.iter().any(|k| name.starts_with(k.as_str())) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(this)
    }

    /// Path of a generation's file.
    pub(crate) fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation}.db"))
    }

    /// The generation that is read.
    pub(crate) fn current(&self) -> Option<u64> {
        self.named.current
    }

    /// The generation before the current one, kept for a rollback.
    pub(crate) fn previous(&self) -> Option<u64> {
        self.named.previous
    }

    /// A generation that was in the making when the last process ended.
    pub(crate) fn building(&self) -> Option<u64> {
        self.named.building
    }

    /// True if the machine has run ever since the generation in the making was begun.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.named.boot.is_some() && self.named.boot == boot_id()
    }

    /// A number that no generation has yet.
    pub(crate) fn next(&self) -> u64 {
        [self.named.current, self.named.previous, self.named.building]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0)
            + 1
    }

    /// Records that a generation is in the making, so that the next process continues it.
    pub(crate) fn begin(&mut self, generation: u64) -> io::Result<()> {
        self.write(Manifest { building: Some(generation), boot: boot_id(), ..self.named.clone() })
    }

    /// Gives up the generation in the making and deletes its file, unless it is the previous one.
    pub(crate) fn give_up(&mut self, generation: u64) -> io::Result<()> {
        if self.named.building == Some(generation) {
            self.write(Manifest { building: None, boot: None, ..self.named.clone() })?;
        }
        if self.named.previous == Some(generation) { Ok(()) } else { self.remove(generation) }
    }

    /// Makes a generation the current one. The old current one is kept as the previous one; the
    /// previous one before it is deleted.
    pub(crate) fn flip(&mut self, generation: u64) -> io::Result<()> {
        let before = self.named.previous;
        let previous = self.named.current.or(before).filter(|n| *n != generation);
        self.write(Manifest { current: Some(generation), previous, ..Manifest::default() })?;
        // The next start deletes what could not be deleted now.
        let dropped = before.filter(|n| *n != generation && previous != Some(*n));
        let _ = dropped.map(|n| self.remove(n));
        Ok(())
    }

    /// Has no generation be the current one until the one in the making is filled; the old current
    /// one is kept as the previous one.
    pub(crate) fn retire_current(&mut self) -> io::Result<()> {
        let Some(current) = self.named.current else { return Ok(()) };
        let dropped = self.named.previous;
        self.write(Manifest { current: None, previous: Some(current), ..self.named.clone() })?;
        let _ = dropped.map(|n| self.remove(n));
        Ok(())
    }

    /// Deletes the generation before the current one.
    pub(crate) fn forget_previous(&mut self) -> io::Result<()> {
        let Some(previous) = self.named.previous else { return Ok(()) };
        self.write(Manifest { previous: None, ..self.named.clone() })?;
        self.remove(previous)
    }

    /// Deletes the file of a generation.
    fn remove(&self, generation: u64) -> io::Result<()> {
        let path = self.path(generation);
        for suffix in SUFFIXES {
            match fs::remove_file(format!("{}{suffix}", path.display())) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write(&mut self, named: Manifest) -> io::Result<()> {
        let (path, fresh) =
            (self.folder.join("generations.json"), self.folder.join("generations.json.new"));
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&named)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(&self.folder)?.sync_all()?;
        self.named = named;
        Ok(())
    }
}
