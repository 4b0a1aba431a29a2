//! CSV process logs: a row an event, its case, activity and time in columns of the caller's choice;
//! read as a stream. A row that does not read is reported with its line, the others go on.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Timestamp;
use domain::limits::{IMPORT_CASES_MAX, IMPORT_RECORD_BYTES_MAX};
use domain::tasks::{Attribute, AttributeType};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cases::{Case, Happened, Piece, bytes};
use super::records::{Record, too_large};
use super::session::time;

/// Events of one case that go together.
const EVENTS_MAX: usize = 500;
/// Bytes of their rows; one row alone may have more.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Bytes of the names of all cases.
const CASE_NAMES_BYTES_MAX: usize = 32 << 20;

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

struct Places {
    case: usize,
    activity: usize,
    time: usize,
    resource: Option<usize>,
    lifecycle: Option<usize>,
    attributes: Vec<(usize, String)>,
}

#[derive(Default)]
struct Known {
    place: u32,
    events: u64,
    planned: bool,
    broken: bool,
    /// The latest time of its rows, and how it was written.
    ended: Option<(Timestamp, String)>,
}

/// A file of which one row may be read at a time: a quote that is never closed would be read to the end.
struct OneRow<R> {
    input: R,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Read for OneRow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        let room = left.min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}; is a quote not closed?", too_large())));
        }
        let read = self.input.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left.store(left - read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Pieces of a CSV file.
pub struct Pieces {
    rows: csv::StringRecordsIntoIter<OneRow<std::fs::File>>,
    /// Bytes that may be read before the next row must end.
    left: Arc<AtomicUsize>,
    /// Bytes of the rows of the group.
    grouped: usize,
    /// Bytes of the names of cases.
    named: usize,
    /// Cases that are closed at the end.
    closing: std::vec::IntoIter<String>,
    log: String,
    /// Columns that a row must have.
    width: usize,
    /// Rows that don't say which case they belong to: any case may lack them.
    astray: bool,
    places: Places,
    cases: HashMap<String, Known>,
    order: Vec<String>,
    group: Option<(u64, Case)>,
    ready: VecDeque<Record>,
    number: u64,
    ended: bool,
}

impl Pieces {
    /// Opens a file and finds the columns.
    ///
    /// # Errors
    /// A sentence that names the column that is missing, and those that are there.
    pub fn open(path: &Path, log: String, columns: &Columns) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
        let left = Arc::new(AtomicUsize::new(IMPORT_RECORD_BYTES_MAX));
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(OneRow { input: file, left: Arc::clone(&left) });
        let headers: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(|h| h.trim_start_matches('\u{feff}').to_owned()).collect();
        let find = |name: &str| {
            let at = headers.iter().position(|h| h == name);
            at.ok_or_else(|| format!("there is no column `{name}`; the columns are: {}", headers.join(", ")))
        };
        let (case, activity, time) = (find(&columns.case)?, find(&columns.activity)?, find(&columns.time)?);
        let resource = columns.resource.as_deref().map(find).transpose()?;
        let lifecycle = columns.lifecycle.as_deref().map(find).transpose()?;
        let attributes = if columns.attributes.is_empty() {
            let taken = [Some(case), Some(activity), Some(time), resource, lifecycle];
            headers.iter().enumerate().filter(|(i, _)| !taken.contains(&Some(*i))).map(|(i, h)| (i, h.clone())).collect()
        } else {
            columns.attributes.iter().map(|name| Ok((find(name)?, name.clone()))).collect::<Result<_, String>>()?
        };
        let places = Places { case, activity, time, resource, lifecycle, attributes };
        let mut pieces = Self {
            rows: reader.into_records(),
            left,
            grouped: 0,
            named: 0,
            closing: Vec::new().into_iter(),
            log: log.clone(),
            width: headers.len(),
            astray: false,
            places,
            cases: HashMap::new(),
            order: Vec::new(),
            group: None,
            ready: VecDeque::new(),
            number: 0,
            ended: false,
        };
        let header = json!({"columns": headers, "read_as": columns}).to_string();
        pieces.push(1, Ok(Piece::Header { log, header }), None);
        Ok(pieces)
    }

    fn push(&mut self, line: u64, piece: Result<Piece, String>, lane: Option<String>) {
        self.number += 1;
        self.ready.push_back(Record { number: self.number, line, bytes: piece.map(|p| bytes(&p)), lane });
    }

    fn flush(&mut self) {
        self.grouped = 0;
        if let Some((line, case)) = self.group.take() {
            let lane = Some(case.case.clone());
            self.push(line, Ok(Piece::Case(case)), lane);
        }
    }

    fn row(&mut self, line: u64, row: &csv::StringRecord) {
        let get = |at: usize| row.get(at).unwrap_or_default().to_owned();
        if row.len() <= self.places.case {
            self.astray = true;
            return self.push(line, Err("the row does not say which case it belongs to".to_owned()), None);
        }
        let filled = |at: Option<usize>| at.map(get).filter(|v| !v.is_empty());
        let (name, when) = (get(self.places.case), get(self.places.time));
        if !self.cases.contains_key(&name) {
            self.named += name.len();
            if self.order.len() >= IMPORT_CASES_MAX || self.named > CASE_NAMES_BYTES_MAX {
                self.ended = true;
                let why = format!("the file has more than {IMPORT_CASES_MAX} cases, or names of {CASE_NAMES_BYTES_MAX} bytes; split it by its cases");
                return self.push(line, Err(why), None);
            }
        }
        let next = u32::try_from(self.order.len() + 1).unwrap_or(u32::MAX);
        let order = &mut self.order;
        let known = self.cases.entry(name.clone()).or_insert_with(|| {
            order.push(name.clone());
            Known { place: next, ..Known::default() }
        });
        let n = known.events;
        known.events += 1;
        if row.len() != self.width {
            known.broken = true;
            let why = format!("the row has {} fields, the header has {}", row.len(), self.width);
            return self.push(line, Err(why), None);
        }
        let Some(at) = time(&when) else {
            known.broken = true;
            let why = format!("`{when}` is no time; write it as 2026-11-22T20:00:00+01:00, or without an offset for UTC");
            return self.push(line, Err(why), None);
        };
        if known.ended.as_ref().is_none_or(|(latest, _)| *latest < at) {
            known.ended = Some((at, when.clone()));
        }
        let attribute = |(at, key): &(usize, String)| {
            let value = get(*at);
            (!value.is_empty()).then(|| Attribute { key: key.clone(), r#type: AttributeType::String, value, children: Vec::new() })
        };
        let event = Happened {
            n,
            activity: get(self.places.activity),
            lifecycle: filled(self.places.lifecycle),
            resource: filled(self.places.resource),
            time: Some(when),
            attributes: self.places.attributes.iter().filter_map(attribute).collect(),
        };
        let (place, log, first) = (known.place, self.log.clone(), !known.planned);
        known.planned = true;
        let bytes = row.as_slice().len();
        if self.group.as_ref().is_some_and(|(_, g)| g.case != name || g.events.len() >= EVENTS_MAX || self.grouped + bytes > GROUP_BYTES_MAX) {
            self.flush();
        }
        self.grouped += bytes;
        let fresh = || (line, Case { log, case: name, place, first, ..Case::default() });
        self.group.get_or_insert_with(fresh).1.events.push(event);
    }

    fn end(&mut self) {
        self.flush();
        self.ended = true;
        self.closing = std::mem::take(&mut self.order).into_iter();
    }

    /// Closes the next case, one at a time: there may be many.
    fn close(&mut self) {
        for name in self.closing.by_ref() {
            // A case with a broken row stays open: the mended file closes it.
            let Some(known) = self.cases.get(&name).filter(|k| !k.broken && !self.astray) else { continue };
            let ended = known.ended.as_ref().map(|(_, text)| text.clone());
            let case = Case { log: self.log.clone(), case: name.clone(), place: known.place, last: true, ended, ..Case::default() };
            return self.push(0, Ok(Piece::Case(case)), Some(name));
        }
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            self.left.store(IMPORT_RECORD_BYTES_MAX, Ordering::Relaxed);
            match self.rows.next() {
                Some(Ok(row)) => {
                    let line = row.position().map_or(0, csv::Position::line);
                    self.row(line, &row);
                }
                Some(Err(e)) => {
                    let line = e.position().map_or(0, csv::Position::line);
                    self.astray = true;
                    if e.is_io_error() {
                        self.ended = true;
                    }
                    self.push(line, Err(e.to_string()), None);
                }
                None => self.end(),
            }
        }
        if self.ready.is_empty() {
            self.close();
        }
        self.ready.pop_front().map(Ok)
    }
}
