//! The entrance to the schema: limits that async-graphql lacks, persisted queries, and a cache of
//! documents, so that a repeated document is neither parsed nor validated again.
//!
//! A document is validated in full the first time. Once it has run without an error it is known to
//! fit the schema, and later runs check only what may differ each time: depth, cost and the values
//! of variables.
//!
//! The selections of a document are counted, each fragment once, before anything walks it. A new
//! document is parsed and validated on a thread that may block, never on one that serves sockets.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{Request, Response, ServerError, ValidationMode, Value};
use domain::limits::GRAPHQL_TEXT_BYTES_MAX;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use lru::LruCache;
use sha2::{Digest as _, Sha256};

use crate::allowance::{Allowance, Waiting};
use crate::completion::complete as complete_data;
use crate::errors::{TOO_COMPLEX, complete, refused};
use crate::meter::{Measured, Meter};
use crate::selections::{check_aliases, check_selections, check_variables};
use crate::trusted::TrustedDocuments;
use crate::{Schema, Sources, builder};

/// How many documents are remembered, and how many persisted queries.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// Longest document that is remembered, in characters.
const REMEMBERED_CHARS_MAX: usize = 16_384;

/// Deepest question about the schema itself: the usual introspection query of clients has 15
/// levels.
const INTROSPECTION_DEPTH_MAX: usize = 24;

struct Document {
    parsed: ExecutableDocument,
    /// True once the document ran without an error: then it fits the schema.
    validated: AtomicBool,
    /// True if the document asks only about the schema itself.
    introspects: bool,
}

/// Executes GraphQL requests against the schema.
#[derive(Clone)]
pub struct Api {
    front: Arc<Front>,
    /// The only documents that are answered; `None` = all.
    trusted: Option<Arc<TrustedDocuments>>,
    /// True if each query is logged.
    logged: bool,
}

struct Front {
    sources: Sources,
    strict: Schema,
    trusting: Schema,
    /// The same schema with a larger depth limit, for documents that ask only about the schema.
    introspecting: Schema,
    meter: Meter,
    introspection: bool,
    /// What documents are named by in the log: nobody who reads it can try out what a text was.
    log_key: RandomState,
    documents: Mutex<LruCache<String, Arc<Document>>>,
    persisted: Mutex<LruCache<String, String>>,
}

impl Api {
    /// Builds the schema over `sources`, with every limit in place.
    #[must_use]
    pub fn new(sources: &Sources, introspection: bool) -> Self {
        let schema = |mode| builder().validation_mode(mode).finish();
        let front = Arc::new(Front {
            sources: sources.clone(),
            strict: schema(ValidationMode::Strict),
            trusting: schema(ValidationMode::Fast),
            introspecting: builder().limit_depth(INTROSPECTION_DEPTH_MAX).finish(),
            meter: Meter::new(),
            introspection,
            log_key: RandomState::new(),
            documents: Mutex::new(LruCache::new(REMEMBERED_MAX)),
            persisted: Mutex::new(LruCache::new(REMEMBERED_MAX)),
        });
        Self { front, trusted: None, logged: false }
    }

    /// The same API for strangers: it answers only `trusted` documents, if there are any, and logs
    /// each query, if it is `logged`.
    #[must_use]
    pub fn at_a_door(&self, trusted: Option<Arc<TrustedDocuments>>, logged: bool) -> Self {
        Self { front: Arc::clone(&self.front), trusted, logged }
    }

    /// Executes one request, whose data must hold a [`crate::Viewer`]. Dropping the future ends the
    /// work. The extension `position` says how far the views were at least.
    pub async fn execute(&self, mut request: Request) -> Response {
        if let Err(error) = self.admit(&mut request) {
            return Response::from_errors(vec![*error]);
        }
        let (request, waiting) = self.front.begin(request);
        let position = self.front.sources.views.position();
        let mut response = if self.front.is_validated(&request.query) {
            self.front.execute(request, self.logged).await
        } else {
            let (front, logged) = (Arc::clone(&self.front), self.logged);
            where_blocking_is_allowed(async move { front.execute(request, logged).await }).await
        };
        // What is answered is of this position, or of a later one.
        let position = position.max(waiting.allowance().min_position());
        response.extensions.insert("position".to_owned(), Value::from(position.0));
        drop(waiting);
        response
    }

