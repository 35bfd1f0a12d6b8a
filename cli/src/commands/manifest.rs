//! `call-log manifest`: prints the manifest of the extension, to be served as a file.

use call_log::api::manifest::manifest;

use crate::{environment, error::CommandError, output};

pub(super) async fn run(url: Option<String>) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let url = url.or_else(|| app.api.site.url.clone()).ok_or(CommandError::NoUrl)?;
    Ok(output::print_document(&manifest(&app, url.trim_end_matches('/')).await)?)
}
