//! `call-log token`: a caller's token for a user.

use super::{Failure, find_user, say};
use crate::environment;

pub(super) async fn run(id: &str, days: u32) -> Result<(), Failure> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    Ok(say(app.issue_token(&found.user, days))?)
}