    /// Refuses a document that is not trusted.
    fn admit(&self, request: &mut Request) -> Result<(), Box<ServerError>> {
        self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.admit(request))
    }

    /// True if the document is a subscription, so that its answers have no end; `None` if it can't
    /// be parsed or is not trusted. Puts the text of the trusted document that it names into the
    /// request.
    pub async fn is_subscription(&self, request: &mut Request) -> Option<bool> {
        self.admit(request).ok()?;
        let (front, query) = (Arc::clone(&self.front), request.query.clone());
        let parsed = where_blocking_is_allowed(async move { front.document(&query).ok() }).await?;
        let name = request.operation_name.as_deref();
        let mut named = parsed.parsed.operations.iter().filter(|(operation, _)| {
            name.is_none_or(|name| operation.is_some_and(|operation| operation.as_str() == name))
        });
        Some(named.any(|(_, o)| o.node.ty == OperationType::Subscription))
    }

    /// Executes a subscription, or any other operation, and yields its responses one after another.
    pub async fn stream(&self, mut request: Request) -> BoxStream<'static, Response> {
        if let Err(error) = self.admit(&mut request) {
            let refused = Response::from_errors(vec![*error]);
            return futures_util::stream::once(async { refused }).boxed();
        }
        let (request, waiting) = self.front.begin(request);
        let allowance = waiting.allowance();
        let front = Arc::clone(&self.front);
        // The first step is the validation.
        let (first, rest) = where_blocking_is_allowed(async move {
            let mut answers = front.stream(request);
            let first = std::future::poll_fn(|cx| Poll::Ready(answers.poll_next_unpin(cx))).await;
            (first, answers)
        })
        .await;
        let rest = match first {
            Poll::Ready(None) => futures_util::stream::empty().boxed(),
            Poll::Ready(Some(first)) => {
                futures_util::stream::once(async { first }).chain(rest).boxed()
            }
            Poll::Pending => rest,
        };
        let answers = rest.map(move |response| {
            waiting.allowance().next_answer();
            response
        });
        allowance.next_answer();
        answers.boxed()
    }
}

