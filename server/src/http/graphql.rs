//! `/graphql` over HTTP, by the GraphQL-over-HTTP specification (working draft): GET and POST,
//! `application/json` and `application/graphql-response+json`.
//!
//! With the latter a request that never ran (it does not parse, or does not fit the schema) is 400
//! and has no `data`; with `application/json` every well-formed request is 200, as old clients
//! expect. A body that is no GraphQL request at all is 400 with both.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use async_graphql::{Request, Response, Value, Variables};
use domain::limits::{BODY_BYTES_MAX, GRAPHQL_BATCH_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::problem::let_in;
use super::questions::TooSlow;
use super::{Problem, Shared, reader};

const RESPONSE_JSON: &str = "application/graphql-response+json";

/// The parameters of a GraphQL request; other members are ignored, as the specification asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    query: Option<String>,
    /// Id of a trusted document.
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<Map<String, serde_json::Value>>,
    extensions: Option<Map<String, serde_json::Value>>,
}

/// The parameters in a query string, where variables and extensions are JSON in a string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddressParams {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl Params {
    fn into_request(self) -> Request {
        let mut request = Request::new(self.query.unwrap_or_default());
        request.operation_name = self.operation_name;
        request.variables =
            Variables::from_json(serde_json::Value::Object(self.variables.unwrap_or_default()));
        let extensions = self.extensions.unwrap_or_default().into_iter();
        request.extensions.0 = extensions
            .filter_map(|(name, value)| Some((name, Value::from_json(value).ok()?)))
            .collect();
        if let Some(id) = self.document_id {
            request.extensions.0.insert("documentId".to_owned(), Value::String(id));
        }
        request
    }
}

/// The media type in which the client wants the response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    ResponseJson,
}

impl Media {
    fn of(request: &HttpRequest) -> Option<Self> {
        let Some(accept) = request.headers().get(header::ACCEPT) else { return Some(Self::Json) };
        let text = accept.to_str().unwrap_or_default();
        // In the client's order: nobody sends weights here that would turn it round.
        text.split(',').find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
            RESPONSE_JSON => Some(Self::ResponseJson),
            "application/json" | "application/*" | "*/*" | "" => Some(Self::Json),
            _ => None,
        })
    }

    fn respond<T: Serialize>(self, status: StatusCode, body: &T) -> HttpResponse {
        let content_type = match self {
            Self::Json => "application/json; charset=utf-8",
            Self::ResponseJson => "application/graphql-response+json; charset=utf-8",
        };
        HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, content_type))
            .body(serde_json::to_vec(body).unwrap_or_default())
    }

    fn refuse(self, status: StatusCode, code: &str, message: &str, hint: &str) -> HttpResponse {
        self.respond(
            status,
            &json!({"errors": [{"message": message, "extensions": {"code": code, "hint": hint}}]}),
        )
    }

    fn answer(self, response: &Response) -> HttpResponse {
        let never_ran = never_ran(response);
        let status = if never_ran && self == Self::ResponseJson {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
        self.respond(status, &Body(response))
    }
}

/// True if the request was refused before it ran: errors without a path, and no data.
fn never_ran(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|e| e.path.is_empty())
}

/// A response body: without `data` if the request never ran.
struct Body<R>(R);

impl<R: std::borrow::Borrow<Response>> Serialize for Body<R> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let response = self.0.borrow();
        if never_ran(response) {
            json!({"errors": response.errors}).serialize(s)
        } else {
            response.serialize(s)
        }
    }
}

