//! The test that compares `docs/errors.md` with the explanations of the errors. `UPDATE_DOCS=1 cargo test -p cli` writes
//! the page.

use std::{fs, io, path::PathBuf, time::Duration};

use call_log::{
    adapters::{self, Effect, ErrorKind},
    api::explanations::{self, Response},
    delivery::Failure,
    model::{Clock, Explanation},
    startup::{
        app::App, config::Config, error::StartError, oauth_clients::ClientError, parameters::ParameterError,
        transport,
    },
    store,
};

use crate::{
    commands::import::rows::RowProblem,
    environment,
    error::{CommandError, EXIT_STATUSES},
};

/// Builds values of an enum from patterns and expressions. It does not compile if a variant has no pattern.
macro_rules! samples {
    ($type:ty { $($pattern:pat => $($value:expr),*;)* }) => {{
        let _exhaustive = |value: &$type| match value { $($pattern => {})* };
        let mut samples: Vec<$type> = Vec::new();
        $($(
            let value: $type = $value;
            assert!(matches!(value, $pattern), "{value:?} is no {}", stringify!($pattern));
            samples.push(value);
        )*)*
        samples
    }};
}

#[tokio::test]
async fn the_page_lists_every_error_with_its_cause_and_its_action() {
    let page = page().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    if environment::variable("UPDATE_DOCS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/errors.md is out of date: run `UPDATE_DOCS=1 cargo test -p cli`\n{page}"
    );
}

async fn page() -> String {
    let statuses = EXIT_STATUSES.iter().map(|status| [status.code.to_string(), capitalized(status.meaning)]);
    let start_errors = start_errors().await;
    let crm = adapters::find("example").expect("the adapter is in the registry");
    let sections = [
        "# Errors\n\n\
         Every message of the program `call-log`, of the functions and of the API, with its cause and what to do. The \
         texts stand beside the error types in the source, and a test compares them with this page. \
         `UPDATE_DOCS=1 cargo test -p cli` writes it. Values in the messages are examples.\n"
            .to_owned(),
        "## Exit statuses\n\n\
         The program `call-log` ends with one of these exit statuses:\n"
            .to_owned(),
        table(["Status", "Meaning"], statuses),
        "`call-log serve` ends with 0 after Ctrl-C. A command whose output is closed by its reader, such as `head`, \
         ends with 0.\n"
            .to_owned(),
        "## Errors of the program\n\n\
         Exit status 1. The program prints the message after `call-log:`, and below it what to do. The \
         [errors of the start](#errors-of-the-start) and [of the table](#errors-of-the-table) are also errors of the \
         program.\n"
            .to_owned(),
        explained(command_errors().iter().map(|error| (error.to_string(), error.explain()))),
        "### Invalid rows\n\n\
         `call-log import` names each invalid row with its line, then ends with exit status 1.\n"
            .to_owned(),
        explained(row_problems().iter().map(|problem| (format!("line 7: {problem}"), problem.explain()))),
        "## Errors of the start\n\n\
         A function that cannot start logs the message with the level ERROR and ends; Lambda reports an `Init` error. \
         The program prints the message and ends with exit status 1.\n"
            .to_owned(),
        explained(start_errors.into_iter()),
        "## Errors of the table\n\n\
         A function logs the message as `reason`, and the name of the error as `outcome`. The program prints the message, the name of the table and where it was requested.\n"
            .to_owned(),
        explained(store_errors().iter().map(|error| (error.to_string(), error.explain()))),
        "## Reasons of failed deliveries and dead letters\n\n\
         `call-log show ID SESSION` prints the reason, and log lines have it as `reason`. The parentheses contain the \
         status of the CRM's response, or what is wrong with it. `call-log redrive ID SESSION` starts the delivery of a \
         dead letter again.\n"
            .to_owned(),
        explained(delivery_failures().iter().map(|failure| (failure.to_string(), failure.explain()))),
        "## Errors of OAuth clients\n\n\
         A grant cannot be renewed without the OAuth client of its CRM. `reason` of the log line, and of a delivery in \
         `call-log show`, then contains the message. The work is delivered later.\n"
            .to_owned(),
        explained(client_errors().iter().map(|error| (error.to_string(), error.explain()))),
        format!(
            "## Responses of the API\n\n\
             Messages for a user of the {}. [http.md](http.md) describes the whole response. `outcome` is the field of \
             the log line.\n",
            crm.display_name()
        ),
        "`POST /callLog`. An update has the same failures.\n".to_owned(),
        responses(explanations::create_responses(crm)),
        "`PATCH /callLog`:\n".to_owned(),
        responses(explanations::update_responses(crm)),
        "Requests that are rejected, on both routes:\n".to_owned(),
        responses(explanations::rejections()),
    ];
    sections.join("\n")
}

