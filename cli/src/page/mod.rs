//! The web page of the Example CRM: a few files that are compiled into the program. They need no build step and load
//! nothing from other servers. The OpenAPI document of the routes is served beside them.
//!
//! `page.js` shows the records and receives their changes, `note.js` turns text into elements, and `call.js` composes the
//! events of a simulated call.

use axum::{
    Router,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    response::IntoResponse,
    routing::get,
};

/// Content Security Policy: only the page's own files, no inline script or style, and no frames. Markup in a note that
/// escapes the page's escaping would still have no effect.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// Returns the routes of the page at `/`, of its files, and of the OpenAPI document at `/openapi.yaml`.
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
        // The next start may serve another version at the same address.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
