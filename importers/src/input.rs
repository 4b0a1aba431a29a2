//! The text of a source in UTF-8, whatever file it lies in: gzipped or not, in the encoding that
//! the file itself declares, or the caller names.
//!
//! A gzip file (RFC 1952) that is damaged is read as far as it goes, and says so at its end; who
//! must know before that asks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::source::Reading;

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 1 << 16;
/// How many bytes are searched for the encoding of an XML declaration.
const DECLARATION_BYTES: usize = 256;

/// The character encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// The file is in UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// The file is in UTF-16 with the low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// The file is in UTF-16 with the high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// The file is in ISO-8859-1: each byte is the character with its number.
    #[serde(rename = "iso-8859-1")]
    Latin1,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Self::Utf8),
            "utf-16le" | "utf-16" => Ok(Self::Utf16Le),
            "utf-16be" => Ok(Self::Utf16Be),
            "iso-8859-1" | "latin1" => Ok(Self::Latin1),
            _ => Err(format!(
                "not supported: the encoding {name}; there are utf-8, utf-16le, utf-16be and \
                 iso-8859-1; convert the file with `iconv -f {name} -t utf-8`"
            )),
        }
    }
}

/// An opened source file.
pub struct Input {
    /// The file's text in UTF-8, without a byte order mark.
    pub text: Box<dyn BufRead + Send>,
    path: PathBuf,
}

impl Input {
    /// Opens a file with the encoding that the caller named, if any.
    ///
    /// # Errors
    /// A sentence that says why the file can't be read.
    pub fn of(path: &Path, reading: &Reading) -> Result<Self, String> {
        Self::open(path, reading.encoding).map_err(|e| e.to_string())
    }

    /// Opens a file; `named` is the encoding that the caller named.
    ///
    /// # Errors
    /// If the file can't be read, or its encoding is not known; the sentence says what to do.
    pub fn open(path: &Path, named: Option<Encoding>) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
        let bytes: Box<dyn Read + Send> =
            if is_gzip(&mut file)? { Box::new(Member::of(file)) } else { Box::new(file) };
        let mut bytes = BufReader::with_capacity(CHUNK_BYTES, bytes);
        let (encoding, mark) = encoding(&begin(&mut bytes)?, named)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        bytes.consume(mark);
        let text: Box<dyn BufRead + Send> = match encoding {
            Encoding::Utf8 => Box::new(bytes),
            Encoding::Utf16Le | Encoding::Utf16Be | Encoding::Latin1 => {
                Box::new(BufReader::with_capacity(
                    CHUNK_BYTES,
                    Decoded { bytes, encoding, text: Vec::new(), given: 0, high: None, at: 0 },
                ))
            }
        };
        Ok(Self { text, path: path.to_owned() })
    }

    /// True if the file is a damaged gzip file; reads it once more to its end to find out. What can
    /// be read of a damaged file is still imported.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let Ok(file) = File::open(&self.path) else { return false };
        let mut file = BufReader::with_capacity(CHUNK_BYTES, file);
        is_gzip(&mut file).unwrap_or(false)
            && io::copy(&mut Member::of(file), &mut io::sink()).is_err()
    }
}

fn is_gzip(file: &mut impl BufRead) -> io::Result<bool> {
    Ok(file.fill_buf()?.starts_with(&[0x1f, 0x8b]))
}

/// The only member of a gzip file. An error at its end means that the file is damaged, or that
/// something follows the member.
struct Member<R> {
    decoder: GzDecoder<R>,
    over: bool,
    /// Why nothing more can be read; every further read fails with it.
    damage: Option<String>,
}

impl<R: BufRead> Member<R> {
    fn of(file: R) -> Self {
        Self { decoder: GzDecoder::new(file), over: false, damage: None }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let n = self.decoder.read(buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            self.over = true;
            if !self.decoder.get_mut().fill_buf().map_err(|e| e.to_string())?.is_empty() {
                return Err("bytes follow the end of its first member, and are not read".to_owned());
            }
        }
        Ok(n)
    }
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_none() && !self.over && !buffer.is_empty() {
            match self.next(buffer) {
                Ok(n) => return Ok(n),
                Err(why) => {
                    self.damage = Some(format!(
                        "the gzip file is damaged: {why}; get it again and import it again, \
                         nothing is doubled"
                    ))
                }
            }
        }
        self.damage
            .as_ref()
            .map_or(Ok(0), |why| Err(io::Error::new(io::ErrorKind::InvalidData, why.clone())))
    }
}

