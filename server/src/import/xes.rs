//! XES (IEEE 1849): the log's header, then case by case, read as a stream; gzip is recognised.
//!
//! Attributes keep their type, key, lexical value, children and order, so that the same log can be
//! written again.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use domain::limits::IMPORT_RECORD_BYTES_MAX;
use domain::tasks::{Attribute, AttributeType};
use flate2::bufread::MultiGzDecoder;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::Serialize;

use super::cases::{Case, Happened, Piece, bytes, value_of};
use super::records::{Record, too_large};

/// Counts lines as they are read, so that an error can say where it is.
struct Lines<R> {
    inner: R,
    line: u64,
    /// Bytes that may be read before the next piece of markup or text must end.
    left: usize,
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Lines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, too_large()));
        }
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
        let newlines = self.inner.fill_buf().map_or(0, |b| b.iter().take(n).filter(|c| **c == b'\n').count());
        self.line += newlines as u64;
        self.inner.consume(n);
    }
}

/// Attributes that may lie in one another.
const LEVELS_MAX: usize = 28;
/// Elements that may lie in one another, of whatever sort.
const ELEMENTS_OPEN_MAX: usize = 100_000;

/// What a log says of itself besides its attributes.
#[derive(Default, Serialize)]
struct Header {
    log: Vec<(String, String)>,
    attributes: Vec<Attribute>,
    extensions: Vec<Vec<(String, String)>>,
    globals: Vec<(String, Vec<Attribute>)>,
    classifiers: Vec<Vec<(String, String)>>,
}

/// Pieces of an XES file.
pub struct Pieces {
    reader: Reader<Lines<Box<dyn BufRead + Send>>>,
    log: String,
    header: Header,
    header_sent: bool,
    number: u64,
    place: u32,
    ended: bool,
    /// A case that waits while the header goes out.
    waiting: Option<Result<Piece, String>>,
    /// Elements that are open.
    depth: usize,
    /// Bytes that were read of the record.
    record_bytes: usize,
    /// Why the record can't be taken; it is passed over to its end, and nothing more of it is kept.
    refused: Option<String>,
}

fn attribute_type(name: &[u8]) -> Option<AttributeType> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

fn pairs(element: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| e.to_string())?;
        pairs.push((String::from_utf8_lossy(attribute.key.as_ref()).into_owned(), value.into_owned()));
    }
    Ok(pairs)
}

fn get(pairs: &[(String, String)], key: &str) -> String {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()).unwrap_or_default()
}

