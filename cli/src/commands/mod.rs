//! The commands, one file each.

mod compose;
mod credentials;
mod demo;
mod redrive;
mod serve;
mod settings;
mod show;
mod table;
mod token;
mod user;

use std::{
    error::Error,
    io::{self, Write},
};

use shared::{
    adapters,
    app::App,
    model::{Platform, UserId},
    store::{self, StoredUser, TableError},
};

use crate::{arguments::Command, environment};

/// One sentence that says what is wrong, and what to do where that is known.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs a command.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve::run(serve).await,
        Command::Demo => demo::run().await,
        Command::User(user) => user::run(user).await,
        Command::Credentials(credentials) => credentials::run(credentials).await,
        Command::Settings { id, changes } => settings::run(&id, &changes).await,
        Command::Token { id, days } => token::run(&id, days).await,
        Command::Show { id, session } => show::run(&id, &session).await,
        Command::Redrive { id, session } => redrive::run(id.zip(session)).await,
        Command::Compose { format } => compose::run(format),
        Command::Table(table) => table::run(table).await,
    }
}

/// Whether a command ended because nobody reads its output any more.
pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What to do about an error, where there is something to do.
pub fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let is_away = |error: &store::Error| matches!(error, store::Error::Unavailable(_));
    let is_away = error.downcast_ref::<store::Error>().is_some_and(is_away)
        || matches!(error.downcast_ref(), Some(TableError::Store(error)) if is_away(error));
    is_away.then(|| {
        let endpoint = environment::dynamodb();
        format!("asked {endpoint}: is `call-log serve` running, or AWS_ENDPOINT_URL_DYNAMODB another?")
    })
}

/// Writes a line to standard output.
fn say(line: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout(), "{}", line.as_ref())
}

/// The user with this id. Most ids end in their platform; of others every platform is asked.
async fn find_user(app: &App, id: &str) -> Result<StoredUser, Failure> {
    let user = UserId::new(id).ok_or("a user's id is not empty")?;
    let suffix = id.rsplit('-').next().unwrap_or_default();
    let mut platforms: Vec<&str> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    platforms.sort_by_key(|platform| *platform != suffix);
    for platform in platforms {
        let platform = Platform::new(platform).ok_or("a platform's name is not empty")?;
        if let Some(found) = app.store.user(&platform, &user).await? {
            return Ok(found);
        }
    }
    Err(format!("there is no user {id}: store one with `call-log user put FILE`").into())
}
