//! GraphiQL, from files that were compiled in; where they were not, a page that says how.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::Problem;

mod files {
    include!(concat!(env!("OUT_DIR"), "/graphiql.rs"));
}

/// The page: it loads nothing from anywhere else.
pub(super) async fn page() -> HttpResponse {
    let (text, policy) = if files::FILES.is_empty() {
        (include_str!("graphiql-missing.html"), "default-src 'none'; style-src 'unsafe-inline'")
    } else {
        let policy = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self' \
            'unsafe-inline'; connect-src 'self'; img-src data:; font-src data:; worker-src blob:";
        (include_str!("graphiql.html"), policy)
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(text)
}

/// One of its files.
pub(super) async fn file(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let found = files::FILES.iter().find(|(file, _, _)| *file == name.as_str());
    let (_, kind, bytes) =
        found.ok_or_else(|| Problem::new(404, "not_found", "GraphiQL has no such file here"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, *kind))
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .body(*bytes))
}
