//! Trusted documents: the only ones that an API answers, when it is given a list of them. A client
//! names one by its id, or sends the very text.

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::{Request, ServerError, Value};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::errors::refused;

/// A file with trusted documents: as code generators write it (ids with texts), or Apollo's
/// manifest.
#[derive(Deserialize)]
#[serde(untagged)]
enum ManifestFile {
    Apollo { operations: Vec<ApolloOperation> },
    ByIds(HashMap<String, String>),
}

#[derive(Deserialize)]
struct ApolloOperation {
    id: String,
    body: String,
}

/// The documents that clients may ask for.
pub struct TrustedDocuments {
    by_id: HashMap<String, String>,
    /// The texts by their SHA-256.
    by_digest: HashMap<[u8; 32], String>,
}

impl std::fmt::Debug for TrustedDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} trusted documents", self.count())
    }
}

impl TrustedDocuments {
    /// Parses a file: a JSON object of ids with texts, as `@graphql-codegen` and `relay-compiler`
    /// write it, or the manifest that Apollo's tools write.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, and with which document.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let file: ManifestFile = serde_json::from_slice(json).map_err(|_| {
            "no JSON object of ids with documents, and no manifest of Apollo's tools".to_owned()
        })?;
        let by_id: HashMap<String, String> = match file {
            ManifestFile::Apollo { operations } => {
                operations.into_iter().map(|o| (o.id, o.body)).collect()
            }
            ManifestFile::ByIds(documents) => documents,
        };
        if by_id.is_empty() {
            return Err("there is no document in it, so that nothing would be answered".to_owned());
        }
        for (id, text) in &by_id {
            parse_query(text).map_err(|e| format!("the document `{id}` does not parse: {e}"))?;
        }
        let by_digest = by_id.values().map(|text| (Sha256::digest(text).into(), text.clone()));
        Ok(Self { by_digest: by_digest.collect(), by_id })
    }

    /// How many documents there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The document with this id, or with this SHA-256.
    fn named(&self, id: &str) -> Option<&String> {
        let digest = || id.to_lowercase().parse::<domain::values::Digest>().ok();
        self.by_id.get(id).or_else(|| self.by_digest.get(&digest()?.0))
    }

    /// Puts the text of the document that a request names into it; refuses every other document.
    pub(crate) fn admit(&self, request: &mut Request) -> Result<(), Box<ServerError>> {
        let refuse = |message: &str| {
            let hint = "send the id of a document of the list as `documentId`, or its very text";
            Box::new(refused("NOT_TRUSTED", message, hint))
        };
        let id = document_id(request);
        if let Some(text) = id.as_deref().and_then(|id| self.named(id)) {
            request.query.clone_from(text);
        } else if request.query.is_empty() {
            return Err(refuse("no trusted document has this id"));
        } else if !self.by_digest.contains_key(&<[u8; 32]>::from(Sha256::digest(&request.query))) {
            return Err(refuse("this server answers only the documents of its list"));
        }
        request.extensions.0.remove("persistedQuery");
        Ok(())
    }
}

/// The id of a document that a request names: `documentId`, or the hash of a persisted query.
fn document_id(request: &Request) -> Option<String> {
    let named = |value: &Value| match value {
        Value::String(id) => Some(id.clone()),
        Value::Null
        | Value::Number(_)
        | Value::Boolean(_)
        | Value::Binary(_)
        | Value::Enum(_)
        | Value::List(_)
        | Value::Object(_) => None,
    };
    let extensions = &request.extensions.0;
    extensions.get("documentId").and_then(named).or_else(|| {
        let Value::Object(persisted) = extensions.get("persistedQuery")? else { return None };
        named(persisted.get("sha256Hash")?)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::*;

    fn ask(documents: &TrustedDocuments, mut request: Request) -> Result<String, String> {
        let admitted = documents.admit(&mut request);
        admitted.map(|()| request.query).map_err(|e| e.message)
    }

    #[test]
    fn only_what_is_listed_is_admitted_by_id_or_text() {
        for file in [
            r#"{"a1": "{ limits { name } }"}"#,
            r#"{"format": "apollo-persisted-query-manifest", "version": 1, "operations":
                [{"id": "a1", "name": "L", "type": "query", "body": "{ limits { name } }"}]}"#,
        ] {
            let documents = TrustedDocuments::parse(file.as_bytes()).unwrap();
            let text = "{ limits { name } }";
            let mut named = Request::new("");
            named.extensions.0.insert("documentId".to_owned(), Value::from("a1"));
            assert_eq!(ask(&documents, named).unwrap(), text);
            assert_eq!(ask(&documents, Request::new(text)).unwrap(), text);
            assert!(ask(&documents, Request::new("{ limits { value } }")).is_err());
            // The id of a listed document does not let another text in.
            let mut other = Request::new("{ limits { value } }");
            other.extensions.0.insert("documentId".to_owned(), Value::from("a1"));
            assert_eq!(ask(&documents, other).unwrap(), text);
            assert!(ask(&documents, Request::new("")).is_err());
            let digest = domain::values::Digest(Sha256::digest(text).into()).to_string();
            let mut hashed = Request::new("");
            hashed.extensions.0.insert("documentId".to_owned(), Value::from(digest));
            assert_eq!(ask(&documents, hashed).unwrap(), text);
        }
    }

    #[test]
    fn a_broken_list_is_refused_with_the_document() {
        for (file, said) in [
            ("[]", "no JSON object"),
            ("{}", "no document in it"),
            (r#"{"a1": "{ limits "}"#, "`a1` does not parse"),
        ] {
            let refused = TrustedDocuments::parse(file.as_bytes()).err().unwrap();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
