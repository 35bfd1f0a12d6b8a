//! The commands, one file each.

mod completions;
mod compose;
mod credentials;
mod demo;
mod import;
mod redrive;
mod serve;
mod settings;
mod show;
mod table;
mod token;
mod user;

use std::{
    error::Error,
    io::{self, Read},
    path::Path,
};

use call_log::{
    adapters,
    model::{Platform, User, UserId, UserKey},
    startup::app::App,
    store::{self, StoredUser, TableError},
};

use crate::{arguments::Command, environment, output::say};

/// One sentence that says what is wrong, and what to do where that is known.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs a command.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve::run(serve).await,
        Command::Demo => demo::run().await,
        Command::User(user) => user::run(user).await,
        Command::Credentials(credentials) => credentials::run(credentials).await,
        Command::Settings { id, changes, output } => settings::run(&id, &changes, output).await,
        Command::Token { id, days, output } => token::run(&id, days, output).await,
        Command::Show { id, session, output } => show::run(&id, &session, output).await,
        Command::Redrive { id, session, output } => redrive::run(id.zip(session), output).await,
        Command::Compose { format } => compose::run(format),
        Command::Import(import) => import::run(import).await,
        Command::Table(table) => table::run(table).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Whether a command ended because nobody reads its output any more.
pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What to do about an error, where there is something to do.
pub fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let error = match error.downcast_ref() {
        Some(TableError::Store(error)) => Some(error),
        Some(TableError::Exists(_)) => {
            return Some("there is nothing to do, unless TABLE_NAME is another".to_owned());
        }
        None => error.downcast_ref::<store::Error>(),
    }?;
    let endpoint = environment::dynamodb();
    match error {
        store::Error::Unavailable(_) => Some(format!(
            "asked {endpoint}: is `call-log serve` running, or AWS_ENDPOINT_URL_DYNAMODB another?"
        )),
        store::Error::Rejected(code) => Some(match code.as_str() {
            "ResourceNotFoundException" => format!(
                "there is no table {} at {endpoint}: `call-log table create` makes it; or is TABLE_NAME or AWS_REGION \
                 another?",
                environment::table()
            ),
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredTokenException"
            | "AccessDeniedException" => format!(
                "asked {endpoint}: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN must be those of \
                 somebody who may use the table {}",
                environment::table()
            ),
            _ => format!("asked {endpoint} for the table {}", environment::table()),
        }),
        store::Error::Unreadable(..) => Some(
            "is CREDENTIALS_DATA_KEY or CREDENTIALS_KEY_FILE the one that it was sealed with?".to_owned(),
        ),
        store::Error::TooLarge => None,
    }
}

/// The user with this id. Most ids end in their platform; of others every platform is asked.
async fn find_user(app: &App, id: &str) -> Result<StoredUser, Failure> {
    let user = UserId::new(id).ok_or("a user's id is not empty")?;
    let suffix = id.rsplit('-').next().unwrap_or_default();
    let mut platforms: Vec<&str> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    platforms.sort_by_key(|platform| *platform != suffix);
    for platform in platforms {
        let platform = Platform::new(platform).ok_or("a platform's name is not empty")?;
        if let Some(found) = app.store.user(&UserKey { platform, id: user.clone() }).await? {
            return Ok(found);
        }
    }
    Err(format!("there is no user {id}: store one with `call-log user put FILE`").into())
}

/// Whether we can call the user's CRM, by its name and its host; else a sentence that says what is wrong.
fn check_host(user: &User) -> Result<(), String> {
    let crm = adapters::find(user.platform.as_str()).ok_or_else(unknown_platform)?;
    let host = user.hostname.as_deref();
    if crm.base_url(host).is_some() {
        return Ok(());
    }
    Err(match host {
        Some(host) => format!("`hostname` {host} is not a host of {}", crm.display_name()),
        None => format!("`hostname` is missing: the host of the company in {}", crm.display_name()),
    })
}

fn unknown_platform() -> String {
    let known: Vec<_> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    format!("`platform` is none that we know: expected {}", known.join(" or "))
}

/// What a person calls a file that a command reads; `-` is standard input.
fn input_name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// The whole of a file; `-`: of standard input.
fn read_input(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let name = input_name(file);
    Ok(read.map_err(|error| {
        format!("{name} cannot be read: {error}; name another file, or - for standard input")
    })?)
}
