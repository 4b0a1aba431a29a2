//! A trace of an XES log, event by event.

use super::super::cases::{Case, Happened, fault_of, value_of};
use super::Pieces;
use domain::limits::IMPORT_CASES_MAX;
use domain::tasks::Attribute;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

pub(super) fn happened(n: u64, attributes: Vec<Attribute>) -> Happened {
    Happened {
        n,
        row: None,
        activity: value_of(&attributes, "concept:name").unwrap_or_default(),
        lifecycle: value_of(&attributes, "lifecycle:transition"),
        resource: value_of(&attributes, "org:resource"),
        time: value_of(&attributes, "time:timestamp"),
        attributes,
    }
}

impl Pieces {
    pub(super) fn case(&mut self, empty: bool) -> Result<Case, String> {
        self.place += 1;
        self.record_bytes = 0;
        let (mut events, mut count, mut whole) = (Vec::new(), 0, !self.damaged);
        let attributes = if empty {
            Vec::new()
        } else {
            self.inside("trace", |me, element, empty| {
                if element.local_name().as_ref() == b"event" {
                    let attributes =
                        if empty { Vec::new() } else { me.inside("event", |_, _, _| Ok(()))? };
                    if !me.keeps() {
                        events.clear();
                        return Ok(());
                    }
                    let event = happened(count, attributes);
                    count += 1;
                    match fault_of(&event).filter(|fault| !me.allow_missing || !fault.is_missing) {
                        None => events.push(event),
                        Some(fault) => {
                            whole = false;
                            let why = format!(
                                "event {count} of case {}: {}; its case stays open",
                                me.place, fault.why
                            );
                            me.waiting.push_back((me.line(), Err(why)));
                        }
                    }
                }
                Ok(())
            })?
        };
        let named = value_of(&attributes, "concept:name");
        if named.is_none() && !self.allow_missing && self.keeps() {
            self.refused =
                Some("it has no concept:name; --allow-missing takes it by its place".to_owned());
        }
        let case = named.unwrap_or_else(|| format!("#{}", self.place));
        let again = self.times(&case);
        let (began, ended) = (
            events.first().and_then(|e: &Happened| e.time.clone()),
            events.last().and_then(|e| e.time.clone()),
        );
        Ok(Case {
            log: self.log.clone(),
            case,
            again,
            place: self.place,
            first: true,
            events,
            attributes,
            last: whole,
            began,
            ended,
        })
    }

    /// How many cases with this name came before; 0 for every new name once there are too many.
    pub(super) fn times(&mut self, name: &str) -> u32 {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        if self.names.len() >= IMPORT_CASES_MAX && !self.names.contains_key(&hash) {
            return 0;
        }
        let times = self.names.entry(hash).or_default();
        *times += 1;
        *times - 1
    }
}
