//! Rows of a CSV file: the identity of each, and the event that it describes.

use super::super::cases::Happened;
use super::CASE_NAMES_BYTES_MAX;
use super::Pieces;
use domain::limits::{IMPORT_CASES_MAX, IMPORT_ROWS_MAX};
use domain::tasks::{Attribute, AttributeType};
use domain::values::Digest;
use sha2::{Digest as _, Sha256};

impl Pieces {
    /// Identity of a row: all of its fields, and how many equal rows came before it.
    pub(super) fn identity(&mut self, row: &csv::StringRecord) -> String {
        let mut digest = Sha256::new();
        for field in row {
            digest.update((field.len() as u64).to_be_bytes());
            digest.update(field);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let short = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let before = if self.seen.insert(short) {
            0
        } else {
            let times = self.repeated.entry(short).or_default();
            *times += 1;
            *times
        };
        format!("{}/{before}", Digest(digest))
    }

    /// The event that a row describes, the n-th of its case.
    pub(super) fn happened(&self, row: &csv::StringRecord, identity: String, n: u64) -> Happened {
        let get = |at: usize| row.get(at).unwrap_or_default().to_owned();
        let filled = |at: usize| Some(get(at)).filter(|value| !value.is_empty());
        let attribute = |(at, key): &(usize, String)| {
            filled(*at).map(|value| Attribute {
                key: key.clone(),
                r#type: AttributeType::String,
                value,
                children: Vec::new(),
            })
        };
        Happened {
            n,
            row: Some(identity),
            activity: get(self.places.activity),
            lifecycle: self.places.lifecycle.and_then(filled),
            resource: self.places.resource.and_then(filled),
            time: filled(self.places.time),
            attributes: self.places.attributes.iter().filter_map(attribute).collect(),
        }
    }

    /// Why a row that names its case can't be imported: it has another number of fields than the
    /// header, or the file has become too large. `None` if it can.
    pub(super) fn misfit(&mut self, row: &csv::StringRecord, name: &str) -> Option<String> {
        if row.len() != self.width {
            match self.cases.get_mut(name) {
                Some(known) => (known.broken, known.events) = (true, known.events + 1),
                // What stands in the place of the case may be none.
                None => self.out_of_step = true,
            }
            return Some(format!(
                "the row has {} fields, the header has {}",
                row.len(),
                self.width
            ));
        }
        if !self.cases.contains_key(name) {
            self.named += name.len();
            if self.order.len() >= IMPORT_CASES_MAX || self.named > CASE_NAMES_BYTES_MAX {
                self.ended = true;
                return Some(format!(
                    "the file has more than {IMPORT_CASES_MAX} cases, or names of \
                     {CASE_NAMES_BYTES_MAX} bytes; split it by its cases"
                ));
            }
        }
        if self.seen.len() >= IMPORT_ROWS_MAX {
            self.ended = true;
            return Some(format!(
                "the file has more than {IMPORT_ROWS_MAX} rows; split it by its cases"
            ));
        }
        None
    }
}