fn command_errors() -> Vec<CommandError> {
    let path = PathBuf::from;
    let denied = || io::Error::from_raw_os_error(13);
    let (user, session) = (|| "12345-example".to_owned(), || "4503991004".to_owned());
    let input = || "user.json".to_owned();
    let port = |option| CommandError::Port { port: 3000, option, error: io::Error::from_raw_os_error(98) };
    samples!(CommandError {
        CommandError::NoTable => CommandError::NoTable;
        // These have sections of their own.
        CommandError::Start(_) => ;
        CommandError::Table { .. } => ;
        CommandError::TableExists(_) => CommandError::TableExists("call-log".to_owned());
        CommandError::UnknownUser(_) => CommandError::UnknownUser(user());
        CommandError::EmptyId(_) => CommandError::EmptyId("user"), CommandError::EmptyId("session");
        CommandError::UnknownCall { .. } => CommandError::UnknownCall { user: user(), session: session() };
        CommandError::NoDeadLetter { .. } => CommandError::NoDeadLetter { user: user(), session: session() };
        CommandError::InvalidTenant { .. } => CommandError::InvalidTenant {
            tenant: "3151823".to_owned(), reason: "expected the CRM and the account, such as example:3151823".to_owned(),
        };
        CommandError::InvalidAccount(_) => CommandError::InvalidAccount("+16505550100".to_owned());
        CommandError::NotConnected(..) => CommandError::NotConnected(user(), "the CRM has ended the session".to_owned());
        CommandError::NoServer(_) => CommandError::NoServer("https://calls.example.com".to_owned());
        CommandError::NotInTime(..) => CommandError::NotInTime("Example CRM", 600);
        CommandError::NotSetUp(..) => CommandError::NotSetUp("Example CRM", "The app needs the scope fields.write.".to_owned());
        CommandError::NoUrl => CommandError::NoUrl;
        CommandError::Unwell(_) => CommandError::Unwell(2);
        CommandError::UnreadableInput(..) => CommandError::UnreadableInput(input(), denied());
        CommandError::InvalidUser { .. } => CommandError::InvalidUser {
            input: input(), reason: "`hostname` acme.example is not a host of Example CRM".to_owned(),
        };
        CommandError::InvalidLine { .. } => CommandError::InvalidLine {
            line: 3, reason: "`duration` is not a duration: expected whole seconds or \"pending\", got 1.5".to_owned(),
        };
        CommandError::InvalidSetting(_) => CommandError::InvalidSetting("addCallLogResult".to_owned());
        CommandError::UnknownFormat(_) => CommandError::UnknownFormat("standard input".to_owned());
        CommandError::InvalidHeader { .. } => CommandError::InvalidHeader {
            input: "users.csv".to_owned(), reason: "missing column id, platform".to_owned(),
        };
        CommandError::NothingImported(_) => CommandError::NothingImported(8);
        CommandError::InvalidRows(_) => CommandError::InvalidRows(8);
        CommandError::Undecryptable(_) => CommandError::Undecryptable(vec!["12345-example (example)".to_owned()]);
        CommandError::NotErased { .. } => CommandError::NotErased { in_use: 1, unreadable: 0 };
        CommandError::KeyFile(..) => CommandError::KeyFile(path("a.key"), io::Error::from_raw_os_error(17));
        CommandError::Port { .. } => port("--port"), port("--dynamodb-port");
        CommandError::DataDirectory(..) => CommandError::DataDirectory(path(".call-log"), denied());
        CommandError::DataDirectoryInUse(_) => CommandError::DataDirectoryInUse(path(".call-log"));
        CommandError::KeyLost(_) => CommandError::KeyLost(".call-log/credentials.key".to_owned());
        CommandError::EmbeddedDynamoDb(_) => CommandError::EmbeddedDynamoDb("file is not a database".to_owned());
        CommandError::ServerEnded => CommandError::ServerEnded;
        CommandError::Demo(_) => CommandError::Demo("POST /callLog: the service is busy".to_owned());
        CommandError::Output(_) => CommandError::Output(io::Error::from_raw_os_error(28));
    })
}

