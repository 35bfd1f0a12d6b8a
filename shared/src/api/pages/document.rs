//! The frame of every page: plain HTML that works on a telephone, without scripts and without anything of other servers.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderName,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use sha2::{Digest, Sha256};

use crate::api::answer::Answer;

const STYLE: &str = include_str!("page.css");

/// Returns a page with this title. `body`: HTML, in which every text is [`escaped`].
pub(super) fn page(title: &str, body: &str) -> Answer {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    );
    let headers: [(HeaderName, String); 3] = [
        (CONTENT_SECURITY_POLICY, policy()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    headers.into_iter().fold(Answer::html(html), |answer, (name, value)| answer.with(name, value))
}

/// Allows our style and our forms, and nothing else (Content Security Policy Level 3).
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Returns a text as HTML, also for the value of an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    htmlize::escape_all_quotes(text).into_owned()
}
