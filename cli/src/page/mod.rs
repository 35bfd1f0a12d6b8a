//! The Example CRM's web page: a few files inside the program, which need nothing from elsewhere and no build. And the
//! description of the two routes beside it.
//!
//! `page.js` shows the records and listens to their changes, `note.js` makes text into elements, `call.js` knows the
//! events of a simulated call.

use axum::{
    Router,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    response::IntoResponse,
    routing::get,
};

/// Nothing but the page's own files, no script or style inside HTML, in nobody's frame: a note that got past the
/// page's escaping would still do nothing.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The page at `/`, and its files; the routes' description at `/openapi.yaml`.
pub(crate) fn page_routes() -> Router {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/page.css", get(async || file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/call.js", get(async || file("text/javascript; charset=utf-8", include_str!("call.js"))))
        .route("/note.js", get(async || file("text/javascript; charset=utf-8", include_str!("note.js"))))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/favicon.svg", get(async || file("image/svg+xml", include_str!("favicon.svg"))))
        .route(
            "/openapi.yaml",
            get(async || file("application/yaml", include_str!("../../../docs/openapi.yaml"))),
        )
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The next version of the program may answer at the same address.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