/// The first bytes of the file, which are not consumed.
fn begin(bytes: &mut impl BufRead) -> io::Result<Vec<u8>> {
    // What a damaged file begins with is read where it is told.
    Ok(bytes
        .fill_buf()
        .map(|begin| begin.iter().copied().take(DECLARATION_BYTES).collect())
        .unwrap_or_default())
}

/// The encoding of a text with this beginning, and the length of its byte order mark in bytes.
fn encoding(begin: &[u8], named: Option<Encoding>) -> Result<(Encoding, usize), String> {
    let marks: [(&[u8], Encoding); 3] = [
        (&[0xEF, 0xBB, 0xBF], Encoding::Utf8),
        (&[0xFF, 0xFE], Encoding::Utf16Le),
        (&[0xFE, 0xFF], Encoding::Utf16Be),
    ];
    if let Some((mark, encoding)) = marks.iter().find(|(mark, _)| begin.starts_with(mark)) {
        return Ok((*encoding, mark.len()));
    }
    if let Some(named) = named {
        return Ok((named, 0));
    }
    match begin {
        // A declaration that is written so says that it is UTF-16 (XML 1.0, appendix F).
        [b'<', 0, b'?', 0, ..] => return Ok((Encoding::Utf16Le, 0)),
        [0, b'<', 0, b'?', ..] => return Ok((Encoding::Utf16Be, 0)),
        [0, ..] | [_, 0, ..] => {
            return Err("the file looks like UTF-16 without a byte order mark; \
            say so with --encoding utf-16le or utf-16be"
                .to_owned());
        }
        _ => {}
    }
    let readable = begin
        .strip_prefix(b"<?xml")
        .and_then(|rest| rest.utf8_chunks().next())
        .map_or("", |chunk| chunk.valid());
    let declared = readable.split_once("?>").map_or("", |(declaration, _)| declaration);
    let value = declared.split_once("encoding").and_then(|(_, rest)| {
        rest.trim_start().strip_prefix('=')?.trim_start().get(1..)?.split(['"', '\'']).next()
    });
    Ok((value.map_or(Ok(Encoding::Utf8), str::parse)?, 0))
}

/// Decodes text of another encoding to UTF-8.
struct Decoded<R> {
    bytes: R,
    encoding: Encoding,
    text: Vec<u8>,
    /// How many bytes of the decoded text were handed out.
    given: usize,
    /// The first half of a UTF-16 surrogate pair.
    high: Option<u16>,
    /// How many bytes were decoded.
    at: u64,
}

impl<R: BufRead> Decoded<R> {
    fn push(&mut self, character: char) {
        self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn wrong(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("no UTF-16 at byte {}; what is before it was read", self.at + 1),
        )
    }

    fn unit(&mut self, unit: u16) -> io::Result<()> {
        let units = self.high.take().into_iter().chain(std::iter::once(unit));
        let decoded: Result<Vec<char>, _> = char::decode_utf16(units.clone()).collect();
        match decoded {
            Ok(characters) => characters.into_iter().for_each(|c| self.push(c)),
            Err(_) if units.count() == 1 && (0xD800..0xDC00).contains(&unit) => {
                self.high = Some(unit)
            }
            Err(_) => return Err(self.wrong()),
        }
        Ok(())
    }

    fn decode(&mut self) -> io::Result<()> {
        (self.given, self.text) = (0, Vec::with_capacity(2 * CHUNK_BYTES));
        while self.text.is_empty() {
            let chunk = self.bytes.fill_buf()?.to_vec();
            if chunk.is_empty() {
                return if self.high.is_some() { Err(self.wrong()) } else { Ok(()) };
            }
            if self.encoding == Encoding::Latin1 {
                chunk.iter().for_each(|byte| self.push(char::from(*byte)));
                self.bytes.consume(chunk.len());
                continue;
            }
            let order = |pair: [u8; 2]| {
                if self.encoding == Encoding::Utf16Be {
                    u16::from_be_bytes(pair)
                } else {
                    u16::from_le_bytes(pair)
                }
            };
            let (pairs, odd) = chunk.as_chunks::<2>();
            let mut units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
            self.bytes.consume(chunk.len() - odd.len());
            if let ([first], true) = (odd, pairs.is_empty()) {
                // The second byte of this unit is in the next chunk.
                self.bytes.consume(1);
                let next = self.bytes.fill_buf()?.first().copied().ok_or_else(|| self.wrong())?;
                self.bytes.consume(1);
                units.push(order([*first, next]));
            }
            for unit in units {
                self.unit(unit)?;
                self.at += 2;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.decode()?;
        }
        let rest = self.text.get(self.given..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.given += n;
        Ok(n)
    }
}
