//! XES (IEEE 1849): the log's header, then case by case, read as a stream; gzip is recognised.
//!
//! Attributes keep their type, key, lexical value, children and order, so that the same log can be
//! written again.

mod header;
mod trace;

use header::{Header, attribute_type, get, pairs};
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead};
use std::path::Path;

use async_trait::async_trait;
use domain::limits::IMPORT_RECORD_BYTES_MAX;
use domain::tasks::{Attribute, AttributeType};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::cases;
use super::cases::{Piece, bytes};
use super::input::Input;
use super::lines::Lines;
use super::records::{Record, too_large};
use crate::session::Session;
use crate::source::{self, Reading, Source};
use crate::{Counts, Importer};

/// XES process logs, plain or gzipped: every trace a task, every event an activity.
#[derive(Debug)]
pub struct Xes;

#[async_trait]
impl Importer for Xes {
    fn name(&self) -> &'static str {
        "xes"
    }

    fn detect(&self, _path: &Path, beginning: &str) -> bool {
        beginning.contains("<log")
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(Box::new(Pieces::new(
            Input::of(path, reading)?,
            source::stem(path),
            reading.allow_missing,
        )))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        cases::parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        cases::record(session, bytes).await
    }
}

/// Most levels of attributes inside attributes.
const LEVELS_MAX: usize = 28;
/// Most elements of any sort inside one another.
const ELEMENTS_OPEN_MAX: usize = 100_000;

/// The pieces of an XES file.
pub struct Pieces {
    reader: Reader<Lines<Box<dyn BufRead + Send>>>,
    log: String,
    header: Header,
    header_sent: bool,
    /// The header, until the first case that can be imported: it never goes out alone.
    held: Option<Piece>,
    number: u64,
    place: u32,
    ended: bool,
    /// Pieces and faults that were found and not yet handed out, with their lines.
    waiting: VecDeque<(u64, Result<Piece, String>)>,
    /// True if the file is damaged: its cases stay open until an import of the whole file closes
    /// them.
    damaged: bool,
    /// True if cases without a name, and events without an activity or a time, are imported too.
    allow_missing: bool,
    /// How many cases had each name, by the name's hash.
    names: HashMap<u64, u32>,
    /// Number of elements that are open.
    depth: usize,
    /// Bytes of the current record that were read.
    record_bytes: usize,
    /// Why the current record can't be imported; its rest is skipped and not kept.
    refused: Option<String>,
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the events of XML only elements say something here"
)]
impl Pieces {
    /// Reads the pieces of a log from a file.
    #[must_use]
    pub fn new(input: Input, log: String, allow_missing: bool) -> Self {
        let damaged = input.is_damaged();
        let reader = Reader::from_reader(Lines::new(input.text));
        Self {
            reader,
            log,
            header: Header::default(),
            header_sent: false,
            held: None,
            number: 0,
            place: 0,
            ended: false,
            waiting: VecDeque::new(),
            damaged,
            allow_missing,
            names: HashMap::new(),
            depth: 0,
            record_bytes: 0,
            refused: None,
        }
    }

    fn line(&self) -> u64 {
        self.reader.get_ref().line
    }

    fn event(&mut self) -> Result<Event<'static>, String> {
        let mut buffer = Vec::new();
        self.reader.get_mut().left = IMPORT_RECORD_BYTES_MAX;
        let event = self.reader.read_event_into(&mut buffer).map_err(|e| {
            format!("no XML: {e}; mend the file and import it again, nothing is doubled")
        })?;
        match &event {
            Event::Start(_) if self.depth > ELEMENTS_OPEN_MAX => {
                return Err(format!("more than {ELEMENTS_OPEN_MAX} elements lie in one another"));
            }
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.record_bytes += event.len();
        if self.record_bytes > IMPORT_RECORD_BYTES_MAX && self.refused.is_none() {
            self.refused = Some(too_large());
        }
        Ok(event.into_owned())
    }

    /// True if what is read is kept, because the record is not skipped.
    fn keeps(&self) -> bool {
        self.refused.is_none()
    }

    fn cut() -> String {
        "the file ends in the middle of the log; mend the file and import it again, nothing is \
         doubled"
            .to_owned()
    }