/// Runs a future on a thread that may block; the future ends when nobody waits for it any more.
async fn where_blocking_is_allowed<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let runtime = tokio::runtime::Handle::current();
    let (_waits, nobody_waits) = tokio::sync::oneshot::channel::<()>();
    let work = tokio::task::spawn_blocking(move || {
        runtime.block_on(async move {
            tokio::select! {
                done = work => Some(done),
                _ = nobody_waits => None,
            }
        })
    });
    match work.await {
        Ok(Some(done)) => done,
        // Only who does not wait any more could see that.
        Ok(None) => std::future::pending().await,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

impl Front {
    /// Gives a request an allowance of its own.
    fn begin(&self, request: Request) -> (Request, Waiting) {
        let (allowance, waiting) = Allowance::begin();
        let sources = Sources { allowance, ..self.sources.clone() };
        let loader = crate::children::loader(&sources);
        (request.data(sources).data(loader), waiting)
    }

    /// The name of a document in the log of this process.
    fn digest(&self, query: &str) -> String {
        format!("{:016x}", self.log_key.hash_one(query))
    }

    fn is_validated(&self, query: &str) -> bool {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.get(query).is_some_and(|d| d.validated.load(Ordering::Relaxed))
    }

    async fn execute(&self, request: Request, logged: bool) -> Response {
        let began = Instant::now();
        let digest = logged.then(|| self.digest(&request.query));
        let (document, request) = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(error) => {
                let refused = Response::from_errors(vec![*error]);
                digest.iter().for_each(|digest| log_query(digest, None, began, &refused));
                return refused;
            }
        };
        let schema = match (document.introspects, document.validated.load(Ordering::Relaxed)) {
            (true, _) => &self.introspecting,
            (false, true) => &self.trusting,
            (false, false) => &self.strict,
        };
        let measured = Measured::of(&request);
        let request = if document.introspects && self.introspection {
            request.only_introspection()
        } else {
            request
        };
        let operation = request.operation_name.clone();
        let mut response = schema.execute(request).await;
        fill_in(&document, operation.as_deref(), &mut response);
        if response.errors.is_empty() {
            document.validated.store(true, Ordering::Relaxed);
        }
        let too_complex = response.errors.iter().any(|e| e.message == TOO_COMPLEX);
        let cost = if too_complex || logged {
            self.meter.cost(&document.parsed, measured).await
        } else {
            None
        };
        response.errors.iter_mut().for_each(|error| complete(error, cost));
        digest.iter().for_each(|digest| log_query(digest, cost, began, &response));
        response
    }

    fn stream(&self, request: Request) -> BoxStream<'static, Response> {
        match self.prepare(request) {
            Ok((document, request)) => {
                let operation = request.operation_name.clone();
                let answers = self.strict.execute_stream(request);
                Box::pin(answers.map(move |mut response| {
                    fill_in(&document, operation.as_deref(), &mut response);
                    response.errors.iter_mut().for_each(|error| complete(error, None));
                    response
                }))
            }
            Err(error) => {
                Box::pin(futures_util::stream::iter([Response::from_errors(vec![*error])]))
            }
        }
    }

    fn prepare(&self, mut request: Request) -> Result<(Arc<Document>, Request), Box<ServerError>> {
        self.persisted(&mut request)?;
        if request.query.trim().is_empty() {
            return Err(Box::new(refused(
                "BAD_REQUEST",
                "`query` is missing",
                "send {\"query\": \"{ businesses { slug } }\"}",
            )));
        }
        check_variables(&request.variables)?;
        let document = self.document(&request.query)?;
        request.set_parsed_query(document.parsed.clone());
        let request = if self.introspection { request } else { request.disable_introspection() };
        Ok((document, request))
    }

    /// Automatic persisted queries, as Apollo's clients send them: a hash alone, then hash and
    /// text.
    fn persisted(&self, request: &mut Request) -> Result<(), Box<ServerError>> {
        let Some(Value::Object(asked)) = request.extensions.0.get("persistedQuery") else {
            return Ok(());
        };
        let Some(Value::String(hash)) = asked.get("sha256Hash").cloned() else {
            return Err(Box::new(refused(
                "BAD_REQUEST",
                "persistedQuery has no sha256Hash",
                "send the SHA-256 of the query text in hexadecimal",
            )));
        };
        let mut known = self.persisted.lock().unwrap_or_else(PoisonError::into_inner);
        if request.query.is_empty() {
            let found = known.get(&hash).cloned();
            request.query = found.ok_or_else(|| {
                Box::new(refused(
                    "PERSISTED_QUERY_NOT_FOUND",
                    "PersistedQueryNotFound",
                    "send the query's text once, with its hash",
                ))
            })?;
        } else if domain::values::Digest(Sha256::digest(&request.query).into()).to_string()
            == hash.to_lowercase()
        {
            if request.query.len() <= REMEMBERED_CHARS_MAX {
                known.put(hash.clone(), request.query.clone());
            }
        } else {
            return Err(Box::new(refused(
                "BAD_REQUEST",
                "the sha256Hash is not that of the query",
                "hash the very text that is sent",
            )));
        }
        Ok(())
    }

    fn document(&self, query: &str) -> Result<Arc<Document>, Box<ServerError>> {
        if let Some(known) =
            self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(query)
        {
            return Ok(Arc::clone(known));
        }
        if query.len() > GRAPHQL_TEXT_BYTES_MAX {
            let message = format!(
                "the query has {} bytes, {GRAPHQL_TEXT_BYTES_MAX} are allowed",
                query.len()
            );
            return Err(Box::new(refused(
                "TOO_LONG",
                message,
                "send values as variables, or ask in several queries",
            )));
        }
        let parsed =
            parse_query(query).map_err(|e| Box::new(ServerError::from(e))).map_err(|mut e| {
                complete(&mut e, None);
                e
            })?;
        check_selections(&parsed)?;
        check_aliases(&parsed)?;
        let introspects =
            parsed.operations.iter().all(|(_, o)| only_introspects(&o.node.selection_set.node));
        let document =
            Arc::new(Document { parsed, validated: AtomicBool::new(false), introspects });
        if query.len() <= REMEMBERED_CHARS_MAX {
            self.documents
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .put(query.to_owned(), Arc::clone(&document));
        }
        Ok(document)
    }
}

/// True if every field asks about the schema; fields inside fragments are not looked at.
fn only_introspects(set: &SelectionSet) -> bool {
    let about_schema = |item: &Selection| {
        matches!(item, Selection::Field(f)
        if f.node.name.node.starts_with("__"))
    };
    !set.items.is_empty() && set.items.iter().all(|item| about_schema(&item.node))
}

/// Completes the data of a response whose request was run.
fn fill_in(document: &Document, operation: Option<&str>, response: &mut Response) {
    let never_ran = response.errors.iter().all(|e| e.path.is_empty());
    if document.introspects || (never_ran && response.data == Value::Null) {
        return;
    }
    let data = std::mem::take(&mut response.data);
    let has_errors = !response.errors.is_empty();
    response.data = complete_data(&document.parsed, operation, data, has_errors);
}

/// Logs a query: nothing that a caller wrote, so that nobody's data is in the log.
fn log_query(document: &str, cost: Option<u64>, began: Instant, response: &Response) {
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let code = response.errors.first().and_then(|e| e.extensions.as_ref()?.get("code").cloned());
    let outcome = match code {
        Some(Value::String(code)) => code,
        Some(_) | None => "OK".to_owned(),
    };
    tracing::info!(target: "queries", document, cost, duration_us = took, outcome, "a query was \
    answered");
}
