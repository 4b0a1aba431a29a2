//! The public form of an event: a CloudEvents 1.0 object with what those outside may see.
//!
//! The public form is a chosen subset, documented in `docs/public-events.md` and versioned apart
//! from what is stored. Some events have no public form; of the others every sealed (personal)
//! field and every digest over one is left out. `mbform` names the version of these rules.

use domain::{Event, Reach};
use event_log::Recorded;
use serde_json::{Map, Value, json};

/// Version of the rules for the public form, as `mbform` states it.
pub const FORM: &str = "1";

/// True if the declaration of an event type gives it a public form.
#[must_use]
pub fn is_public(event_type: &str) -> bool {
    Event::type_named(event_type).is_some_and(|t| t.reach == Reach::Public)
}

/// The public form of an event; `None` if it has none.
///
/// # Errors
/// If the stored bytes are no event.
pub fn cloud_event(recorded: &Recorded) -> Result<Option<Value>, serde_json::Error> {
    let stored = recorded.stored()?;
    if !is_public(&stored.r#type) {
        return Ok(None);
    }
    let mut event = Map::new();
    let mut set = |name: &str, value: Value| event.insert(name.to_owned(), value);
    set("specversion", "1.0".into());
    set("id", json!(stored.event_id));
    set("source", format!("urn:minutebook:{}", stored.business.stream_name()).into());
    set("type", format!("minutebook.{}.v{}", stored.r#type, stored.schema).into());
    set("subject", format!("{}/{}", stored.kind, stored.id).into());
    set("time", json!(stored.happened_at()));
    set("datacontenttype", "application/json".into());
    set("mbform", FORM.into());
    set("mbbusiness", json!(stored.business));
    set("mbseq", recorded.seq.to_string().into());
    set("mbposition", recorded.position.to_string().into());
    set("mbactor", json!(stored.actor));
    set("mbcorrelation", json!(stored.correlation));
    if let Some(causation) = stored.causation {
        set("mbcausation", json!(causation));
    }
    let mut data: Value = serde_json::from_str(stored.data.get())?;
    keep_public(&mut data);
    set("data", data);
    Ok(Some(Value::Object(event)))
}

/// Removes from an event's data what is not public: sealed fields, and digests over them. The
/// fields that it leaves are listed in `public-form-<n>.txt`.
pub fn keep_public(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                name != "artifact_digest"
                    && member.get("$sealed").is_none()
                    && member.get("digest_key").is_none()
            });
            members.values_mut().for_each(keep_public);
        }
        Value::Array(items) => {
            items.retain(|item| item.get("$sealed").is_none() && item.get("digest_key").is_none());
            items.iter_mut().for_each(keep_public);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
