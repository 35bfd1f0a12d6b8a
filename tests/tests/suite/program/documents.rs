//! Every command line in the documents is one that the program understands, and those that can run here succeed.

use std::collections::BTreeMap;

use call_log::model::{Platform, User, UserId};
use clap::{CommandFactory, Parser, error::ErrorKind};
use cli::arguments::{self, Arguments, Command};
use serde_json::json;
use tests::{
    pipedrive::{BASE_URL_VARIABLE, Route},
    proxy::Fault,
    test_app::{TestApp, call},
};

use super::shell::Shell;
use crate::markdown::{Code, pages};

/// The command lines of `call-log` in a piece of code, as lists of words that begin with `call-log`.
fn command_lines(code: &Code) -> Vec<Vec<String>> {
    let is_shell = |language: &str| ["sh", "bash", "shell", "console"].contains(&language);
    let begins = ["call-log ", "cargo run"].iter().any(|start| code.text.starts_with(start));
    match &code.language {
        Some(language) if !is_shell(language) => return Vec::new(),
        None if !begins => return Vec::new(),
        _ => {}
    }
    simple_commands(&code.text).iter().filter_map(|command| of_the_program(command)).collect()
}

/// The simple commands of a script: it is cut at newlines, pipes, lists and command substitutions, and comments are left out.
fn simple_commands(script: &str) -> Vec<String> {
    let script = script.replace("\\\n", " ");
    let mut commands = vec![String::new()];
    let (mut quote, mut is_comment, mut before) = (None, false, '\n');
    for char in script.chars() {
        let is_cut = match (quote, char) {
            (_, '\n') if is_comment => true,
            _ if is_comment => continue,
            (None, '#') if before.is_whitespace() => {
                is_comment = true;
                continue;
            }
            (None, '\n' | '|' | ';' | '&' | '(' | ')') => true,
            // A substitution within quotes.
            (Some('"'), '(') if before == '$' => {
                quote = None;
                true
            }
            (None, '\'' | '"') => {
                quote = Some(char);
                false
            }
            (Some(open), char) if open == char => {
                quote = None;
                false
            }
            _ => false,
        };
        if is_cut {
            is_comment = false;
            commands.push(String::new());
        } else {
            commands.last_mut().expect("there is a command").push(char);
        }
        before = char;
    }
    commands
}

/// The words of a command if it runs `call-log`, by its name or with `cargo run`.
fn of_the_program(command: &str) -> Option<Vec<String>> {
    // What is cut out of quotes may not be a whole command.
    let words = shell_words::split(command.trim().trim_start_matches("$ ")).ok()?;
    let is_assignment = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|char| char.is_ascii_uppercase() || char == '_')
        })
    };
    let is_redirection = |word: &String| [">", "<", "2>"].iter().any(|sign| word.starts_with(sign));
    let words: Vec<String> =
        words.into_iter().skip_while(is_assignment).take_while(|word| !is_redirection(word)).collect();
    let (program, rest) = words.split_first()?;
    if program == "call-log" {
        return Some(words);
    }
    if program != "cargo" || rest.first().is_none_or(|word| word != "run") {
        return None;
    }
    let mut options = rest.split(|word| word == "--");
    let is_other =
        options.next()?.iter().any(|word| ["-p", "--package", "--example", "--bin"].contains(&word.as_str()));
    let own = rest.iter().skip_while(|word| *word != "--").skip(1).cloned();
    (!is_other).then(|| ["call-log".to_owned()].into_iter().chain(own).collect())
}

/// The command lines in all documents, each with a place where it is.
fn documented() -> BTreeMap<Vec<String>, String> {
    let mut found = BTreeMap::new();
    // The history of releases is about the programs of its time.
    for page in pages().iter().filter(|page| page.path != "CHANGELOG.md") {
        for code in page.code() {
            for words in command_lines(&code) {
                found.entry(words).or_insert_with(|| format!("{}:{}", page.path, code.line));
            }
        }
    }
    found
}

/// Returns `true` for the name of a command without arguments, such as `call-log user put`: a text may mention it.
fn is_name_of_a_command(words: &[String]) -> bool {
    let mut command = <Arguments as CommandFactory>::command();
    words.iter().skip(1).all(|word| match command.find_subcommand(word).cloned() {
        Some(found) => {
            command = found;
            true
        }
        None => false,
    })
}

/// Returns `true` if a word stands for a value, such as `ID`.
fn has_placeholder(words: &[String]) -> bool {
    words.iter().any(|word| word.chars().all(|letter| letter.is_ascii_uppercase()))
}