/// GET and POST of `/graphql`.
pub(super) async fn graphql(
    request: HttpRequest,
    state: Shared,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let viewer = reader(&request, &state).await?;
    let ask = |queries| {
        let_in(state.app.bus.rates().admit_queries(
            viewer.principal,
            viewer.known.rate_profile(),
            queries,
        ))
    };
    ask(1).await?;
    let Some(media) = Media::of(&request) else {
        let hint = "accept application/graphql-response+json or application/json";
        return Ok(Media::Json.refuse(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "there is no answer of a type that you accept",
            hint,
        ));
    };
    let malformed = |message: String| {
        let hint = "send {\"query\": \"{ businesses { nodes { slug } } }\"} as application/json";
        media.refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", &message, hint)
    };
    let run =
        |params: Params| state.questions.ask(&state.api, viewer.clone(), params.into_request());
    let too_slow =
        |TooSlow| Problem::new(503, "too_slow", "the query took too long; ask for less at once");
    if request.method() == Method::GET {
        return match from_address(request.query_string()) {
            Ok(params) if is_mutation(&params) => Ok(media.refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "BAD_REQUEST",
                "GET only asks",
                "use POST",
            )),
            Ok(params) => Ok(media.answer(&run(params).await.map_err(too_slow)?)),
            Err(message) => Ok(malformed(message)),
        };
    }
    if let Some(refused) = unsupported(&request, media) {
        return Ok(refused);
    }
    let body = state.bodies.read(viewer.principal, &request, body, BODY_BYTES_MAX).await?;
    if body.trim_ascii_start().starts_with(b"[") {
        return match serde_json::from_slice(&body) {
            Ok(batch) => {
                let batch: Vec<Params> = batch;
                if let Some(others) = batch.len().checked_sub(1).filter(|others| *others > 0) {
                    ask(others).await?;
                }
                batched(media, batch, run, malformed).await.map_err(too_slow)
            }
            Err(e) => Ok(malformed(format!("no list of GraphQL requests: {e}"))),
        };
    }
    match serde_json::from_slice(&body)
        .map_err(|e| format!("no GraphQL request: {e}"))
        .and_then(asks)
    {
        Ok(params) => Ok(media.answer(&run(params).await.map_err(too_slow)?)),
        Err(message) => Ok(malformed(message)),
    }
}

async fn batched<F: Future<Output = Result<Response, TooSlow>>>(
    media: Media,
    batch: Vec<Params>,
    run: impl Fn(Params) -> F,
    malformed: impl Fn(String) -> HttpResponse,
) -> Result<HttpResponse, TooSlow> {
    if batch.is_empty() || batch.len() > GRAPHQL_BATCH_MAX {
        return Ok(malformed(format!(
            "{} queries in one request; 1 to {GRAPHQL_BATCH_MAX} are allowed",
            batch.len()
        )));
    }
    let parsed: Result<Vec<Params>, String> = batch.into_iter().map(asks).collect();
    let mut answers = Vec::new();
    match parsed {
        Err(message) => return Ok(malformed(message)),
        Ok(all) => {
            for params in all {
                answers.push(Body(run(params).await?));
            }
        }
    }
    Ok(media.respond(StatusCode::OK, &answers))
}

fn unsupported(request: &HttpRequest, media: Media) -> Option<HttpResponse> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|t| t.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|p| {
        !p.to_lowercase().starts_with("charset=")
            || p.to_lowercase().trim_start_matches("charset=").trim_matches('"') == "utf-8"
    });
    let refuse = || {
        media.refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "the body must be JSON in UTF-8",
            "send Content-Type: application/json",
        )
    };
    (!json || !utf8).then(refuse)
}

fn from_address(query: &str) -> Result<Params, String> {
    let web::Query(AddressParams { query, document_id, operation_name, variables, extensions }) =
        web::Query::from_query(query).map_err(|e| e.to_string())?;
    let map = |name: &str,
               text: Option<String>|
     -> Result<Option<Map<String, serde_json::Value>>, String> {
        text.filter(|t| !t.is_empty())
            .map(|t| {
                serde_json::from_str(&t).map_err(|e| format!("`{name}` is no JSON object: {e}"))
            })
            .transpose()
            .map(Option::flatten)
    };
    asks(Params {
        query,
        document_id,
        operation_name,
        variables: map("variables", variables)?,
        extensions: map("extensions", extensions)?,
    })
}

/// Checks that parameters have a query, or the hash of a persisted one, or a document's id.
fn asks(params: Params) -> Result<Params, String> {
    let persisted = params.extensions.as_ref().is_some_and(|e| e.contains_key("persistedQuery"));
    if persisted
        || params.document_id.is_some()
        || params.query.as_ref().is_some_and(|q| !q.trim().is_empty())
    {
        Ok(params)
    } else {
        Err("`query` is missing".to_owned())
    }
}

fn is_mutation(params: &Params) -> bool {
    params.query.as_deref().is_some_and(|q| q.trim_start().starts_with("mutation"))
}
