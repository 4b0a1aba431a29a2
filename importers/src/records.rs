//! Splits a file into records: the elements of a JSON array, or JSON Lines.
//!
//! Only brackets and strings are looked at, so that a record that is broken inside is still found
//! whole, and the next one after it.

use std::io::{self, BufRead};

use domain::limits::{DEPTH_MAX, IMPORT_RECORD_BYTES_MAX, IMPORT_RECORD_VALUES_MAX};

/// A record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the record, from 1.
    pub number: u64,
    /// Line on which the record begins, from 1.
    pub line: u64,
    /// The bytes of the record, or why it could not be read.
    pub bytes: Result<Vec<u8>, String>,
    /// Records of the same lane are imported one after another; records without one in any order.
    pub lane: Option<String>,
}

/// The nesting of a record and the number of its values, checked before it is parsed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    depth: usize,
    deepest: usize,
    values: usize,
    in_string: bool,
    escaped: bool,
}

impl Shape {
    /// Counts the next byte.
    fn next(&mut self, byte: u8) {
        match (self.in_string, byte) {
            (true, _) if self.escaped => self.escaped = false,
            (true, b'\\') => self.escaped = true,
            (true, b'"') => self.in_string = false,
            (true, _) => {}
            (false, b'"') => self.in_string = true,
            (false, b'{' | b'[') => {
                (self.depth, self.values) = (self.depth + 1, self.values + 1);
                self.deepest = self.deepest.max(self.depth);
            }
            (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
            (false, b',') => self.values += 1,
            (false, _) => {}
        }
    }

    /// Why the record has too many levels or values to be parsed; `None` if it has not.
    fn fault(&self) -> Option<String> {
        if self.deepest > DEPTH_MAX {
            return Some(format!("the record is nested deeper than {DEPTH_MAX} levels"));
        }
        (self.values > IMPORT_RECORD_VALUES_MAX)
            .then(|| format!("the record has more than {IMPORT_RECORD_VALUES_MAX} values"))
    }

    /// Checks a whole record.
    ///
    /// # Errors
    /// Why the record has too many bytes, levels or values to be parsed.
    pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > IMPORT_RECORD_BYTES_MAX {
            return Err(too_large());
        }
        let mut shape = Self::default();
        bytes.iter().for_each(|byte| shape.next(*byte));
        shape.fault().map_or(Ok(()), Err)
    }
}

/// The message about a record that has too many bytes.
pub(super) fn too_large() -> String {
    format!("the record has more than {IMPORT_RECORD_BYTES_MAX} bytes")
}

/// How records are arranged in their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// The records are the elements of one JSON array.
    Array,
    /// The records are objects one after another, such as JSON Lines.
    Lines,
}

/// Reads records from a file.
///
/// A record that is broken costs itself alone where the next one can be found: at the next line
/// that begins as the broken record's own line began, with the same blanks and a brace that no
/// valid record could have there.
pub struct Records<R> {
    input: R,
    line: u64,
    number: u64,
    layout: Option<Layout>,
    /// The blanks before the record on its line; `None` if something else stands there.
    indent: Option<Vec<u8>>,
    /// True if the first brace of the next record was already read with the record before it.
    begun: bool,
    ended: bool,
}

/// The message about a record that can't be told from the next one.
const RUNS_ON: &str = "the record is no JSON: another begins before it ends";
/// The message about a record with a line break inside a string.
const BREAKS: &str = "the record is no JSON: a string in it is not closed on its line";

/// The record that is being read.
struct Reading {
    bytes: Vec<u8>,
    shape: Shape,
    /// What is wrong with the record; then only the beginning of the next one is looked for.
    broken: Option<&'static str>,
    /// The last byte that is not blank.
    last: u8,
    /// How many bytes from the beginning of this line equal the indent of the record's first line;
    /// `None` once one differs.
    alike: Option<usize>,
}

impl Reading {
    fn keep(&mut self, byte: u8) {
        if self.bytes.len() <= IMPORT_RECORD_BYTES_MAX && self.shape.fault().is_none() {
            self.bytes.push(byte);
        }
    }

    /// True if a brace here is the first of another record.
    fn is_another(&self, byte: u8, indent: Option<&[u8]>) -> bool {
        let place = indent.is_some_and(|indent| self.alike == Some(indent.len()));
        // Without blanks before it, it may as well be a value of this one.
        let value = indent.is_some_and(<[u8]>::is_empty) && matches!(self.last, b':' | b',' | b'[');
        byte == b'{' && place && (self.broken.is_some() || !value)
    }