fn row_problems() -> Vec<RowProblem> {
    let call = || "session 4503991004 of 12345-example".to_owned();
    samples!(RowProblem {
        RowProblem::Columns { .. } => RowProblem::Columns { values: 8, columns: 6 };
        RowProblem::Csv(_) => RowProblem::Csv("CSV parse error".to_owned());
        RowProblem::Encoding(_) => RowProblem::Encoding("name".to_owned());
        RowProblem::Json(_) => RowProblem::Json("EOF while parsing an object at column 9".to_owned());
        RowProblem::NotAnObject => RowProblem::NotAnObject;
        RowProblem::Field(_) => RowProblem::Field(crate::commands::unknown_platform());
        RowProblem::Contradiction(_) => RowProblem::Contradiction(2);
        RowProblem::OtherRecord { .. } => RowProblem::OtherRecord {
            call: call(), stored: "5001".to_owned(), given: "5009".to_owned(),
        };
        RowProblem::NotLogged { .. } => RowProblem::NotLogged { call: call(), state: store::State::Queued.name() };
    })
}

/// Starts the app with configurations that are wrong, and returns the messages.
async fn start_errors() -> Vec<(String, Explanation)> {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        path.to_string_lossy().into_owned()
    };
    let key = file("credentials.key", 0o600, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    let start = async |changes: &[(&str, &str)]| -> StartError {
        let value = |name: &str| {
            let own = [
                ("TABLE_NAME", "call-log"),
                ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
                ("HASH_KEY", "0123456789abcdef"),
                ("CREDENTIALS_KEY_FILE", key.as_str()),
                ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
            ];
            let found = changes.iter().chain(&own).find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match Config::read(value) {
            Ok(config) => App::new(config, Clock::System).await.expect_err("the configuration is wrong"),
            Err(invalid) => invalid.into(),
        }
    };
    let no_request = transport::client().unwrap().get("no URL").build().expect_err("the URL is wrong");
    let readable = file("readable.key", 0o644, "");
    let short = file("short.key", 0o600, "a2V5");
    let missing = directory.path().join("missing.key").to_string_lossy().into_owned();
    let mut errors = samples!(StartError {
        StartError::Config(_) =>
            start(&[("TABLE_NAME", "")]).await,
            start(&[("JWT_SECRET", "")]).await,
            start(&[("HASH_KEY", "")]).await,
            start(&[("AWS_ENDPOINT_URL_DYNAMODB", "")]).await,
            start(&[("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]).await,
            start(&[("AWS_ENDPOINT_URL_DYNAMODB", "8000")]).await;
        StartError::Http(_) => no_request.into();
        StartError::WeakSecret => start(&[("JWT_SECRET", "0123456789abcdef")]).await;
        StartError::Parameters(_) => start(&[
            ("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", "/call-log/prod/jwt-secret"), ("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1"),
        ]).await;
        StartError::DataKey(_) =>
            start(&[("CREDENTIALS_DATA_KEY", "a2V5"), ("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")]).await,
            start(&[("CREDENTIALS_DATA_KEY", "no base64")]).await,
            start(&[("CREDENTIALS_KEY_FILE", &missing)]).await,
            start(&[("CREDENTIALS_KEY_FILE", &readable)]).await,
            start(&[("CREDENTIALS_KEY_FILE", &short)]).await;
    });
    errors.dedup_by_key(|error| error.to_string());
    let path = format!("{}/", directory.path().display());
    errors.iter().map(|error| (error.to_string().replace(&path, ""), error.explain())).collect()
}

fn client_errors() -> Vec<ClientError> {
    let parameter = || "/call-log/call-log-prod/crm/example".to_owned();
    samples!(ClientError {
        ClientError::NoVariables(_) => ClientError::NoVariables(["EXAMPLE_CLIENT_ID", "EXAMPLE_CLIENT_SECRET"].map(str::to_owned));
        ClientError::NoParameter(_) => ClientError::NoParameter(parameter());
        ClientError::Malformed(_) => ClientError::Malformed(parameter());
        ClientError::Unreadable(_) => ClientError::Unreadable(ParameterError {
            names: parameter(), problem: "status 400 AccessDeniedException".to_owned(),
        });
    })
}

fn store_errors() -> Vec<store::Error> {
    let refused = |code: &str| store::Error::Rejected(code.to_owned());
    samples!(store::Error {
        store::Error::Unavailable(_) => store::Error::Unavailable("no connection".to_owned());
        store::Error::Rejected(_) =>
            refused("ResourceNotFoundException"), refused("AccessDeniedException"), refused("ValidationException");
        store::Error::Unreadable(..) => store::Error::Unreadable(
            "U#example#12345-example USER".to_owned(), "`credentials` cannot be decrypted".to_owned(),
        );
        store::Error::TooLarge => store::Error::TooLarge;
    })
}

fn delivery_failures() -> Vec<Failure> {
    let kinds = samples!(ErrorKind {
        ErrorKind::Rejected { .. } => ErrorKind::Rejected { message: "deal_id: Deal not found".to_owned() };
        ErrorKind::NotFound => ErrorKind::NotFound;
        ErrorKind::Unavailable => ErrorKind::Unavailable;
        ErrorKind::Unauthorized => ErrorKind::Unauthorized;
        ErrorKind::Forbidden { .. } => ErrorKind::Forbidden { message: String::new() };
        ErrorKind::RateLimited { .. } => ErrorKind::RateLimited { retry_after: None };
        ErrorKind::QuotaExceeded { .. } => ErrorKind::QuotaExceeded { resets_in: None };
        ErrorKind::AlreadyExists(_) => ErrorKind::AlreadyExists(None);
        ErrorKind::KeyRefused => ErrorKind::KeyRefused;
        ErrorKind::Conflict => ErrorKind::Conflict;
        ErrorKind::Malformed => ErrorKind::Malformed;
    });
    let reason = |kind: &ErrorKind| match kind {
        ErrorKind::Rejected { .. } => "status 422",
        ErrorKind::NotFound => "status 404",
        ErrorKind::Unavailable => "no response in time",
        ErrorKind::Unauthorized => "status 401",
        ErrorKind::Forbidden { .. } => "status 403",
        ErrorKind::RateLimited { .. } | ErrorKind::QuotaExceeded { .. } => "status 429",
        ErrorKind::AlreadyExists(_) => "status 409",
        ErrorKind::KeyRefused => "status 400",
        ErrorKind::Conflict => "status 412",
        ErrorKind::Malformed => "status 200",
    };
    let failure = |kind| {
        let reason = reason(&kind);
        Failure::Crm(adapters::Error::new(kind, Effect::None, reason))
    };
    let mut failures = samples!(Failure {
        Failure::SessionEnded => Failure::SessionEnded;
        Failure::Crm(_) => ;
        Failure::Paused(_) => Failure::Paused(Duration::from_secs(60));
        // The errors of the table have a section of their own.
        Failure::Store(_) => ;
    });
    failures.extend(kinds.into_iter().map(failure));
    failures
}

fn responses(responses: Vec<Response>) -> String {
    let rows = responses.into_iter().map(|response| {
        let details: String = response.details.iter().map(|text| format!("<br>{text}")).collect();
        let Explanation { cause, action } = response.explanation;
        [
            response.status.to_string(),
            code(&response.outcome),
            code(&response.message) + &details,
            cause.to_owned(),
            action.to_owned(),
        ]
    });
    table(["Status", "`outcome`", "Message and details", "Cause", "What to do"], rows)
}

/// A table of messages and explanations. Consecutive messages with the same explanation share a row.
fn explained(errors: impl Iterator<Item = (String, Explanation)>) -> String {
    let mut rows: Vec<(String, Explanation)> = Vec::new();
    for (message, explanation) in errors {
        match rows.last_mut() {
            Some((messages, last)) if *last == explanation => *messages += &format!("<br>{}", code(&message)),
            _ => rows.push((code(&message), explanation)),
        }
    }
    let row = |(messages, Explanation { cause, action })| [messages, cause.to_owned(), action.to_owned()];
    table(["Message", "Cause", "What to do"], rows.into_iter().map(row))
}

fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = line(&[const { "---" }; COLUMNS].map(str::to_owned)).replace(' ', "");
    let rows: String = rows.map(|cells| line(&cells.map(|cell| cell.replace('|', "\\|")))).collect();
    line(&head.map(str::to_owned)) + &rule + &rows
}

/// A code span; with two backticks if the text has some.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
