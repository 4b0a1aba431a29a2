//! CSV process logs: a row an event, its case, activity and time in columns of the caller's choice;
//! read as a stream. A row that does not read is reported with its line, the others go on.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use domain::Timestamp;
use domain::tasks::{Attribute, AttributeType};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cases::{Case, Happened, Piece, bytes};
use super::records::Record;
use super::session::time;

/// Events of one case that go together.
const EVENTS_MAX: usize = 500;

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

/// Pieces of a CSV file.
pub struct Pieces {
    rows: csv::StringRecordsIntoIter<std::fs::File>,
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
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
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
        if self.group.as_ref().is_some_and(|(_, g)| g.case != name || g.events.len() >= EVENTS_MAX) {
            self.flush();
        }
        let fresh = || (line, Case { log, case: name, place, first, ..Case::default() });
        self.group.get_or_insert_with(fresh).1.events.push(event);
    }

    fn end(&mut self) {
        self.flush();
        self.ended = true;
        for name in std::mem::take(&mut self.order) {
            // A case with a broken row stays open: the mended file closes it.
            let Some(known) = self.cases.get(&name).filter(|k| !k.broken && !self.astray) else { continue };
            let ended = known.ended.as_ref().map(|(_, text)| text.clone());
            let case = Case { log: self.log.clone(), case: name.clone(), place: known.place, last: true, ended, ..Case::default() };
            self.push(0, Ok(Piece::Case(case)), Some(name));
        }
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
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
        self.ready.pop_front().map(Ok)
    }
}
