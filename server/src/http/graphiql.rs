//! GraphiQL, from files that are compiled in; without them, a page that says how to get them.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::Problem;

mod files {
    include!(concat!(env!("OUT_DIR"), "/graphiql.rs"));
}

/// The GraphiQL page, which loads nothing from other servers.
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

/// A file of the GraphiQL page.
pub(super) async fn file(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let found = files::FILES.iter().find(|(file, _, _)| *file == name.as_str());
    let (_, kind, bytes) =
        found.ok_or_else(|| Problem::new(404, "not_found", "GraphiQL has no such file here"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, *kind))
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .body(*bytes))
}
