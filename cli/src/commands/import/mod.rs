//! `call-log import`: what an App Connect server knows of users and calls.
//!
//! The whole file is read and checked before anything is written. What was written before is left as it is, so that an
//! import that broke off is simply started again.

mod call_logs;
mod rows;
mod users;

use std::{collections::HashMap, hash::Hash, io::Write};

use call_log::{
    model::{CallKey, CallLogId, User},
    startup::app::App,
    store::{self, Imported, State},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use self::rows::{Bad, Row};
use super::Failure;
use crate::{
    arguments::{Import, Source},
    environment, output,
};

/// How many rows are written at once.
const AT_ONCE: usize = 16;
/// How many bad rows are told one by one.
const TOLD: usize = 20;

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Imported,
    Replaced,
    Before,
    Refused(String),
}

pub(super) async fn run(command: Import) -> Result<(), Failure> {
    match command {
        Import::Users { source, replace } => {
            let (users, bad) = check(&source, &users::COLUMNS, users::read)?;
            let (users, bad) = without_repeats(users, bad, User::key, |one, other| one == other);
            let import = async |app: &App, user: &User| import_user(app, user, replace, source.dry_run).await;
            finish(&source, "users", users, bad, import).await
        }
        Import::CallLogs { source } => {
            let (mut calls, bad) = check(&source, &call_logs::COLUMNS, call_logs::read)?;
            call_logs::settle_extensions(&mut calls);
            let (calls, bad) =
                without_repeats(calls, bad, |call| call.key.clone(), |one, other| one.log == other.log);
            let import = async |app: &App, call: &call_logs::CallLog| {
                import_call(app, &call.key, &call.log, source.dry_run).await
            };
            finish(&source, "call logs", calls, bad, import).await
        }
    }
}

/// The good rows by their lines, and the bad ones.
type Checked<T> = (Vec<(u64, T)>, Vec<Bad>);

fn check<T>(
    source: &Source,
    columns: &[&str],
    read: impl Fn(&Row) -> Result<T, Bad>,
) -> Result<Checked<T>, Failure> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for row in rows::read(&source.file, source.format, columns)? {
        match row.and_then(|row| Ok((row.line, read(&row)?))) {
            Ok(read) => good.push(read),
            Err(wrong) => bad.push(wrong),
        }
    }
    Ok((good, bad))
}

/// Rows that say the same twice count once; of those that contradict each other only the first is good.
fn without_repeats<T, K: Eq + Hash>(
    rows: Vec<(u64, T)>,
    mut bad: Vec<Bad>,
    key: impl Fn(&T) -> K,
    is_same: impl Fn(&T, &T) -> bool,
) -> Checked<T> {
    let mut seen: HashMap<K, usize> = HashMap::new();
    let mut good: Vec<(u64, T)> = Vec::new();
    for (line, row) in rows {
        match seen.get(&key(&row)).map(|index| &good[*index]) {
            None => {
                seen.insert(key(&row), good.len());
                good.push((line, row));
            }
            Some((_, first)) if is_same(first, &row) => {}
            Some((first, _)) => bad.push(Bad { line, reason: format!("it contradicts line {first}") }),
        }
    }
    (good, bad)
}

async fn import_user(app: &App, user: &User, replace: bool, dry_run: bool) -> Result<Fate, store::Error> {
    if dry_run || replace {
        let is_here = app.store.user(&user.key()).await?.is_some();
        if is_here && !replace {
            return Ok(Fate::Before);
        }
        if !dry_run {
            app.store.put_user(user).await?;
        }
        return Ok(if is_here { Fate::Replaced } else { Fate::Imported });
    }
    Ok(if app.store.import_user(user).await? { Fate::Imported } else { Fate::Before })
}