#[allow(clippy::wildcard_enum_match_arm, reason = "of the events of XML only elements say something here")]
impl Pieces {
    /// Opens a file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(path: &Path, log: String) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, std::fs::File::open(path)?);
        let zipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn BufRead + Send> = if zipped { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))) } else { Box::new(file) };
        let reader = Reader::from_reader(Lines { inner, line: 1, left: IMPORT_RECORD_BYTES_MAX });
        Ok(Self {
            reader,
            log,
            header: Header::default(),
            header_sent: false,
            number: 0,
            place: 0,
            ended: false,
            waiting: None,
            depth: 0,
            record_bytes: 0,
            refused: None,
        })
    }

    fn event(&mut self) -> Result<Event<'static>, String> {
        let mut buffer = Vec::new();
        self.reader.get_mut().left = IMPORT_RECORD_BYTES_MAX;
        let event = self.reader.read_event_into(&mut buffer).map_err(|e| format!("no XML: {e}; mend the file and import it again, nothing is doubled"))?;
        match &event {
            Event::Start(_) if self.depth > ELEMENTS_OPEN_MAX => return Err(format!("more than {ELEMENTS_OPEN_MAX} elements lie in one another")),
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

    /// Whether what was read is kept: not of a record that is passed over.
    fn keeps(&self) -> bool {
        self.refused.is_none()
    }

    fn cut() -> String {
        "the file ends in the middle of the log; mend the file and import it again, nothing is doubled".to_owned()
    }

    /// An attribute whose start was read, so many levels within others; `empty` when it has no children.
    fn attribute(&mut self, element: &BytesStart<'_>, of: AttributeType, empty: bool, level: usize) -> Result<Attribute, String> {
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

    /// Reads to the end of an element whose start was read, whatever is in it.
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

    /// Attributes up to the end of the element of that name; what is no attribute goes to `other`.
    fn inside(&mut self, end: &str, mut other: impl FnMut(&mut Self, &BytesStart<'_>, bool) -> Result<(), String>) -> Result<Vec<Attribute>, String> {
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
                Event::End(e) if e.local_name().as_ref() == end.as_bytes() => return Ok(attributes),
                Event::Eof => return Err(Self::cut()),
                _ => {}
            }
        }
    }

    fn case(&mut self, empty: bool) -> Result<Case, String> {
        self.place += 1;
        self.record_bytes = 0;
        let mut events = Vec::new();
        let attributes = if empty {
            Vec::new()
        } else {
            self.inside("trace", |me, element, empty| {
                if element.local_name().as_ref() == b"event" {
                    let attributes = if empty { Vec::new() } else { me.inside("event", |_, _, _| Ok(()))? };
                    if !me.keeps() {
                        events.clear();
                        return Ok(());
                    }
                    events.push(Happened {
                        n: events.len() as u64,
                        activity: value_of(&attributes, "concept:name").unwrap_or_else(|| "(no name)".to_owned()),
                        lifecycle: value_of(&attributes, "lifecycle:transition"),
                        resource: value_of(&attributes, "org:resource"),
                        time: value_of(&attributes, "time:timestamp"),
                        attributes,
                    });
                }
                Ok(())
            })?
        };
        let case = value_of(&attributes, "concept:name").unwrap_or_else(|| format!("#{}", self.place));
        let (began, ended) = (events.first().and_then(|e: &Happened| e.time.clone()), events.last().and_then(|e| e.time.clone()));
        Ok(Case { log: self.log.clone(), case, place: self.place, first: true, events, attributes, last: true, began, ended })
    }

    fn header(&mut self) -> Result<Piece, String> {
        self.header_sent = true;
        if let Some(why) = self.refused.take() {
            return Err(format!("what the log says of itself: {why}"));
        }
        let header = std::mem::take(&mut self.header);
        Ok(Piece::Header { log: self.log.clone(), header: serde_json::to_string(&header).unwrap_or_default() })
    }

    /// The next piece, or why it is passed over; `None` at the end.
    ///
    /// # Errors
    /// Why nothing more can be read.
    fn piece(&mut self) -> Result<Option<Result<Piece, String>>, String> {
        if let Some(found) = self.waiting.take() {
            return Ok(Some(found));
        }
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
                    return if self.header_sent { Ok(None) } else { self.header().map(|header| Some(Ok(header))) };
                }
                Event::Eof if !self.header_sent && self.header.log.is_empty() && self.header.attributes.is_empty() => {
                    return Err("no XES log: there is no <log> in it".to_owned());
                }
                Event::Eof => return Err(Self::cut()),
                _ => continue,
            };
            let keeps = !self.header_sent && self.keeps();
            match element.local_name().as_ref() {
                b"log" if keeps => self.header.log = std::iter::once(("#".to_owned(), "log".to_owned())).chain(pairs(&element)?).collect(),
                b"extension" if keeps => self.header.extensions.push(pairs(&element)?),
                b"classifier" if keeps => self.header.classifiers.push(pairs(&element)?),
                b"global" => {
                    let scope = get(&pairs(&element)?, "scope");
                    let attributes = if empty { Vec::new() } else { self.inside("global", |_, _, _| Ok(()))? };
                    self.header.globals.extend(keeps.then_some((scope, attributes)));
                }
                b"trace" => {
                    let header = if self.header_sent { None } else { Some(self.header()?) };
                    let case = self.case(empty)?;
                    let fault = self.refused.take().map(|why| format!("case `{}`: {why}", case.case));
                    let found = fault.map_or(Ok(Piece::Case(case)), Err);
                    let Some(header) = header else { return Ok(Some(found)) };
                    self.waiting = Some(found);
                    return Ok(Some(Ok(header)));
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
}

impl Iterator for Pieces {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended && self.waiting.is_none() {
            return None;
        }
        let piece = self.piece();
        self.number += 1;
        let (number, line) = (self.number, self.reader.get_ref().line);
        let lane = match &piece {
            Ok(Some(Ok(Piece::Case(case)))) => Some(case.case.clone()),
            Ok(Some(Ok(Piece::Header { .. }) | Err(_)) | None) | Err(_) => None,
        };
        match piece {
            Ok(Some(found)) => Some(Ok(Record { number, line, bytes: found.map(|piece| bytes(&piece)), lane })),
            Ok(None) => None,
            Err(why) => {
                self.ended = true;
                self.waiting = None;
                Some(Ok(Record { number, line, bytes: Err(why), lane }))
            }
        }
    }
}
