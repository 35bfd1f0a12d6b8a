//! The errors of the commands: what is wrong, why, and what to do.

use std::{io, path::PathBuf};

use call_log::{
    model::Explanation,
    startup::error::StartError,
    store::{self, TableError},
};

use crate::environment;

/// The exit statuses of the program.
pub const EXIT_STATUSES: [ExitStatus; 4] = [
    ExitStatus { code: 0, meaning: "success" },
    ExitStatus { code: 1, meaning: "failure; standard error says what is wrong and what to do" },
    ExitStatus { code: 2, meaning: "usage error; nothing was changed" },
    ExitStatus { code: 101, meaning: "a defect in the program; please report it" },
];

/// An exit status and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct ExitStatus {
    /// The exit status.
    pub code: u8,
    /// Its meaning, for `call-log --help`.
    pub meaning: &'static str,
}

/// The reason why a command failed. Each of them ends the program with exit status 1.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Neither the environment nor the current directory names a table.
    #[error("there is no table to work on")]
    NoTable,
    /// The configuration is invalid, or a secret or key is unavailable.
    #[error(transparent)]
    Start(#[from] StartError),
    /// DynamoDB did not carry out a request.
    #[error("{error}; requested table {table} at {endpoint}")]
    Table {
        /// The name of the table.
        table: String,
        /// The endpoint or the region of DynamoDB.
        endpoint: String,
        /// The error of the request.
        error: store::Error,
    },
    /// `table create` found a table of this name.
    #[error("the table {0} already exists")]
    TableExists(String),
    /// No platform has a user with this id.
    #[error("there is no user {0}")]
    UnknownUser(String),
    /// An id on the command line is blank.
    #[error("the {0} id is empty")]
    EmptyId(&'static str),
    /// The table has no call of the session.
    #[error("the table has no call with session {session} of user {user}")]
    UnknownCall {
        /// The id of the user.
        user: String,
        /// RingCentral's `sessionId`.
        session: String,
    },
    /// No log of the session is a dead letter.
    #[error("session {session} of user {user} has no dead letter")]
    NoDeadLetter {
        /// The id of the user.
        user: String,
        /// RingCentral's `sessionId`.
        session: String,
    },
    /// The name of a tenant is invalid.
    #[error("{tenant} is no tenant: {reason}")]
    InvalidTenant {
        /// The argument.
        tenant: String,
        /// The expected form.
        reason: String,
    },
    /// The id of an account at RingCentral is invalid.
    #[error("{0:?} is no account at RingCentral: expected its id, which has digits only")]
    InvalidAccount(String),
    /// A credential does not work, for this reason.
    #[error("{0} is not connected: {1}")]
    NotConnected(String, String),
    /// No server responds at the address of the API.
    #[error("no server responds at {0}")]
    NoServer(String),
    /// The person did not connect in time.
    #[error("{0} was not connected within {1} s")]
    NotInTime(&'static str, u32),
    /// The account of a CRM could not be set up, for this reason.
    #[error("{0} is connected, but not set up: {1}")]
    NotSetUp(&'static str, String),
    /// The address of the API is not known.
    #[error("the address of the API is not known")]
    NoUrl,
    /// `doctor` found problems.
    #[error("{0} check(s) failed")]
    Unwell(usize),
    /// A file or standard input cannot be read.
    #[error("{0} cannot be read: {1}")]
    UnreadableInput(String, #[source] io::Error),
    /// The description of a user is invalid.
    #[error("{input}: {reason}")]
    InvalidUser {
        /// The name of the file, or `standard input`.
        input: String,
        /// The invalid field, and the expected value.
        reason: String,
    },
    /// A line of `compose` is invalid.
    #[error("line {line}: {reason}")]
    InvalidLine {
        /// The number of the line, from 1.
        line: usize,
        /// The invalid field, and the expected value.
        reason: String,
    },
    /// An argument of `settings` has no key or no `=`.
    #[error("{0} is not KEY=VALUE")]
    InvalidSetting(String),
    /// The name of an import file does not reveal its format.
    #[error("the format of {0} is unknown")]
    UnknownFormat(String),
    /// The first line of a CSV file is unusable.
    #[error("{input}, line 1: {reason}")]
    InvalidHeader {
        /// The name of the file, or `standard input`.
        input: String,
        /// The problem of the line.
        reason: String,
    },
    /// An import file has invalid rows, and none of its rows was imported.
    #[error("nothing was imported, because {0} row(s) are invalid")]
    NothingImported(usize),
    /// An import file has invalid rows, and its other rows were imported.
    #[error("{0} row(s) are invalid and are not imported")]
    InvalidRows(usize),
    /// The credentials of users are encrypted with an unknown key.
    #[error("no available key decrypts the credentials of {}", .0.join(", "))]
    Undecryptable(Vec<String>),
    /// An erasure left something.
    #[error("{in_use} item(s) are in use and {unreadable} cannot be read, so they are not erased")]
    NotErased {
        /// The number of items that an invocation was using.
        in_use: usize,
        /// The number of items that cannot be read.
        unreadable: usize,
    },
    /// A key file cannot be created.
    #[error("the key file {0} cannot be created: {1}")]
    KeyFile(PathBuf, #[source] io::Error),
    /// `serve` cannot listen on a port.
    #[error("port {port} ({option}) is not available: {error}")]
    Port {
        /// The port.
        port: u16,
        /// The option that sets the port.
        option: &'static str,
        /// The error of the operating system.
        error: io::Error,
    },
    /// A file of the data directory cannot be read or written.
    #[error("the data directory {0} cannot be used: {1}")]
    DataDirectory(PathBuf, #[source] io::Error),
    /// Another `call-log serve` has locked the data directory.
    #[error("another `call-log serve` uses the data directory {0}")]
    DataDirectoryInUse(PathBuf),
    /// The key file does not decrypt the users in the table.
    #[error(
        "the key file {0} does not decrypt the users in the table: it was replaced, or was lost and made again"
    )]
    KeyLost(String),
    /// The embedded DynamoDB cannot open its database.
    #[error("the embedded DynamoDB cannot start: {0}")]
    EmbeddedDynamoDb(String),
    /// A server of `serve` ended by itself.
    #[error("a server has ended")]
    ServerEnded,
    /// A request of `demo` failed.
    #[error("the demo cannot continue: {0}")]
    Demo(String),
    /// Standard output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            CommandError::NoTable => (
                "`TABLE_NAME` is not set, and `call-log serve` has not run in the current directory.",
                "Start `call-log serve` in this directory, or set TABLE_NAME, JWT_SECRET, HASH_KEY, CREDENTIALS_KEY_FILE \
                 and either AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB.",
            ),
            CommandError::Start(error) => return error.explain(),
            CommandError::Table { error, .. } => return error.explain(),
            CommandError::TableExists(_) => (
                "`table create` ran before, or the stack has created the table.",
                "Nothing needs to be done. If you meant another table, set TABLE_NAME.",
            ),
            CommandError::UnknownUser(_) => (
                "The table has no user with this id on any platform.",
                "Correct the id, or store the user with `call-log user put FILE`.",
            ),
            CommandError::EmptyId(_) => {
                ("The argument is blank, often because a shell variable is not set.", "Pass the id.")
            }
            CommandError::UnknownCall { .. } => (
                "No request with this session has arrived from the user, or the table has deleted the call after 400 \
                 days.",
                "Correct the user id and the session id, which is RingCentral's `sessionId` of the call.",
            ),
            CommandError::NoDeadLetter { .. } => (
                "The call is logged, or it is still delivered automatically.",
                "See its state with `call-log show ID SESSION`.",
            ),
            CommandError::InvalidTenant { .. } => (
                "A tenant is a CRM and the CRM's id of the account.",
                "Write it as in example:3151823. The message about a refused login names it, and so does `call-log user list`.",
            ),
            CommandError::InvalidAccount(_) => (
                "RingCentral's id of an account has digits only. It is not the main number of the company.",
                "Have an administrator of that account open the extension: the refusal of `GET /admin/settings` names the id.",
            ),
            CommandError::NotConnected(..) => (
                "The CRM refused the credential, did not respond, or may not be asked for this user.",
                "Have the person connect again, or try again in a minute if the CRM did not respond.",
            ),
            CommandError::NoServer(_) => (
                "People connect at the page /connect of the API, which is not running, or has another address.",
                "Start `call-log serve`, pass the address of the API with --url, or pass the person's key with --api-token.",
            ),
            CommandError::NotInTime(..) => (
                "The page was not opened, or the person did not finish there.",
                "Run the command again, and open the address that it prints in a browser. `call-log user list` shows who is \
                 connected.",
            ),
            CommandError::NotSetUp(..) => (
                "The credential does not permit it, the CRM has rejected it, or the CRM did not respond.",
                "Give the credential the permission that the message names, or do it by hand: the documentation of the CRM \
                 says how. Calls are logged meanwhile.",
            ),
            CommandError::NoUrl => (
                "PUBLIC_URL is not set, and API Gateway's address is known to the functions only.",
                "Pass --url, or set PUBLIC_URL. The address is the output ApiUrl of the stack.",
            ),
            CommandError::Unwell(_) => (
                "A credential, a registration or an item of the table is not as it should be.",
                "Do what the lines that begin with BAD say.",
            ),
            CommandError::UnreadableInput(..) => (
                "The file does not exist, or you may not read it.",
                "Name another file, or - for standard input.",
            ),
            CommandError::InvalidUser { .. } => (
                "The description of the user is not JSON, or a field is missing or has an unexpected value.",
                "Correct the field. `call-log user put --help` lists all fields.",
            ),
            CommandError::InvalidLine { .. } => (
                "The line is not a JSON object, or a field has an unexpected value. The lines before it were printed.",
                "Correct the line. `call-log compose --help` has examples.",
            ),
            CommandError::InvalidSetting(_) => (
                "A setting has no `=`, or no key in front of it. No setting was changed.",
                "Write each setting as in addCallLogResult=false.",
            ),
            CommandError::UnknownFormat(_) => (
                "The name of the file ends in neither .csv, .jsonl nor .ndjson.",
                "Add --format csv or --format jsonl.",
            ),
            CommandError::InvalidHeader { .. } => (
                "The file is not CSV, has no header, or lacks a column that every row needs.",
                "Export the table with the names of its columns in the first line, separated by commas.",
            ),
            CommandError::NothingImported(_) => (
                "The import checks the whole file before it writes. Standard error names each invalid row.",
                "Correct the rows, or skip them with --keep-going. --dry-run shows what an import would do.",
            ),
            CommandError::InvalidRows(_) => (
                "Standard error names each invalid row. All other rows are imported, unless this is a dry run.",
                "Correct these rows and import the file again. Rows that are already imported stay unchanged.",
            ),
            CommandError::Undecryptable(_) => (
                "These credentials were encrypted with a key that is not in the environment.",
                "Add the older key to CREDENTIALS_DATA_KEY_PREVIOUS or CREDENTIALS_KEY_FILE_PREVIOUS, or have these \
                 users connect again.",
            ),
            CommandError::NotErased { .. } => (
                "A delivery was under way, or an item was encrypted with a key that is not in the environment.",
                "Repeat the command in a minute. For unreadable items, set the keys that encrypted them, also as \
                 CREDENTIALS_DATA_KEY_PREVIOUS or CREDENTIALS_KEY_FILE_PREVIOUS.",
            ),
            CommandError::KeyFile(..) => (
                "The file already exists, or the directory is missing or not writable. An existing file is never \
                 replaced.",
                "Choose another path.",
            ),
            CommandError::Port { .. } => (
                "Another program uses the port, or you may not listen on it.",
                "Stop the other program, or choose another port with --port or --dynamodb-port. 0 chooses a free port.",
            ),
            CommandError::DataDirectory(..) => (
                "The directory, or a file in it, cannot be created, read or written.",
                "Correct its owner and permissions, or choose another directory with --data-dir.",
            ),
            CommandError::DataDirectoryInUse(_) => (
                "Two processes would overwrite each other's files.",
                "Stop the other process, or choose another directory with --data-dir.",
            ),
            CommandError::KeyLost(_) => (
                "Credentials are encrypted with the key in this file. Another key cannot decrypt them.",
                "Put the earlier key file back. If it is gone, choose another directory with --data-dir, and store the users \
                 there again.",
            ),
            CommandError::EmbeddedDynamoDb(_) => (
                "`dynamodb.sqlite` in the data directory is damaged or not writable.",
                "Restore the file, or choose another directory with --data-dir.",
            ),
            CommandError::ServerEnded => (
                "An internal error stopped the page, the routes or the embedded DynamoDB.",
                "Start `call-log serve -v` again. If it ends again, report its log lines.",
            ),
            CommandError::Demo(_) => (
                "A request to the routes or to the Example CRM failed, although everything runs in this process.",
                "Run `call-log demo -vv` and report its log lines.",
            ),
            CommandError::Output(_) => {
                ("The device is full, or was removed.", "Redirect the output to another file.")
            }
        };
        Explanation { cause, action }
    }

    /// Returns what to do, unless the message says it.
    pub fn action(&self) -> Option<&'static str> {
        (!matches!(self, CommandError::Start(_))).then(|| self.explain().action)
    }

    /// Returns `true` if the reader of the output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<store::Error> for CommandError {
    fn from(error: store::Error) -> CommandError {
        CommandError::Table { table: environment::table(), endpoint: environment::dynamodb(), error }
    }
}

impl From<TableError> for CommandError {
    fn from(error: TableError) -> CommandError {
        match error {
            TableError::Exists(table) => CommandError::TableExists(table),
            TableError::Store(error) => error.into(),
        }
    }
}
