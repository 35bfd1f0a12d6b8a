//! Every step of the protocol that leaves the process has a name, so that a fault can be tried there.

use std::collections::BTreeSet;

use super::{Source, sources};

/// What the protocol's code waits for: a step with a name, or one of its own functions, which are looked at too.
const FILES: [&str; 10] = [
    "shared/src/delivery/attempt.rs",
    "shared/src/delivery/create.rs",
    "shared/src/delivery/grant/mod.rs",
    "shared/src/delivery/lease.rs",
    "shared/src/delivery/recovery.rs",
    "shared/src/delivery/redrive.rs",
    "shared/src/delivery/retry.rs",
    "shared/src/delivery/sweep.rs",
    "shared/src/delivery/update.rs",
    "shared/src/delivery/write.rs",
];
/// What runs others' steps: side by side, or as one piece of work.
const STREAMS: [&str; 3] = ["collect", "for_each_concurrent", "instrument"];
/// What waits without saying so.
const HIDDEN: [&str; 5] = ["select!", "try_join!", "poll_fn", "block_on", "now_or_never"];

/// The names of the functions in it that can be waited for.
fn own_functions(code: &str) -> BTreeSet<&str> {
    let names = code.split("async fn ").skip(1);
    names.filter_map(|rest| rest.split(['(', '<']).next()).collect()
}

/// The text before the parenthesis that the last one closes, and what is between the two.
fn last_call(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_suffix(')')?;
    let mut depth = 1;
    for (at, letter) in inside.char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &inside[at + 1..]));
        }
    }
    None
}

/// Whether a call is a step with a name.
fn is_named(callee: &str, arguments: &str) -> bool {
    let is_take = callee.ends_with("sync_points.reach");
    // A block could wait for several things, and a variable could contain any name. Only the functions that end a lease
    // take the name as a parameter.
    let first = arguments.trim_start();
    is_take && !arguments.contains("async") && (first.starts_with('"') || first.starts_with("step,"))
}

/// What the code waits for that has no name.
fn unnamed(code: &str, own: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |text: &str| {
        let text = text.trim_end();
        let call = last_call(text).filter(|(callee, arguments)| {
            let path = callee.rsplit(|c: char| !(c.is_alphanumeric() || "_.:".contains(c))).next();
            let path = path.unwrap_or_default();
            let name = path.rsplit(['.', ':']).next().unwrap_or_default();
            let is_outside = ["store.", "crm.", "http.", "tokio::"].iter().any(|word| path.contains(word));
            let is_own = own.contains(name)
                || (path.starts_with('.') || path.starts_with("telemetry::")) && STREAMS.contains(&name);
            is_named(callee, arguments) || is_own && !is_outside
        });
        if call.is_none() {
            found.push(text.lines().last().unwrap_or_default().trim().to_owned());
        }
    };
    for (at, _) in code.match_indices(".await") {
        check(&code[..at]);
    }
    for (at, _) in code.match_indices("tokio::join!(") {
        let rest = &code[at + "tokio::join!".len()..];
        let end = rest.char_indices().scan(0, |depth, (at, letter)| {
            *depth += i32::from(letter == '(') - i32::from(letter == ')');
            Some((at, *depth))
        });
        let end = end.skip(1).find(|(_, depth)| *depth == 0).map_or(rest.len(), |(at, _)| at);
        let mut depth = 0;
        let branches = rest[1..end].split(|letter: char| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            letter == ',' && depth == 0
        });
        branches.filter(|branch| !branch.trim().is_empty()).for_each(&mut check);
    }
    let hidden = HIDDEN.iter().filter(|word| code.contains(**word));
    found.extend(hidden.map(|word| (*word).to_owned()));
    found
}

fn protocol() -> Vec<Source> {
    let files: Vec<_> =
        sources().into_iter().filter(|source| FILES.contains(&source.path.as_str())).collect();
    assert_eq!(files.len(), FILES.len(), "the files of the protocol were found");
    files
}

#[test]
fn every_step_has_a_name() {
    let files = protocol();
    let own: BTreeSet<_> = files.iter().flat_map(|source| own_functions(&source.code)).collect();
    let found: Vec<_> = files
        .iter()
        .flat_map(|source| {
            unnamed(&source.code, &own).into_iter().map(|line| format!("{}: {line}", source.path))
        })
        .collect();
    assert!(found.is_empty(), "take these with `sync_points.reach(\"name\", ...)`:\n{}", found.join("\n"));
}

#[test]
fn no_two_steps_have_the_same_name() {
    let mut names = BTreeSet::new();
    for source in protocol() {
        for call in ["reach(\"", "finish(\"", "keep(\"", "release(\"", "fail(\""] {
            for name in source.code.split(call).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(names.insert(name.to_owned()), "{name} is two steps");
            }
        }
    }
    assert!(names.len() > 30, "the names were found");
}

#[test]
fn a_step_without_a_name_is_seen() {
    let own = BTreeSet::from(["keep", "deliver"]);
    for (code, is_fine) in [
        (r#"app.sync_points.reach("x.y", app.store.call(key)).await?"#, true),
        (r#"app.sync_points.reach("x.y", tokio::time::sleep(wait)).await"#, true),
        ("self.keep(credentials).await", true),
        ("deliver(app, (crm), due).await", true),
        ("stream::iter(all).map(deliver).buffer_unordered(4)\n    .collect().await", true),
        (
            r#"tokio::join!(app.sync_points.reach("a.b", one(1, 2)), app.sync_points.reach("a.c", two()))"#,
            true,
        ),
        ("app.store.call(key).await?", false),
        ("self.app.store.keep(&lease).await?", false),
        ("tokio::time::sleep(wait).await", false),
        ("self.crm.create_log(&access, log).await", false),
        ("renew_grant(http, url).await", false),
        ("future.await", false),
        (r#"app.sync_points.reach("x.y", async { one().await; two().await }).await"#, false),
        (r#"tokio::join!(app.sync_points.reach("a.b", one()), app.store.user(id))"#, false),
        (r#"app.sync_points.reach(name, app.store.call(key)).await"#, false),
        ("tokio::select! { _ = one() => {} }", false),
    ] {
        assert_eq!(unnamed(code, &own).is_empty(), is_fine, "{code}: {:?}", unnamed(code, &own));
    }
}
