//! CSV process logs: each row is an event, whose case, activity and time are in columns that the
//! caller names. The file is read as a stream; a faulty row is reported with its line.

mod columns;
mod rows;

use columns::Places;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::Timestamp;
use domain::limits::IMPORT_RECORD_BYTES_MAX;
use serde_json::json;

use super::cases;
use super::cases::{Case, Piece, bytes, fault_of};
use super::input::Input;
use super::records::{Record, too_large};
use super::session::time;
use crate::session::Session;
use crate::source::{self, Reading, Source};
use crate::{Counts, Importer};

pub use columns::Columns;

/// CSV process logs: every row an activity.
#[derive(Debug)]
pub struct Csv;

#[async_trait]
impl Importer for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn detect(&self, path: &Path, _beginning: &str) -> bool {
        source::endings(path).contains(".csv")
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(Box::new(Pieces::new(Input::of(path, reading)?, source::stem(path), reading)?))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        cases::parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        cases::record(session, bytes).await
    }
}

/// Most events of one case that form one record.
const EVENTS_MAX: usize = 500;
/// Most bytes of the rows of one record, unless a single row has more.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Most bytes of the names of all cases together.
const CASE_NAMES_BYTES_MAX: usize = 32 << 20;

#[derive(Default)]
struct KnownCase {
    place: u32,
    events: u64,
    planned: bool,
    broken: bool,
    /// The latest time of the case's rows, parsed and as the file has it.
    ended: Option<(Timestamp, String)>,
}

/// A file of which only one row may be read at a time: the parser would read on to the end after a
/// quote that is never closed.
struct OneRow<R> {
    input: R,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Read for OneRow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        let room = left.min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}; is a quote not closed?", too_large()),
            ));
        }
        let read = self.input.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left.store(left - read, Ordering::Relaxed);
        Ok(read)
    }
}

/// The pieces of a CSV file.
pub struct Pieces {
    rows: csv::StringRecordsIntoIter<OneRow<Box<dyn BufRead + Send>>>,
    /// Bytes that may be read before the next row must end.
    left: Arc<AtomicUsize>,
    /// Bytes of the rows in `group`.
    grouped: usize,
    /// Bytes of the names of the cases so far.
    named: usize,
    /// Cases that are yet to be closed, once the file has ended.
    closing: std::vec::IntoIter<String>,
    log: String,
    /// Number of columns that a row must have.
    width: usize,
    /// True if a row could not be assigned to a case, or the file is damaged: any case may be
    /// incomplete, so none is closed.
    out_of_step: bool,
    /// True if rows without a case, an activity or a time are imported too.
    allow_missing: bool,
    places: Places,
    cases: HashMap<String, KnownCase>,
    /// Digests of the rows so far, to tell equal rows apart by number.
    seen: HashSet<u64>,
    /// How often each row occurred that occurred more than once.
    repeated: HashMap<u64, u32>,
    order: Vec<String>,
    group: Option<(u64, Case)>,
    /// The header, which goes out before the first case that can be imported, and never alone.
    header: Option<Piece>,
    ready: VecDeque<Record>,
    number: u64,
    ended: bool,
}

impl Pieces {
    /// Finds the columns of a file.
    ///
    /// # Errors
    /// A sentence that names the missing column, and those that the file has.
    pub fn new(input: Input, log: String, reading: &Reading) -> Result<Self, String> {
        let (columns, damaged) = (&reading.columns, input.is_damaged());
        let left = Arc::new(AtomicUsize::new(IMPORT_RECORD_BYTES_MAX));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(OneRow { input: input.text, left: Arc::clone(&left) });
        let headers: Vec<String> =
            reader.headers().map_err(|e| said(&e))?.iter().map(str::to_owned).collect();
        let find = |name: &str| {
            let at = headers.iter().position(|h| h == name);
            at.ok_or_else(|| {
                format!("there is no column `{name}`; the columns are: {}", headers.join(", "))
            })
        };
        let (case, activity, time) =
            (find(&columns.case)?, find(&columns.activity)?, find(&columns.time)?);
        let resource = columns.resource.as_deref().map(find).transpose()?;
        let lifecycle = columns.lifecycle.as_deref().map(find).transpose()?;
        let attributes = if columns.attributes.is_empty() {
            let taken = [Some(case), Some(activity), Some(time), resource, lifecycle];
            headers
                .iter()
                .enumerate()
                .filter(|(i, _)| !taken.contains(&Some(*i)))
                .map(|(i, h)| (i, h.clone()))
                .collect()
        } else {
            columns
                .attributes
                .iter()
                .map(|name| Ok((find(name)?, name.clone())))
                .collect::<Result<_, String>>()?
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
            out_of_step: damaged,
            allow_missing: reading.allow_missing,
            places,
            cases: HashMap::new(),
            seen: HashSet::new(),
            repeated: HashMap::new(),
            order: Vec::new(),
            group: None,
            header: None,
            ready: VecDeque::new(),
            number: 0,
            ended: false,
        };
        let header = json!({"columns": headers, "read_as": columns}).to_string();
        pieces.header = Some(Piece::Header { log, header });
        Ok(pieces)
    }

