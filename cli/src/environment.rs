//! Which table a command works on: the environment's, or the one that `call-log serve` keeps on this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use call_log::{
    model::Clock,
    startup::{
        app::{App, StartError},
        config::Config,
        data_keys,
    },
};

/// The table that `serve` makes unless the environment names another.
pub const LOCAL_TABLE: &str = "call-log";
const LOCAL_ENDPOINT: &str = "http://127.0.0.1:8000";
const LOCAL_DIRECTORY: &str = ".call-log";
const SECRET_FILE: &str = "jwt-secret";
const KEY_FILE: &str = "credentials.key";
const KEY_FILE_VARIABLE: &str = "CREDENTIALS_KEY_FILE";

/// Why there is no table to work on.
#[derive(Debug, thiserror::Error)]
pub enum NoTable {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0} cannot be read: {1}")]
    Secret(PathBuf, io::Error),
    #[error(
        "there is no table to work on: start `call-log serve` here first, or set TABLE_NAME, JWT_SECRET and \
         AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB"
    )]
    Nothing,
}

/// A variable of this process's environment.
#[expect(clippy::disallowed_methods, reason = "the one place of this program that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Where DynamoDB is asked, in words.
pub fn dynamodb() -> String {
    let local = || variable("TABLE_NAME").is_none().then(|| LOCAL_ENDPOINT.to_owned());
    let region =
        || format!("DynamoDB in {}", variable("AWS_REGION").unwrap_or_else(|| "this region".to_owned()));
    variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(local).unwrap_or_else(region)
}

/// The table's name.
pub fn table() -> String {
    variable("TABLE_NAME").unwrap_or_else(|| LOCAL_TABLE.to_owned())
}

/// An app on the environment's table, or on the local one's.
pub async fn app() -> Result<App, NoTable> {
    let local_secret = match variable("TABLE_NAME") {
        Some(_) => None,
        None => Some(
            read_secret(Path::new(LOCAL_DIRECTORY))?.or(variable("JWT_SECRET")).ok_or(NoTable::Nothing)?,
        ),
    };
    let config = Config::read(|name| match (variable(name), &local_secret) {
        (Some(value), _) => Some(value),
        (None, None) => None,
        (None, Some(secret)) => match name {
            "TABLE_NAME" => Some(LOCAL_TABLE.to_owned()),
            "AWS_ENDPOINT_URL_DYNAMODB" => Some(LOCAL_ENDPOINT.to_owned()),
            "JWT_SECRET" => Some(secret.clone()),
            KEY_FILE_VARIABLE => existing_key_file(Path::new(LOCAL_DIRECTORY)),
            _ => None,
        },
    });
    Ok(App::new(config.map_err(StartError::from)?, Clock::System).await?)
}

/// The token secret of a local data directory, made on its first use. Only its owner can read it.
pub fn local_secret(directory: &Path) -> io::Result<String> {
    let path = directory.join(SECRET_FILE);
    if let Some(secret) = read_file(&path)? {
        return Ok(secret);
    }
    let secret = random_secret();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(&path)?, secret.as_bytes())?;
    Ok(secret)
}

/// Returns the path of the key file: the environment's, or else the one in the data directory, which is created on its
/// first use.
pub fn local_key_file(directory: &Path) -> io::Result<String> {
    if let Some(path) = variable(KEY_FILE_VARIABLE).or_else(|| existing_key_file(directory)) {
        return Ok(path);
    }
    let path = directory.join(KEY_FILE);
    data_keys::create_key_file(&path)?;
    Ok(fs::canonicalize(path)?.to_string_lossy().into_owned())
}

/// The data directory's own, with its whole path, because others are told of it.
fn existing_key_file(directory: &Path) -> Option<String> {
    let path = fs::canonicalize(directory.join(KEY_FILE)).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// 256 random bits in hexadecimal.
pub fn random_secret() -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_secret(directory: &Path) -> Result<Option<String>, NoTable> {
    let path = directory.join(SECRET_FILE);
    read_file(&path).map_err(|error| NoTable::Secret(path, error))
}

fn read_file(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