#[test]
fn the_program_understands_every_documented_command() {
    let documented = documented();
    assert!(documented.len() > 10, "the commands were found: {documented:?}");
    let mut wrong = Vec::new();
    for (words, place) in &documented {
        if let Err(error) = Arguments::try_parse_from(words)
            && ![ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind())
            && !is_name_of_a_command(words)
        {
            let reason = error.to_string();
            wrong.push(format!(
                "{place}: {}: {}",
                words.join(" "),
                reason.lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "these command lines are wrong:\n{}", wrong.join("\n"));
}

#[test]
fn a_command_is_found_wherever_a_document_has_it() {
    for (language, text, expected) in [
        (None, "call-log token 12345-example", &["call-log token 12345-example"][..]),
        (None, "cargo run -q -- show 1-example 7", &["call-log show 1-example 7"]),
        (None, "cargo run", &["call-log"]),
        (None, "create-call-log", &[]),
        (None, "call-log", &[]),
        (None, "cargo run -p verification -- model", &[]),
        (Some("sh"), "TOKEN=$(cargo run -q -- token 1-example)", &["call-log token 1-example"]),
        (
            Some("sh"),
            "curl -H \"x: $(call-log token 1-example)\" -d '{\n  \"a\": \"call-log; call-log b\"}'",
            &["call-log token 1-example"],
        ),
        (
            Some("sh"),
            "TABLE_NAME=calls call-log table create # comments; call-log no\n# call-log no\n",
            &["call-log table create"],
        ),
        (
            Some("sh"),
            "cat lines | call-log compose \\\n  --format html > notes\n",
            &["call-log compose --format html"],
        ),
        (
            Some("sh"),
            "call-log settings 1-example logDateFormat='DD/MM/YYYY HH:mm'",
            &["call-log settings 1-example logDateFormat=DD/MM/YYYY HH:mm"],
        ),
        (Some("json"), "call-log token", &[]),
    ] {
        let code = Code { text: text.to_owned(), line: 1, language: language.map(str::to_owned) };
        let found: Vec<String> = command_lines(&code).iter().map(|words| words.join(" ")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Prepares the files, the user and the state of a call that a command needs.
async fn prepare(app: &TestApp, shell: &mut Shell, command: &Command) {
    let user = json!({
        "id": "12345-pipedrive", "platform": "pipedrive", "hostname": "acme.pipedrive.com",
        "credentials": {"type": "apiKey", "apiKey": "a key"},
    });
    let users = "id,platform,hostname,accessToken\n1-pipedrive,pipedrive,acme.pipedrive.com,a key\n";
    let logs = "userId,platform,sessionId,thirdPartyLogId\n1-pipedrive,pipedrive,1,5001\n";
    let file = |path: &std::path::Path, text: &str| std::fs::write(shell.path().join(path), text).unwrap();
    match command {
        Command::User(arguments::User::Put { file: path }) => file(path, &user.to_string()),
        Command::Import(arguments::Import::Users { source, .. }) => file(&source.file, users),
        Command::Import(arguments::Import::CallLogs { source }) => file(&source.file, logs),
        // The app has made the table `calls`.
        Command::Table(_) => shell.set("TABLE_NAME", "other"),
        Command::Doctor { .. } => shell.set(BASE_URL_VARIABLE, &app.crm.base_url()),
        Command::Manifest { .. } => shell.set("PUBLIC_URL", "https://calls.example.com"),
        _ => {}
    }
    let (id, session) = match command {
        Command::User(arguments::User::Show { id, .. } | arguments::User::Remove { id }) => (Some(id), None),
        Command::Settings { id, .. } => (Some(id), None),
        Command::Token { command: Some(arguments::Token::Revoke { id, .. }), .. } => (Some(id), None),
        Command::Token { id, .. } => (id.as_ref(), None),
        Command::Show { id, session, .. } => (Some(id), Some(session)),
        Command::Redrive { id, session, .. } => (id.as_ref(), session.as_ref()),
        _ => (None, None),
    };
    if let Some(id) = id {
        let platform = id.rsplit('-').next().and_then(Platform::new).expect("an id ends in its platform");
        let user = User { id: UserId::new(id.as_str()).unwrap(), platform, ..app.user.clone() };
        app.app.store.put_user(&user).await.unwrap();
    }
    if let Some(session) = session {
        assert_eq!(id, Some(&app.user.id.to_string()), "a call is of the user of the tests");
        let is_dead = matches!(command, Command::Redrive { .. });
        if is_dead {
            app.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: None });
            app.crm.always(Route::CreateActivity, Fault::Status(422));
        }
        app.post(&call(session)).await;
        app.redrive_for(2).await;
        app.crm.forget_faults();
    }
}

#[tokio::test]
async fn every_documented_command_that_can_run_here_succeeds() {
    let mut count = 0;
    for (words, place) in documented().into_iter().filter(|(words, _)| !has_placeholder(words)) {
        let Ok(parsed) = Arguments::try_parse_from(&words) else { continue };
        let command = parsed.command();
        // They run until they are stopped, and until a person has connected; `serve.rs` and `connections.rs` test them.
        let is_waiting = |connect: &arguments::Connect| connect.api_token.is_none();
        if matches!(command, Command::Serve(_))
            || matches!(&command, Command::Connect(connect) if is_waiting(connect))
        {
            continue;
        }
        let app = TestApp::start().await;
        let mut shell = Shell::with_table(&app.dynamodb);
        prepare(&app, &mut shell, &command).await;
        let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let said = shell.run_with(&arguments, "{\"note\": \"Wants a quote\"}\n");
        assert_eq!(said.code, Some(0), "{place}: {}: {}{}", words.join(" "), said.out, said.error);
        count += 1;
    }
    assert!(count > 5, "commands were run");
}
