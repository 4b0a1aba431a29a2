//! A reader that counts lines and bounds how much is read for one piece of text.

use std::io::{self, BufRead, Read};

use domain::limits::IMPORT_RECORD_BYTES_MAX;

use super::records::too_large;

/// Counts lines as they are read, so that an error can say where it is.
pub(super) struct Lines<R> {
    inner: R,
    /// The current line, from 1.
    pub(super) line: u64,
    /// Bytes that may be read before the next piece of markup or text must end.
    pub(super) left: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, line: 1, left: IMPORT_RECORD_BYTES_MAX }
    }
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
        let newlines =
            self.inner.fill_buf().map_or(0, |b| b.iter().take(n).filter(|c| **c == b'\n').count());
        self.line += newlines as u64;
        self.inner.consume(n);
    }
}
