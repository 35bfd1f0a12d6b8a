//! The web page of the Example CRM: a few files that are compiled into the program. They need no build step and load
//! nothing from other servers. The OpenAPI document of the routes is served beside them.
//!
//! `page.js` connects the parts and receives the changes of the records. `calls.js` shows the records, `editor.js` lets a
//! person edit one, and `note.js` turns text into elements. `simulate.js` sends the events of a simulated call, which
//! `call.js` composes, and shows what waits. `settings.js` has the switches, `toasts.js` the messages, and `requests.js`
//! the requests.

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

const SCRIPTS: [(&str, &str); 9] = [
    ("/call.js", include_str!("call.js")),
    ("/calls.js", include_str!("calls.js")),
    ("/editor.js", include_str!("editor.js")),
    ("/note.js", include_str!("note.js")),
    ("/page.js", include_str!("page.js")),
    ("/requests.js", include_str!("requests.js")),
    ("/settings.js", include_str!("settings.js")),
    ("/simulate.js", include_str!("simulate.js")),
    ("/toasts.js", include_str!("toasts.js")),
];

/// Returns the routes of the page at `/`, of its files, and of the OpenAPI document at `/openapi.yaml`.
pub(crate) fn page_routes() -> Router {
    SCRIPTS
        .iter()
        .fold(Router::new(), |router, (path, text)| {
            router.route(path, get(async || file("text/javascript; charset=utf-8", text)))
        })
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/page.css", get(async || file("text/css; charset=utf-8", include_str!("page.css"))))
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
