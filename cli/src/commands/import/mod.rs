//! `call-log import`: imports the users and call logs of an App Connect server.
//!
//! The whole file is read and checked before anything is written. Rows that were imported before are left unchanged, so
//! an import that was interrupted can be repeated.

mod call_logs;
pub(crate) mod rows;
mod users;

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    io::Write,
};

use call_log::{
    model::{CallKey, TenantKey, User},
    startup::app::App,
    store::{self, Imported},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use self::rows::{Row, RowError, RowProblem};
use crate::{
    arguments::{Import, Source},
    commands::find_account,
    environment,
    error::CommandError,
    output,
};

/// The number of users or sessions whose rows are written at the same time.
const CONCURRENT_SUBJECTS: usize = 16;
/// The number of invalid rows that are printed.
const PRINTED_ERRORS: usize = 20;

/// The result of importing a row.
#[derive(Debug)]
enum RowOutcome {
    Imported,
    Replaced,
    /// The table already had it.
    Skipped,
    Rejected(RowProblem),
}

/// The number of rows by their result, except for the rejected ones.
#[derive(Debug, Default)]
struct Counts {
    imported: usize,
    replaced: usize,
    skipped: usize,
}

pub(super) async fn run(command: Import) -> Result<(), CommandError> {
    match command {
        Import::Users { source, replace } => {
            let (users, errors) = check(&source, &users::COLUMNS, users::read)?;
            let (users, errors) = without_repeats(users, errors, User::key, |one, other| one == other);
            let import = async |app: &App, user: &User| import_user(app, user, replace, source.dry_run).await;
            finish(&source, "users", users, errors, User::key, import).await
        }
        Import::CallLogs { source } => {
            let (calls, errors) = check(&source, &call_logs::COLUMNS, call_logs::read)?;
            let (calls, errors) =
                without_repeats(calls, errors, call_logs::ImportedCall::key, |one, other| {
                    one.log == other.log
                });
            let import = async |app: &App, call: &call_logs::ImportedCall| {
                import_call(app, call, source.dry_run).await
            };
            finish(&source, "call logs", calls, errors, |call| call.session.clone(), import).await
        }
    }
}

/// The valid rows with their line numbers, and the errors of the invalid ones.
type Checked<T> = (Vec<(u64, T)>, Vec<RowError>);

fn check<T>(
    source: &Source,
    columns: &[&str],
    read: impl Fn(&Row) -> Result<T, RowProblem>,
) -> Result<Checked<T>, CommandError> {
    let (mut valid, mut errors) = (Vec::new(), Vec::new());
    for row in rows::read(&source.file, source.format, columns)? {
        match row.and_then(|row| Ok((row.line, read(&row).map_err(|problem| row.error(problem))?))) {
            Ok(read) => valid.push(read),
            Err(error) => errors.push(error),
        }
    }
    Ok((valid, errors))
}

/// Drops repeated rows. Of rows that contradict each other only the first is valid.
fn without_repeats<T, K: Eq + Hash>(
    rows: Vec<(u64, T)>,
    mut errors: Vec<RowError>,
    key: impl Fn(&T) -> K,
    is_same: impl Fn(&T, &T) -> bool,
) -> Checked<T> {
    let mut seen: HashMap<K, usize> = HashMap::new();
    let mut valid: Vec<(u64, T)> = Vec::new();
    for (line, row) in rows {
        match seen.get(&key(&row)).map(|index| &valid[*index]) {
            None => {
                seen.insert(key(&row), valid.len());
                valid.push((line, row));
            }
            Some((_, first)) if is_same(first, &row) => {}
            Some((first, _)) => errors.push(RowError { line, problem: RowProblem::Contradiction(*first) }),
        }
    }
    (valid, errors)
}

async fn import_user(
    app: &App,
    user: &User,
    replace: bool,
    dry_run: bool,
) -> Result<RowOutcome, store::Error> {
    let exists = app.store.user(&user.key()).await?.is_some();
    if exists && !replace {
        return Ok(RowOutcome::Skipped);
    }
    if !dry_run {
        let mut user = user.clone();
        find_account(app, &mut user).await?;
        if replace {
            app.store.put_user(&user).await?;
        } else if !app.store.import_user(&user).await? {
            return Ok(RowOutcome::Skipped);
        }
    }
    Ok(if exists { RowOutcome::Replaced } else { RowOutcome::Imported })
}

async fn import_call(
    app: &App,
    row: &call_logs::ImportedCall,
    dry_run: bool,
) -> Result<RowOutcome, store::Error> {
    let call_logs::ImportedCall { user, session, extension, log } = row;
    let tenant = match app.store.user(user).await? {
        Some(stored) => stored.user.tenant(),
        None => TenantKey::of_user(user),
    };
    let key = CallKey { tenant, session: session.clone(), header_user: None };
    let identity = app.hash_key().identity(extension);
    let imported = match dry_run {
        false => app.store.import_call(&key, &identity, &user.id, log, app.clock.now_ms()).await?,
        true => app.store.would_import_call(&key, &identity, &user.id, log).await?,
    };
    let call = || format!("session {session} of {}", user.id);
    Ok(match imported {
        Imported::Done => RowOutcome::Imported,
        Imported::AlreadyThere => RowOutcome::Skipped,
        Imported::Conflicting(_, Some(stored)) => RowOutcome::Rejected(RowProblem::OtherRecord {
            call: call(),
            stored: stored.to_string(),
            given: log.to_string(),
        }),
        Imported::Conflicting(state, None) => {
            RowOutcome::Rejected(RowProblem::NotLogged { call: call(), state: state.name() })
        }
    })
}

/// Writes the valid rows, unless invalid ones prevent it, and prints the results. Rows with the same `subject` are written in
/// their order, because the first one wins.
async fn finish<T, S: Ord>(
    source: &Source,
    what: &str,
    rows: Vec<(u64, T)>,
    mut errors: Vec<RowError>,
    subject: impl Fn(&T) -> S,
    import: impl AsyncFn(&App, &T) -> Result<RowOutcome, store::Error>,
) -> Result<(), CommandError> {
    let is_prevented = !errors.is_empty() && !source.keep_going && !source.dry_run;
    let mut counts = Counts::default();
    if !is_prevented {
        let app = environment::app().await?;
        for (line, outcome) in import_all(&app, &rows, subject, import).await? {
            match outcome {
                RowOutcome::Imported => counts.imported += 1,
                RowOutcome::Replaced => counts.replaced += 1,
                RowOutcome::Skipped => counts.skipped += 1,
                RowOutcome::Rejected(problem) => errors.push(RowError { line, problem }),
            }
        }
    }
    errors.sort_by_key(|error| error.line);
    let Counts { imported, replaced, skipped } = counts;
    let verb = if source.dry_run { "would be imported" } else { "imported" };
    let summary = format!(
        "{what}: {imported} {verb}, {replaced} replaced, {skipped} already imported, {} invalid",
        errors.len()
    );
    let invalid = |error: &RowError| json!({"line": error.line, "reason": error.problem.to_string()});
    let document = json!({
        "dryRun": source.dry_run,
        "imported": imported,
        "replaced": replaced,
        "alreadyImported": skipped,
        "invalid": errors.iter().map(invalid).collect::<Vec<_>>(),
    });
    print_errors(&errors);
    output::print_either(source.output.json, summary, &document)?;
    match errors.len() {
        0 => Ok(()),
        count if is_prevented => Err(CommandError::NothingImported(count)),
        count => Err(CommandError::InvalidRows(count)),
    }
}

/// Imports the rows of several subjects at the same time. On a terminal it shows a progress bar.
async fn import_all<T, S: Ord>(
    app: &App,
    rows: &[(u64, T)],
    subject: impl Fn(&T) -> S,
    import: impl AsyncFn(&App, &T) -> Result<RowOutcome, store::Error>,
) -> Result<Vec<(u64, RowOutcome)>, store::Error> {
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} ({eta} left)").expect("the template is valid");
    let bar = ProgressBar::new(rows.len() as u64).with_style(style);
    let mut groups: BTreeMap<S, Vec<_>> = BTreeMap::new();
    for row in rows {
        groups.entry(subject(&row.1)).or_default().push(row);
    }
    let (import, bar) = (&import, &bar);
    let outcomes: Result<Vec<Vec<_>>, _> = stream::iter(groups.into_values())
        .map(async |rows| {
            let mut outcomes = Vec::with_capacity(rows.len());
            for (line, row) in rows {
                outcomes.push((*line, import(app, row).await?));
                bar.inc(1);
            }
            Ok::<_, store::Error>(outcomes)
        })
        .buffer_unordered(CONCURRENT_SUBJECTS)
        .try_collect()
        .await;
    bar.finish_and_clear();
    outcomes.map(|outcomes| outcomes.into_iter().flatten().collect())
}

/// Prints the errors of the first invalid rows to standard error.
fn print_errors(errors: &[RowError]) {
    let mut out = anstream::stderr();
    for error in errors.iter().take(PRINTED_ERRORS) {
        let _ = writeln!(out, "line {}: {}", error.line, error.problem);
    }
    if errors.len() > PRINTED_ERRORS {
        let _ = writeln!(out, "{} more invalid row(s); --json lists all", errors.len() - PRINTED_ERRORS);
    }
}
