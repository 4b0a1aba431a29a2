//! Records of a file, one at a time: the elements of a JSON array, or JSON Lines.
//!
//! Only brackets and strings are looked at, so that a record that is broken inside is still found
//! whole, and the next one after it.

use std::io::{self, BufRead};

use domain::limits::{DEPTH_MAX, IMPORT_RECORD_BYTES_MAX, IMPORT_RECORD_VALUES_MAX};

/// A record as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1.
    pub number: u64,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Its bytes; or why it could not be read.
    pub bytes: Result<Vec<u8>, String>,
    /// Records of the same lane are taken one after another; those of none in any order.
    pub lane: Option<String>,
}

/// What is looked at of a record before anything takes it apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    depth: usize,
    deepest: usize,
    values: usize,
    in_string: bool,
    escaped: bool,
}

impl Shape {
    /// Looks at the next byte.
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

    /// Why it is too much to be taken apart.
    fn fault(&self) -> Option<String> {
        if self.deepest > DEPTH_MAX {
            return Some(format!("the record is nested deeper than {DEPTH_MAX} levels"));
        }
        (self.values > IMPORT_RECORD_VALUES_MAX).then(|| format!("the record has more than {IMPORT_RECORD_VALUES_MAX} values"))
    }

    /// Looks at a whole record.
    ///
    /// # Errors
    /// Why it is too much to be taken apart.
    pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > IMPORT_RECORD_BYTES_MAX {
            return Err(too_large());
        }
        let mut shape = Self::default();
        bytes.iter().for_each(|byte| shape.next(*byte));
        shape.fault().map_or(Ok(()), Err)
    }
}

/// What is said of a record with more bytes than one may have.
pub(super) fn too_large() -> String {
    format!("the record has more than {IMPORT_RECORD_BYTES_MAX} bytes")
}

/// Reads records from a file.
pub struct Records<R> {
    input: R,
    line: u64,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Records<R> {
    /// Records of that input.
    pub fn new(input: R) -> Self {
        Self { input, line: 1, number: 0, ended: false }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let Some(&byte) = self.input.fill_buf()?.first() else { return Ok(None) };
        self.input.consume(1);
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(Some(byte))
    }

    /// The first byte of the next record; `None` at the end.
    fn start(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.byte()? {
                None | Some(b']') => return Ok(None),
                // The array around the records, and what stands between them.
                Some(b'[') if self.number == 0 => {}
                Some(b',' | b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF) => {}
                Some(byte) => return Ok(Some(byte)),
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        let Some(first) = self.start()? else { return Ok(None) };
        self.number += 1;
        let (number, line) = (self.number, self.line);
        let record = |bytes| Ok(Some(Record { number, line, bytes, lane: None }));
        if first != b'{' {
            // Not a record: passed over to the end of its line.
            while !matches!(self.byte()?, None | Some(b'\n')) {}
            return record(Err("a record must be an object".to_owned()));
        }
        let (mut bytes, mut shape) = (vec![first], Shape::default());
        shape.next(first);
        while shape.depth > 0 {
            let Some(byte) = self.byte()? else {
                self.ended = true;
                return record(Err("the file ends in the middle of this record; mend the file and import it again, nothing is doubled".to_owned()));
            };
            shape.next(byte);
            if bytes.len() <= IMPORT_RECORD_BYTES_MAX && shape.fault().is_none() {
                bytes.push(byte);
            }
        }
        if bytes.len() > IMPORT_RECORD_BYTES_MAX {
            return record(Err(too_large()));
        }
        record(shape.fault().map_or(Ok(bytes), Err))
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read();
        self.ended |= !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}