async fn import_call(app: &App, key: &CallKey, log: &CallLogId, dry_run: bool) -> Result<Fate, store::Error> {
    let imported = match dry_run {
        false => app.store.import_call(key, log, app.clock.now_ms()).await?,
        true => match app.store.call(key).await? {
            None => Imported::Done,
            Some(call) if call.log_id.as_ref() == Some(log) => Imported::AlreadyThere,
            Some(call) => Imported::Conflicting(call.state, call.log_id),
        },
    };
    Ok(match imported {
        Imported::Done => Fate::Imported,
        Imported::AlreadyThere => Fate::Before,
        Imported::Conflicting(_, Some(other)) => Fate::Refused(format!(
            "session {} of {} has the log {other} here, and {log} in the file; it is left as it is",
            key.session, key.user.id
        )),
        Imported::Conflicting(state, None) => Fate::Refused(format!(
            "session {} of {} is known here and has no log yet ({}); {}",
            key.session,
            key.user.id,
            state.name(),
            if state == State::Queued { "its updates wait for a create" } else { "it is left as it is" },
        )),
    })
}

/// Writes the good rows, if they are to be written, and says what became of all.
async fn finish<T>(
    source: &Source,
    what: &str,
    good: Vec<(u64, T)>,
    mut bad: Vec<Bad>,
    import: impl AsyncFn(&App, &T) -> Result<Fate, store::Error>,
) -> Result<(), Failure> {
    let is_held_back = !bad.is_empty() && !source.keep_going && !source.dry_run;
    let mut counts = HashMap::new();
    if !is_held_back {
        let app = environment::app().await?;
        for (line, fate) in import_all(&app, &good, import).await? {
            match fate {
                Fate::Refused(reason) => bad.push(Bad { line, reason }),
                fate => *counts.entry(fate_name(&fate)).or_insert(0) += 1,
            }
        }
    }
    bad.sort_by_key(|bad| bad.line);
    let count = |fate: &Fate| counts.get(fate_name(fate)).copied().unwrap_or(0);
    let (imported, replaced, before) = (count(&Fate::Imported), count(&Fate::Replaced), count(&Fate::Before));
    let words = if source.dry_run { "would be imported" } else { "imported" };
    let summary =
        format!("{what}: {imported} {words}, {replaced} replaced, {before} here before, {} bad", bad.len());
    let document = json!({
        "dryRun": source.dry_run,
        "imported": imported,
        "replaced": replaced,
        "hereBefore": before,
        "bad": bad.iter().map(|bad| json!({"line": bad.line, "reason": bad.reason})).collect::<Vec<_>>(),
    });
    tell(&bad);
    output::say_or_document(source.output.json, summary, &document)?;
    match bad.len() {
        0 => Ok(()),
        _ if is_held_back => {
            Err("nothing was imported, because of the bad rows: correct them, leave them out with \
                                  --keep-going, or see with --dry-run what would happen"
                .into())
        }
        rows => Err(format!(
            "{rows} row(s) were bad and are not imported: correct them and import the file again"
        )
        .into()),
    }
}

fn fate_name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Imported => "imported",
        Fate::Replaced => "replaced",
        Fate::Before => "before",
        Fate::Refused(_) => "refused",
    }
}

/// Several at once, with a bar where somebody watches.
async fn import_all<T>(
    app: &App,
    good: &[(u64, T)],
    import: impl AsyncFn(&App, &T) -> Result<Fate, store::Error>,
) -> Result<Vec<(u64, Fate)>, Failure> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} ({eta} left)")?;
    let bar = ProgressBar::new(good.len() as u64).with_style(style);
    let import = &import;
    let fates = stream::iter(good)
        .map(|(line, row)| {
            let bar = &bar;
            async move {
                let fate = import(app, row).await?;
                bar.inc(1);
                Ok::<_, store::Error>((*line, fate))
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await;
    bar.finish_and_clear();
    Ok(fates?)
}

/// The bad rows, to standard error.
fn tell(bad: &[Bad]) {
    let mut out = anstream::stderr();
    for bad in bad.iter().take(TOLD) {
        let _ = writeln!(out, "line {}: {}", bad.line, bad.reason);
    }
    if bad.len() > TOLD {
        let _ = writeln!(out, "and {} more; --json lists all", bad.len() - TOLD);
    }
}
