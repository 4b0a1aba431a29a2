//! XES (IEEE 1849): the log's header, then case by case, read as a stream; gzip is recognised.
//!
//! Attributes keep their type, key, lexical value, children and order, so that the same log can be
//! written again.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use domain::tasks::{Attribute, AttributeType};
use flate2::bufread::MultiGzDecoder;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::Serialize;

use super::cases::{Case, Happened, Piece, bytes, value_of};
use super::records::Record;

/// Counts lines as they are read, so that an error can say where it is.
struct Lines<R> {
    inner: R,
    line: u64,
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
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        let newlines = self.inner.fill_buf().map_or(0, |b| b.iter().take(n).filter(|c| **c == b'\n').count());
        self.line += newlines as u64;
        self.inner.consume(n);
    }
}

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
    waiting: Option<Case>,
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
        let reader = Reader::from_reader(Lines { inner, line: 1 });
        Ok(Self { reader, log, header: Header::default(), header_sent: false, number: 0, place: 0, ended: false, waiting: None })
    }

    fn event(&mut self) -> Result<Event<'static>, String> {
        let mut buffer = Vec::new();
        let event = self.reader.read_event_into(&mut buffer).map_err(|e| format!("no XML: {e}; mend the file and import it again, nothing is doubled"))?;
        Ok(event.into_owned())
    }

    fn cut() -> String {
        "the file ends in the middle of the log; mend the file and import it again, nothing is doubled".to_owned()
    }

    /// An attribute whose start was read; `empty` when it has no children.
    fn attribute(&mut self, element: &BytesStart<'_>, of: AttributeType, empty: bool) -> Result<Attribute, String> {
        let pairs = pairs(element)?;
        let mut children = Vec::new();
        if !empty {
            loop {
                match self.event()? {
                    // What is none is the <values> of a list: its children are the list's.
                    Event::Start(e) => {
                        if let Some(inner) = attribute_type(e.local_name().as_ref()) {
                            children.push(self.attribute(&e, inner, false)?);
                        }
                    }
                    Event::Empty(e) => {
                        if let Some(inner) = attribute_type(e.local_name().as_ref()) {
                            children.push(self.attribute(&e, inner, true)?);
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

    /// Attributes up to the end of the element of that name; what is no attribute goes to `other`.
    fn inside(&mut self, end: &str, mut other: impl FnMut(&mut Self, &BytesStart<'_>, bool) -> Result<(), String>) -> Result<Vec<Attribute>, String> {
        let mut attributes = Vec::new();
        loop {
            match self.event()? {
                Event::Start(e) => match attribute_type(e.local_name().as_ref()) {
                    Some(of) => attributes.push(self.attribute(&e, of, false)?),
                    None => other(self, &e, false)?,
                },
                Event::Empty(e) => match attribute_type(e.local_name().as_ref()) {
                    Some(of) => attributes.push(self.attribute(&e, of, true)?),
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
        let mut events = Vec::new();
        let attributes = if empty {
            Vec::new()
        } else {
            self.inside("trace", |me, element, empty| {
                if element.local_name().as_ref() == b"event" {
                    let attributes = if empty { Vec::new() } else { me.inside("event", |_, _, _| Ok(()))? };
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

    fn header(&mut self) -> Piece {
        self.header_sent = true;
        Piece::Header { log: self.log.clone(), header: serde_json::to_string(&self.header).unwrap_or_default() }
    }

    /// The next piece; `None` at the end.
    fn piece(&mut self) -> Result<Option<Piece>, String> {
        if let Some(case) = self.waiting.take() {
            return Ok(Some(Piece::Case(case)));
        }
        loop {
            let event = self.event()?;
            let (element, empty) = match event {
                Event::Start(e) => (e, false),
                Event::Empty(e) => (e, true),
                Event::End(e) if e.local_name().as_ref() == b"log" => {
                    self.ended = true;
                    return Ok((!self.header_sent).then(|| self.header()));
                }
                Event::Eof if self.header.log.is_empty() && self.header.attributes.is_empty() => return Err("no XES log: there is no <log> in it".to_owned()),
                Event::Eof => return Err(Self::cut()),
                _ => continue,
            };
            match element.local_name().as_ref() {
                b"log" => self.header.log = std::iter::once(("#".to_owned(), "log".to_owned())).chain(pairs(&element)?).collect(),
                b"extension" => self.header.extensions.push(pairs(&element)?),
                b"classifier" => self.header.classifiers.push(pairs(&element)?),
                b"global" => {
                    let scope = get(&pairs(&element)?, "scope");
                    let attributes = if empty { Vec::new() } else { self.inside("global", |_, _, _| Ok(()))? };
                    self.header.globals.push((scope, attributes));
                }
                b"trace" => {
                    let case = self.case(empty)?;
                    if self.header_sent {
                        return Ok(Some(Piece::Case(case)));
                    }
                    self.waiting = Some(case);
                    return Ok(Some(self.header()));
                }
                name => {
                    if let Some(of) = attribute_type(name) {
                        let attribute = self.attribute(&element, of, empty)?;
                        self.header.attributes.push(attribute);
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
            Ok(Some(Piece::Case(case))) => Some(case.case.clone()),
            Ok(Some(Piece::Header { .. }) | None) | Err(_) => None,
        };
        match piece {
            Ok(Some(piece)) => Some(Ok(Record { number, line, bytes: Ok(bytes(&piece)), lane })),
            Ok(None) => None,
            Err(why) => {
                self.ended = true;
                self.waiting = None;
                Some(Ok(Record { number, line, bytes: Err(why), lane }))
            }
        }
    }
}
