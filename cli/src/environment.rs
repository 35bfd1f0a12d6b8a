//! The environment: which table a command uses, and the secrets and keys of the data directory of `call-log serve`.
//!
//! Without `TABLE_NAME`, a command uses the table that `call-log serve` keeps in the current directory.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use call_log::{
    model::Clock,
    startup::{app::App, config::Config, data_keys, error::StartError, transport},
};

use crate::{dynamodb, error::CommandError};

/// The name of the table of `serve`, unless the environment sets another.
pub const LOCAL_TABLE: &str = "call-log";
/// The SDK needs an endpoint, although the table is reached through a socket file.
pub const LOCAL_ENDPOINT: &str = "http://127.0.0.1";
const LOCAL_DIRECTORY: &str = ".call-log";
/// The file with the secret that signs callers' tokens.
pub const SECRET_FILE: &str = "jwt-secret";
/// The file with the address of the server.
pub const URL_FILE: &str = "url";
/// The file with the key of the hashes of extension ids.
pub const HASH_KEY_FILE: &str = "hash-key";
const KEY_FILE: &str = "credentials.key";
/// The variable with the path of the key file.
pub const KEY_FILE_VARIABLE: &str = "CREDENTIALS_KEY_FILE";

/// Returns a variable of this process's environment, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "the one place of this program that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns the endpoint of DynamoDB, or its region, for messages.
pub fn dynamodb() -> String {
    let local =
        || variable("TABLE_NAME").is_none().then(|| format!("{LOCAL_DIRECTORY}/{}", dynamodb::SOCKET));
    let region =
        || format!("DynamoDB in {}", variable("AWS_REGION").unwrap_or_else(|| "this region".to_owned()));
    variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(local).unwrap_or_else(region)
}

/// Returns the name of the table.
pub fn table() -> String {
    variable("TABLE_NAME").unwrap_or_else(|| LOCAL_TABLE.to_owned())
}

/// Returns an app on the table of the environment, or else on the local table.
///
/// # Errors
///
/// Fails if neither exists, if the configuration is invalid, or if a secret or key is unavailable.
pub async fn app() -> Result<App, CommandError> {
    let directory = Path::new(LOCAL_DIRECTORY);
    let stored = |file: &str| {
        read_secret(directory, file).map_err(|error| CommandError::DataDirectory(directory.join(file), error))
    };
    let local = match variable("TABLE_NAME") {
        Some(_) => None,
        None => {
            let secret = stored(SECRET_FILE)?.or(variable("JWT_SECRET")).ok_or(CommandError::NoTable)?;
            Some((secret, stored(HASH_KEY_FILE)?))
        }
    };
    let config = Config::read(|name| match (variable(name), &local) {
        (Some(value), _) => Some(value),
        (None, None) => None,
        (None, Some((secret, hash_key))) => match name {
            "TABLE_NAME" => Some(LOCAL_TABLE.to_owned()),
            "AWS_ENDPOINT_URL_DYNAMODB" => Some(LOCAL_ENDPOINT.to_owned()),
            "JWT_SECRET" => Some(secret.clone()),
            "HASH_KEY" => hash_key.clone(),
            KEY_FILE_VARIABLE => existing_key_file(directory),
            // As for the server of this directory.
            "CRM_BASE_URL_EXAMPLE" | "PUBLIC_URL" => read_secret(directory, URL_FILE).ok().flatten(),
            "ALLOWED_TENANTS" => Some("*".to_owned()),
            _ => None,
        },
    });
    let config = config.map_err(StartError::from)?;
    Ok(match local {
        #[cfg(unix)]
        Some(_) if variable("AWS_ENDPOINT_URL_DYNAMODB").is_none() => {
            let socket =
                transport::through_socket(&directory.join(dynamodb::SOCKET)).map_err(StartError::from)?;
            App::on_table(config, Clock::System, socket).await?
        }
        _ => App::new(config, Clock::System).await?,
    })
}

/// Creates a file that only its owner can read, unless it exists. One that exists becomes like that.
///
/// # Errors
///
/// Fails if the file cannot be created or changed.
pub fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the secret in this file of a data directory, and creates it on the first use. Only its owner can read the file.
///
/// # Errors
///
/// Fails if the file cannot be read or created.
pub fn local_secret(directory: &Path, file: &str) -> io::Result<String> {
    if let Some(secret) = read_secret(directory, file)? {
        return Ok(secret);
    }
    let secret = random_secret();
    create_atomically(&directory.join(file), |path| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(secret.as_bytes())?;
        file.sync_all()
    })?;
    Ok(secret)
}

/// Returns the path of the file with the key that encrypts credentials: the environment's, or else the data directory's
/// own, which is created on the first use. Only its owner can read the file.
///
/// # Errors
///
/// Fails if the file cannot be created.
pub fn local_key_file(directory: &Path) -> io::Result<String> {
    if let Some(path) = variable(KEY_FILE_VARIABLE).or_else(|| existing_key_file(directory)) {
        return Ok(path);
    }
    let path = directory.join(KEY_FILE);
    create_atomically(&path, data_keys::create_key_file)?;
    Ok(fs::canonicalize(path)?.to_string_lossy().into_owned())
}

/// Returns the path of the data directory's own key file, if it exists. The path is absolute, because `serve` prints it
/// for shells in other directories.
fn existing_key_file(directory: &Path) -> Option<String> {
    let path = fs::canonicalize(directory.join(KEY_FILE)).ok()?;
    // A disk that was full at an earlier start can have left an empty file.
    fs::metadata(&path).ok().filter(|file| file.len() > 0)?;
    Some(path.to_string_lossy().into_owned())
}

/// Creates a file under a temporary name and renames it, so that a process that is killed leaves no half-written file.
fn create_atomically(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => create(&temporary)?,
    }
    fs::rename(temporary, path)
}

/// Returns 256 random bits in hexadecimal.
///
/// # Panics
///
/// Panics if the operating system provides no random numbers.
pub fn random_secret() -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_secret(directory: &Path, file: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(directory.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