    /// Compares the beginning of this line with that of the record's first line.
    fn compare(&mut self, byte: u8, indent: Option<&[u8]>) {
        self.alike = match self.alike {
            _ if byte == b'\n' => Some(0),
            Some(n) if indent.and_then(|indent| indent.get(n)) == Some(&byte) => Some(n + 1),
            Some(_) | None => None,
        };
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
    }
}

impl<R: BufRead> Records<R> {
    /// Reads the records of `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: 1,
            number: 0,
            layout: None,
            indent: Some(Vec::new()),
            begun: false,
            ended: false,
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let Some(&byte) = self.input.fill_buf()?.first() else { return Ok(None) };
        self.input.consume(1);
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(Some(byte))
    }

    /// The first byte of the next record; `None` at the end of the file.
    fn start(&mut self) -> io::Result<Option<u8>> {
        if std::mem::take(&mut self.begun) {
            return Ok(Some(b'{'));
        }
        loop {
            match self.byte()? {
                None => return Ok(None),
                // The array around the records, and what stands between them.
                Some(b'[') if self.layout.is_none() => {
                    (self.layout, self.indent) = (Some(Layout::Array), None)
                }
                Some(b']') if self.layout == Some(Layout::Array) => return self.after_array(),
                Some(b'\n') => self.indent = Some(Vec::new()),
                Some(blank @ (b' ' | b'\t')) => {
                    self.indent.iter_mut().for_each(|indent| indent.push(blank))
                }
                Some(b',') => self.indent = None,
                Some(b'\r' | 0xEF | 0xBB | 0xBF) => {}
                Some(byte) => return Ok(Some(byte)),
            }
        }
    }

    /// Skips blanks after the array; returns the first other byte, which begins a faulty record.
    fn after_array(&mut self) -> io::Result<Option<u8>> {
        self.ended = true;
        while let Some(byte) = self.byte()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        let first = self.start()?;
        let (cut, closed) = (self.layout == Some(Layout::Array) && !self.ended, self.ended);
        self.number += 1;
        let (number, line) = (self.number, self.line);
        let record = |bytes| Ok(Some(Record { number, line, bytes, lane: None }));
        let told = |why: &str| record(Err(why.to_owned()));
        let Some(first) = first else {
            self.ended = true;
            return match number {
                _ if cut => told(
                    "the file ends before its list does; mend the file and import it again, \
                     nothing is doubled",
                ),
                1 => told("there is no record in this file"),
                _ => Ok(None),
            };
        };
        if closed {
            return told(
                "there is something after the end of the list, which is not read; is it two files \
                 in one?",
            );
        }
        self.layout.get_or_insert(Layout::Lines);
        if first != b'{' {
            // Not a record: passed over to the end of its line.
            while !matches!(self.byte()?, None | Some(b'\n')) {}
            self.indent = Some(Vec::new());
            return told("a record must be an object");
        }
        let mut reading = Reading {
            bytes: vec![first],
            shape: Shape::default(),
            broken: None,
            last: first,
            alike: None,
        };
        reading.shape.next(first);
        while reading.broken.is_some() || reading.shape.depth > 0 {
            let Some(byte) = self.byte()? else {
                self.ended = true;
                return told(reading.broken.unwrap_or(
                    "the file ends in the middle of this record; \
                    mend the file and import it again, nothing is doubled",
                ));
            };
            if reading.is_another(byte, self.indent.as_deref()) {
                self.begun = true;
                return told(reading.broken.unwrap_or(RUNS_ON));
            }
            if byte == b'\n' && reading.shape.in_string && reading.broken.is_none() {
                reading.broken = Some(BREAKS);
            }
            reading.compare(byte, self.indent.as_deref());
            reading.shape.next(byte);
            reading.keep(byte);
        }
        self.indent = None;
        let Reading { bytes, shape, .. } = reading;
        if bytes.len() > IMPORT_RECORD_BYTES_MAX {
            return record(Err(too_large()));
        }
        if let Some(why) = shape.fault() {
            return record(Err(why));
        }
        record(
            String::from_utf8(bytes).map(String::into_bytes).map_err(|e| not_utf8(e.utf8_error())),
        )
    }
}

/// The message about a text that is no UTF-8.
pub(super) fn not_utf8(e: std::str::Utf8Error) -> String {
    format!(
        "its byte {} is no UTF-8; if the file is written in another encoding, name that with \
         --encoding",
        e.valid_up_to() + 1
    )
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // What can't be read, such as a damaged gzip, ends the file, and not the import.
        let next = self.read().unwrap_or_else(|e| {
            self.ended = true;
            Some(Record {
                number: self.number.max(1),
                line: self.line,
                bytes: Err(e.to_string()),
                lane: None,
            })
        });
        self.ended |= next.is_none();
        next.map(Ok)
    }
}