    /// Reads an attribute whose start tag was read, at the depth `level`; `empty` if it has no
    /// children.
    fn attribute(
        &mut self,
        element: &BytesStart<'_>,
        of: AttributeType,
        empty: bool,
        level: usize,
    ) -> Result<Attribute, String> {
        let pairs = pairs(element)?;
        let mut children = Vec::new();
        if !empty && level > LEVELS_MAX {
            self.refused = Some(format!("attributes are nested deeper than {LEVELS_MAX} levels"));
            self.pass_over(element)?;
        } else if !empty {
            loop {
                match self.event()? {
                    // What is none is the <values> of a list: its children are the list's.
                    Event::Start(e) => {
                        if let Some(inner) = attribute_type(e.local_name().as_ref()) {
                            let child = self.attribute(&e, inner, false, level + 1)?;
                            children.extend(self.keeps().then_some(child));
                        }
                    }
                    Event::Empty(e) => {
                        if let Some(inner) = attribute_type(e.local_name().as_ref()) {
                            let child = self.attribute(&e, inner, true, level + 1)?;
                            children.extend(self.keeps().then_some(child));
                        }
                    }
                    Event::End(e) if attribute_type(e.local_name().as_ref()).is_some() => break,
                    Event::Eof => return Err(Self::cut()),
                    _ => {}
                }
            }
        }
        Ok(Attribute { key: get(&pairs, "key"), r#type: of, value: get(&pairs, "value"), children })
    }

    /// Skips to the end of an element whose start tag was read, whatever is in it.
    fn pass_over(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let mut depth = 1_u64;
        while depth > 0 {
            match self.event()? {
                Event::Start(e) if e.name() == element.name() => depth += 1,
                Event::End(e) if e.name() == element.name() => depth -= 1,
                Event::Eof => return Err(Self::cut()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads attributes up to the end of the element with this name; hands other elements to
    /// `other`.
    fn inside(
        &mut self,
        end: &str,
        mut other: impl FnMut(&mut Self, &BytesStart<'_>, bool) -> Result<(), String>,
    ) -> Result<Vec<Attribute>, String> {
        let mut attributes = Vec::new();
        loop {
            match self.event()? {
                Event::Start(e) => match attribute_type(e.local_name().as_ref()) {
                    Some(of) => {
                        let attribute = self.attribute(&e, of, false, 1)?;
                        attributes.extend(self.keeps().then_some(attribute));
                    }
                    None => other(self, &e, false)?,
                },
                Event::Empty(e) => match attribute_type(e.local_name().as_ref()) {
                    Some(of) => {
                        let attribute = self.attribute(&e, of, true, 1)?;
                        attributes.extend(self.keeps().then_some(attribute));
                    }
                    None => other(self, &e, true)?,
                },
                Event::End(e) if e.local_name().as_ref() == end.as_bytes() => {
                    return Ok(attributes);
                }
                Event::Eof => return Err(Self::cut()),
                _ => {}
            }
        }
    }

    /// The next piece, or why a piece is skipped; `None` at the end of the file.
    ///
    /// # Errors
    /// Why nothing more can be read.
    fn piece(&mut self) -> Result<Option<Result<Piece, String>>, String> {
        loop {
            if self.header_sent {
                // Between cases nothing is kept.
                (self.record_bytes, self.refused) = (0, None);
            }
            let event = self.event()?;
            let (element, empty) = match event {
                Event::Start(e) => (e, false),
                Event::Empty(e) => (e, true),
                Event::End(e) if e.local_name().as_ref() == b"log" => {
                    self.ended = true;
                    if self.place == 0 {
                        self.waiting
                            .push_back((self.line(), Err("the log has no case".to_owned())));
                    }
                    return self.after_log();
                }
                Event::Eof
                    if !self.header_sent
                        && self.header.log.is_empty()
                        && self.header.attributes.is_empty() =>
                {
                    return Err("no XES log: there is no <log> in it".to_owned());
                }
                Event::Eof => return Err(Self::cut()),
                _ => continue,
            };
            let keeps = !self.header_sent && self.keeps();
            match element.local_name().as_ref() {
                b"log" if keeps => {
                    self.header.log = std::iter::once(("#".to_owned(), "log".to_owned()))
                        .chain(pairs(&element)?)
                        .collect()
                }
                b"extension" if keeps => self.header.extensions.push(pairs(&element)?),
                b"classifier" if keeps => self.header.classifiers.push(pairs(&element)?),
                b"global" => {
                    let scope = get(&pairs(&element)?, "scope");
                    let attributes =
                        if empty { Vec::new() } else { self.inside("global", |_, _, _| Ok(()))? };
                    self.header.globals.extend(keeps.then_some((scope, attributes)));
                }
                b"trace" => {
                    if !self.header_sent {
                        self.end_header();
                    }
                    let case = self.case(empty)?;
                    if let Some(why) = self.refused.take() {
                        return Ok(Some(Err(format!("case `{}`: {why}", case.case))));
                    }
                    if let Some(header) = self.held.take() {
                        self.waiting.push_back((self.line(), Ok(header)));
                    }
                    return Ok(Some(Ok(Piece::Case(case))));
                }
                name => {
                    if let Some(of) = attribute_type(name) {
                        let attribute = self.attribute(&element, of, empty, 1)?;
                        self.header.attributes.extend(keeps.then_some(attribute));
                    }
                }
            }
        }
    }

    /// Checks that only blanks, comments and instructions follow a log; reports anything else.
    fn after_log(&mut self) -> Result<Option<Result<Piece, String>>, String> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(None),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Comment(_) | Event::PI(_) => {}
                _ => {
                    return Err("there is something after the end of the log, which is not read; \
                    is it two files in one?"
                        .to_owned());
                }
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting.is_empty() && !self.ended {
            match self.piece() {
                Ok(None) => self.ended = true,
                Ok(Some(found)) => self.waiting.push_back((self.line(), found)),
                Err(why) => {
                    self.ended = true;
                    self.waiting.push_back((self.line(), Err(why)));
                }
            }
        }
        let (line, found) = self.waiting.pop_front()?;
        self.number += 1;
        let lane = match &found {
            Ok(Piece::Case(case)) => Some(case.case.clone()),
            Ok(Piece::Header { .. }) | Err(_) => None,
        };
        Some(Ok(Record {
            number: self.number,
            line,
            bytes: found.map(|piece| bytes(&piece)),
            lane,
        }))
    }
}
