//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{examples, output};

/// Logs phone calls into CRMs: once, complete, and never over what a person wrote there.
///
/// Without a command it serves everything on this machine: an embedded DynamoDB, the two routes, and an Example CRM with
/// its web page. The commands about users, tokens and calls work on the table that the environment names (TABLE_NAME,
/// AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB, JWT_SECRET, ...), or else on the one that `call-log serve` keeps here.
#[derive(Clone, Debug, Parser)]
#[command(name = "call-log", version, arg_required_else_help = false)]
#[command(styles = output::HELP, after_help = examples::PROGRAM)]
pub struct Arguments {
    /// Say on standard error what happens; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    /// What to do; serving, when nothing is said.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Serve::default()))
    }

    /// How much is said about it.
    pub fn log_level(&self) -> tracing::Level {
        match self.verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve everything on this machine: DynamoDB, the two routes, the Example CRM and its page
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// Play one call's life in the terminal: it ends, its recording arrives, its note is edited
    #[command(after_help = examples::DEMO)]
    Demo,
    /// Put, show or remove users
    #[command(after_help = examples::USER)]
    #[command(subcommand)]
    User(User),
    /// See what the users' credentials are sealed with, and seal them with another key
    #[command(after_help = examples::CREDENTIALS)]
    #[command(subcommand)]
    Credentials(Credentials),
    /// Show or change a user's settings
    #[command(after_help = examples::SETTINGS)]
    Settings {
        /// The user, as in their token: 12345-pipedrive
        id: String,
        /// addCallLogResult=false logDateFormat="DD/MM/YYYY HH:mm:ss"; an empty value goes back to the default
        #[arg(value_name = "KEY=VALUE")]
        changes: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Print a token for a user
    #[command(after_help = examples::TOKEN)]
    Token {
        /// The user: 12345-pipedrive
        id: String,
        /// How long it is valid
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Show the state of one call
    #[command(after_help = examples::SHOW)]
    Show {
        /// The user: 12345-pipedrive
        id: String,
        /// RingCentral's sessionId
        session: String,
        #[command(flatten)]
        output: Output,
    },
    /// Deliver what is due now; or have one call tried again that was given up
    #[command(after_help = examples::REDRIVE)]
    Redrive {
        /// The user: 12345-pipedrive
        #[arg(requires = "session")]
        id: Option<String>,
        /// RingCentral's sessionId
        session: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Compose notes: JSON lines on standard input, a JSON string a line on standard output
    #[command(after_help = examples::COMPOSE)]
    Compose {
        #[arg(long, value_enum, default_value_t = NoteFormat::Plain)]
        format: NoteFormat,
    },
    /// Bring over the users and call logs of an App Connect server
    #[command(subcommand)]
    #[command(after_help = examples::IMPORT)]
    Import(Import),
    /// Make the table
    #[command(subcommand)]
    #[command(after_help = examples::TABLE)]
    Table(Table),
    /// Print what a shell needs to complete this program's commands
    #[command(after_help = examples::COMPLETIONS)]
    Completions { shell: clap_complete::Shell },
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print one JSON document, for scripts
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The port of the page and the routes; 0: any
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
    /// The port of DynamoDB's API; 0: any
    #[arg(long, default_value_t = 8000)]
    pub dynamodb_port: u16,
    /// Where everything is kept
    #[arg(long, default_value = ".call-log")]
    pub data_dir: PathBuf,
    /// Keep nothing
    #[arg(long)]
    pub in_memory: bool,
}

impl Default for Serve {
    fn default() -> Self {
        Serve { port: 3000, dynamodb_port: 8000, data_dir: ".call-log".into(), in_memory: false }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum User {
    /// Store the user that a JSON file describes
    #[command(after_help = examples::USER_PUT)]
    Put {
        /// The file; -: standard input
        file: PathBuf,
    },
    /// Show a user, without secrets: a JSON document
    #[command(after_help = examples::USER_SHOW)]
    Show {
        /// The user, as in their token: 12345-pipedrive
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a user; what they logged stays
    #[command(after_help = examples::USER_REMOVE)]
    Remove {
        /// The user, as in their token: 12345-pipedrive
        id: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Credentials {
    /// Show how many users' credentials are sealed under which key
    Status {
        #[command(flatten)]
        output: Output,
    },
    /// Seal every user's credentials under the newest key; it can be done again at any time
    Rotate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Make a file with a new key, which only its owner can read
    NewKeyFile {
        /// Where; a file that is there is left as it is
        path: PathBuf,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Table {
    /// Make the table, as template.yaml defines it
    #[command(after_help = examples::TABLE)]
    Create {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Import {
    /// Bring over users: their credentials, zones and settings
    #[command(after_help = examples::IMPORT_USERS)]
    Users {
        #[command(flatten)]
        source: Source,
        /// Also those who are here already: theirs is overwritten
        #[arg(long)]
        replace: bool,
    },
    /// Bring over which call has which log in the CRM
    #[command(after_help = examples::IMPORT_CALL_LOGS)]
    CallLogs {
        #[command(flatten)]
        source: Source,
    },
}

/// What is brought over, and how.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// The table as it was exported; -: standard input
    pub file: PathBuf,
    /// How the file is written; otherwise its name tells: .csv, .jsonl, .ndjson
    #[arg(long, value_enum)]
    pub format: Option<RowFormat>,
    /// Read and check everything, write nothing, and say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// Bring over the good rows although there are bad ones
    #[arg(long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// With the columns' names in the first line
    Csv,
    /// One JSON object a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NoteFormat {
    #[value(alias = "text/plain")]
    Plain,
    #[value(alias = "text/html")]
    Html,
    #[value(alias = "text/markdown")]
    Markdown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_serve_as_it_is_documented() {
        let bare = Arguments::try_parse_from(["call-log"]).unwrap().command();
        let said = Arguments::try_parse_from(["call-log", "serve"]).unwrap().command();
        assert_eq!(format!("{bare:?}"), format!("{said:?}"));
    }

    #[test]
    fn a_format_is_named_either_way() {
        for name in ["html", "text/html"] {
            let command =
                Arguments::try_parse_from(["call-log", "compose", "--format", name]).unwrap().command();
            assert!(matches!(command, Command::Compose { format: NoteFormat::Html }), "{name}");
        }
    }
}