    fn push(&mut self, line: u64, piece: Result<Piece, String>, lane: Option<String>) {
        self.number += 1;
        self.ready.push_back(Record {
            number: self.number,
            line,
            bytes: piece.map(|p| bytes(&p)),
            lane,
        });
    }

    fn flush(&mut self) {
        self.grouped = 0;
        if let Some((line, case)) = self.group.take() {
            let lane = Some(case.case.clone());
            if let Some(header) = self.header.take() {
                self.push(1, Ok(header), None);
            }
            self.push(line, Ok(Piece::Case(case)), lane);
        }
    }

    fn row(&mut self, line: u64, row: &csv::StringRecord) {
        let named = row.get(self.places.case).filter(|n| self.allow_missing || !n.is_empty());
        let Some(name) = named.map(str::to_owned) else {
            self.out_of_step = true;
            let why = "the row does not say which case it belongs to".to_owned();
            return self.push(line, Err(why), None);
        };
        let identity = self.identity(row);
        if let Some(why) = self.misfit(row, &name) {
            return self.push(line, Err(why), None);
        }
        let next = u32::try_from(self.order.len() + 1).unwrap_or(u32::MAX);
        let order = &mut self.order;
        let known = self.cases.entry(name.clone()).or_insert_with(|| {
            order.push(name.clone());
            KnownCase { place: next, ..KnownCase::default() }
        });
        let n = known.events;
        known.events += 1;
        let event = self.happened(row, identity, n);
        let fault = fault_of(&event).filter(|fault| !self.allow_missing || !fault.is_missing);
        let Some(known) = self.cases.get_mut(&name) else { return };
        if let Some(fault) = fault {
            known.broken = true;
            let why = format!("case `{name}`: {}; its case stays open", fault.why);
            return self.push(line, Err(why), None);
        }
        let when = event.time.clone().unwrap_or_default();
        if let Some(at) =
            time(&when).filter(|at| known.ended.as_ref().is_none_or(|(latest, _)| *latest < *at))
        {
            known.ended = Some((at, when));
        }
        let (place, log, first) = (known.place, self.log.clone(), !known.planned);
        known.planned = true;
        let bytes = row.as_slice().len();
        if self.group.as_ref().is_some_and(|(_, g)| {
            g.case != name || g.events.len() >= EVENTS_MAX || self.grouped + bytes > GROUP_BYTES_MAX
        }) {
            self.flush();
        }
        self.grouped += bytes;
        let fresh = || (line, Case { log, case: name, place, first, ..Case::default() });
        self.group.get_or_insert_with(fresh).1.events.push(event);
    }

    fn end(&mut self) {
        self.flush();
        self.ended = true;
        if self.number == 0 {
            self.push(1, Err("there is no row below the header".to_owned()), None);
        }
        self.closing = std::mem::take(&mut self.order).into_iter();
    }

    /// Closes the next case; only one per call, because there may be many.
    fn close(&mut self) {
        for name in self.closing.by_ref() {
            // A case with a broken row stays open: the mended file closes it.
            let Some(known) = self.cases.get(&name).filter(|k| !k.broken && !self.out_of_step)
            else {
                continue;
            };
            let ended = known.ended.as_ref().map(|(_, text)| text.clone());
            let case = Case {
                log: self.log.clone(),
                case: name.clone(),
                place: known.place,
                last: true,
                ended,
                ..Case::default()
            };
            return self.push(0, Ok(Piece::Case(case)), Some(name));
        }
    }
}

/// The message about a row that can't be read.
fn said(e: &csv::Error) -> String {
    let hint = if matches!(e.kind(), csv::ErrorKind::Utf8 { .. }) {
        "; if the file is written in another encoding, name that with --encoding"
    } else {
        ""
    };
    format!("{e}{hint}")
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
                    self.out_of_step = true;
                    if e.is_io_error() {
                        self.ended = true;
                    }
                    self.push(line, Err(said(&e)), None);
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
