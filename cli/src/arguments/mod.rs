//! The commands, arguments and options of the program. Their doc comments are the help that it prints.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{examples, output};

/// Writes phone calls into a CRM exactly once, completely, and without overwriting what a person wrote there
///
/// Without a command, it serves everything on this machine: an embedded DynamoDB, both routes, and an Example CRM with
/// its web page. All other commands use the table that the environment names (TABLE_NAME, AWS_REGION,
/// AWS_ENDPOINT_URL_DYNAMODB, JWT_SECRET, HASH_KEY, ...). Without TABLE_NAME, they use the table that `call-log serve` keeps in the
/// current directory.
#[derive(Clone, Debug, Parser)]
#[command(name = "call-log", version = env!("CALL_LOG_VERSION"), arg_required_else_help = false)]
#[command(styles = output::HELP, after_help = examples::program())]
pub struct Arguments {
    /// Log to standard error; -vv logs all details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    /// Returns the command; without one, `serve` with its defaults.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Serve::default()))
    }

    /// Returns the lowest level of the log lines that are written.
    pub fn log_level(&self) -> tracing::Level {
        match self.verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        }
    }
}

/// A command.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve everything on this machine: DynamoDB, both routes, the Example CRM and its page
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// Play the life of one call in the terminal: it ends, its recording arrives, its note is edited
    #[command(after_help = examples::DEMO)]
    Demo,
    /// Store, show, list, check, remove or erase users
    #[command(after_help = examples::USER)]
    #[command(subcommand)]
    User(User),
    /// Show which key encrypts the users' credentials, or encrypt them with another key
    #[command(after_help = examples::CREDENTIALS)]
    #[command(subcommand)]
    Credentials(Credentials),
    /// Connect a CRM account: in a browser, or with a key, which is checked against the CRM first
    #[command(after_help = examples::CONNECT)]
    Connect(Connect),
    /// Say whose people may connect by themselves
    #[command(after_help = examples::TENANT)]
    #[command(subcommand)]
    Tenant(Tenant),
    /// Say which administrators at RingCentral administrate which CRM account
    #[command(subcommand, name = "ringcentral")]
    #[command(after_help = examples::RINGCENTRAL)]
    RingCentral(RingCentral),
    /// Print the manifest that the extension loads
    #[command(after_help = examples::MANIFEST)]
    Manifest {
        /// The address of the API; without it, PUBLIC_URL
        #[arg(long)]
        url: Option<String>,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Check configuration, table, registrations and each user's credential
    #[command(after_help = examples::DOCTOR)]
    Doctor {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Show or change a user's settings
    #[command(after_help = examples::SETTINGS)]
    Settings {
        /// The id of the user, such as 12345-example
        id: String,
        /// A change, such as addCallLogResult=false; an empty value restores the default
        #[arg(value_name = "KEY=VALUE")]
        changes: Vec<String>,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Print a token for a user, or revoke those that were issued
    #[command(after_help = examples::TOKEN, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Token {
        /// Another action than printing a token
        #[command(subcommand)]
        command: Option<Token>,
        /// The id of the user, such as 12345-example
        #[arg(required = true)]
        id: Option<String>,
        /// The number of days until the token expires
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Show the state and history of one call
    #[command(after_help = examples::SHOW)]
    Show {
        /// The id of the user, such as 12345-example
        id: String,
        /// RingCentral's sessionId of the call
        session: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Show what waits for the CRMs, what was given up, and which CRMs are paused
    #[command(after_help = examples::STATUS)]
    Status {
        /// Show it again every five seconds, until Ctrl-C. What was given up is read once a minute
        #[arg(long)]
        watch: bool,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Deliver everything that is due now, or schedule dead letters for delivery
    #[command(after_help = examples::REDRIVE)]
    Redrive {
        /// The id of the user, such as 12345-example
        #[arg(requires = "session")]
        id: Option<String>,
        /// RingCentral's sessionId of the call
        session: Option<String>,
        /// Schedule all calls that were given up at this time (RFC 3339) or later
        #[arg(long, value_name = "TIME", conflicts_with = "id")]
        since: Option<DateTime<Utc>>,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Compose notes: read JSON lines from standard input, print one JSON string per line
    #[command(after_help = examples::COMPOSE)]
    Compose {
        /// The format of the notes
        #[arg(long, value_enum, default_value_t = NoteFormat::Plain)]
        format: NoteFormat,
    },
    /// Import the users and call logs of an App Connect server
    #[command(subcommand)]
    #[command(after_help = examples::IMPORT)]
    Import(Import),
    /// List the CRMs, what each can do, and how one connects
    #[command(after_help = examples::CRMS)]
    Crms {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Create the table
    #[command(subcommand)]
    #[command(after_help = examples::TABLE)]
    Table(Table),
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print one JSON document, for scripts
    #[arg(long)]
    pub json: bool,
}

/// The options of `connect`.
#[derive(Clone, Debug, Args)]
pub struct Connect {
    /// The CRM, such as example
    pub crm: String,
    /// The key that the CRM shows the person; without it, the person connects in a browser
    #[arg(long, value_name = "TOKEN")]
    pub api_token: Option<String>,
    /// The address of the API; without it, PUBLIC_URL, or the server of this directory
    #[arg(long, conflicts_with = "api_token")]
    pub url: Option<String>,
    /// Print the address, and open no browser
    #[arg(long, conflicts_with = "api_token")]
    pub no_browser: bool,
    /// The time to wait for the person, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub wait: u32,
    /// Also set up what the CRM account needs, such as a field that identifies calls
    #[arg(long)]
    pub set_up: bool,
    /// The form of the output
    #[command(flatten)]
    pub output: Output,
}

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The port of the page and the routes; 0 chooses a free one
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
    /// Open a port for DynamoDB's API, for the functions and for commands in other directories; 0 chooses a free one
    #[arg(long)]
    pub dynamodb_port: Option<u16>,
    /// The directory that keeps all data
    #[arg(long, default_value = ".call-log")]
    pub data_dir: PathBuf,
    /// Keep all data in memory
    #[arg(long)]
    pub in_memory: bool,
}

impl Default for Serve {
    fn default() -> Self {
        Serve { port: 3000, dynamodb_port: None, data_dir: ".call-log".into(), in_memory: false }
    }
}

/// A command about tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum Token {
    /// Revoke the tokens of a user that were issued until now
    #[command(after_help = examples::TOKEN_REVOKE)]
    Revoke {
        /// The id of the user, such as 12345-example
        id: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
}

/// A command about accounts at RingCentral.
#[derive(Clone, Debug, Subcommand)]
pub enum RingCentral {
    /// Let the administrators of an account at RingCentral administrate a CRM account
    #[command(after_help = examples::RINGCENTRAL)]
    Bind {
        /// The CRM and the account, such as example:3151823
        tenant: String,
        /// RingCentral's id of the account
        account: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Let them administrate it no longer
    #[command(after_help = examples::RINGCENTRAL)]
    Unbind {
        /// The CRM and the account, such as example:3151823
        tenant: String,
        /// RingCentral's id of the account
        account: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// List the CRM accounts with their accounts at RingCentral
    #[command(after_help = examples::RINGCENTRAL)]
    List {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
}

/// A command about tenants.
#[derive(Clone, Debug, Subcommand)]
pub enum Tenant {
    /// Let the people of a CRM account connect by themselves
    #[command(after_help = examples::TENANT)]
    Allow {
        /// The CRM and the account, such as example:3151823
        tenant: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Let no more people of a CRM account connect
    #[command(after_help = examples::TENANT)]
    Forbid {
        /// The CRM and the account, such as example:3151823
        tenant: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// List the CRM accounts about which that was decided
    #[command(after_help = examples::TENANT)]
    List {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
}

/// A command about users.
#[derive(Clone, Debug, Subcommand)]
pub enum User {
    /// Store the user that a JSON file describes; an existing user is replaced
    #[command(after_help = examples::USER_PUT)]
    Put {
        /// The file; - reads standard input
        file: PathBuf,
    },
    /// Show a user as a JSON document, without secrets
    #[command(after_help = examples::USER_SHOW)]
    Show {
        /// The id of the user, such as 12345-example
        id: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// List all users and their connections
    #[command(after_help = examples::USER_LIST)]
    List {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Ask the CRM whether a user's credential works
    #[command(after_help = examples::USER_CHECK)]
    Check {
        /// The id of the user, such as 12345-example
        id: String,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Make a user an administrator of the CRM account, who decides the settings of its people
    #[command(after_help = examples::USER_ADMIN)]
    Admin {
        /// The id of the user, such as 12345-example
        id: String,
        /// Make the user an administrator no longer
        #[arg(long)]
        remove: bool,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Remove a user; the user's call logs stay
    #[command(after_help = examples::USER_REMOVE)]
    Remove {
        /// The id of the user, such as 12345-example
        id: String,
    },
    /// Erase a person: the user, the user's call logs in the table, and updates that wait; the CRM's records stay
    #[command(after_help = examples::USER_ERASE)]
    Erase {
        /// The id of the user, such as 12345-example
        id: String,
        /// Change nothing, and print what would be done
        #[arg(long)]
        dry_run: bool,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
}

/// A command about the keys that encrypt credentials.
#[derive(Clone, Debug, Subcommand)]
pub enum Credentials {
    /// Show how many users' credentials each key encrypts
    Status {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Encrypt every user's credentials with the current key; it can be repeated at any time
    Rotate {
        /// Change nothing, and print what would be done
        #[arg(long)]
        dry_run: bool,
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
    /// Create a file with a new key that only its owner can read
    NewKeyFile {
        /// The path of the file; an existing file is not replaced
        path: PathBuf,
    },
}

/// A command about the table.
#[derive(Clone, Debug, Subcommand)]
pub enum Table {
    /// Create the table as template.yaml defines it
    #[command(after_help = examples::TABLE)]
    Create {
        /// The form of the output
        #[command(flatten)]
        output: Output,
    },
}

/// A table of App Connect.
#[derive(Clone, Debug, Subcommand)]
pub enum Import {
    /// Import users: their credentials, time zones and settings
    #[command(after_help = examples::IMPORT_USERS)]
    Users {
        /// The file and its options
        #[command(flatten)]
        source: Source,
        /// Also overwrite existing users
        #[arg(long)]
        replace: bool,
    },
    /// Import which CRM record belongs to which call
    #[command(after_help = examples::IMPORT_CALL_LOGS)]
    CallLogs {
        /// The file and its options
        #[command(flatten)]
        source: Source,
    },
}

/// The file of an import, and its options.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// The exported table; - reads standard input
    pub file: PathBuf,
    /// The format of the file; by default its name decides: .csv, .jsonl or .ndjson
    #[arg(long, value_enum)]
    pub format: Option<RowFormat>,
    /// Check the file and the table, change nothing, and print what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Import the valid rows although there are invalid ones
    #[arg(long)]
    pub keep_going: bool,
    /// The form of the output
    #[command(flatten)]
    pub output: Output,
}

/// The format of an exported table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Comma-separated values, with the column names in the first line
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// The format of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NoteFormat {
    /// Plain text
    #[value(alias = "text/plain")]
    Plain,
    /// HTML
    #[value(alias = "text/html")]
    Html,
    /// Markdown
    #[value(alias = "text/markdown")]
    Markdown,
}

#[cfg(test)]
mod tests;
