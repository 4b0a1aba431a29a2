//! The header of an XES log, kept completely.

use super::super::cases::Piece;
use super::super::records::not_utf8;
use super::Pieces;
use domain::tasks::{Attribute, AttributeType};
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use serde::Serialize;

/// The elements of a log's header besides its attributes.
#[derive(Default, Serialize)]
pub(super) struct Header {
    pub(super) log: Vec<(String, String)>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) extensions: Vec<Vec<(String, String)>>,
    pub(super) globals: Vec<(String, Vec<Attribute>)>,
    pub(super) classifiers: Vec<Vec<(String, String)>>,
}

pub(super) fn attribute_type(name: &[u8]) -> Option<AttributeType> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

pub(super) fn pairs(element: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let key = std::str::from_utf8(attribute.key.as_ref()).map_err(not_utf8)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|e| {
            std::str::from_utf8(&attribute.value).err().map_or_else(|| e.to_string(), not_utf8)
        })?;
        pairs.push((key.to_owned(), value.into_owned()));
    }
    Ok(pairs)
}

pub(super) fn get(pairs: &[(String, String)], key: &str) -> String {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()).unwrap_or_default()
}

impl Pieces {
    /// Completes the header, which then waits for the first case; refuses it if it is too large.
    pub(super) fn end_header(&mut self) {
        self.header_sent = true;
        let header = std::mem::take(&mut self.header);
        match self.refused.take() {
            Some(why) => self
                .waiting
                .push_back((self.line(), Err(format!("what the log says of itself: {why}")))),
            None => {
                self.held = Some(Piece::Header {
                    log: self.log.clone(),
                    header: serde_json::to_string(&header).unwrap_or_default(),
                })
            }
        }
    }
}
