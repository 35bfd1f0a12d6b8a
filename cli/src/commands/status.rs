//! `call-log status`: shows what waits for the CRMs, what was given up, and which CRMs are paused.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use call_log::{
    model::BreakerKey,
    startup::app::App,
    store::{self, BreakerState, CallItem, Due, Survey},
};
use serde_json::{Value, json};

use super::show::time;
use crate::{
    arguments::Output,
    environment,
    error::CommandError,
    output::{self, print},
};

/// The interval of `--watch`, and the number of intervals until the table is surveyed again.
const INTERVAL: Duration = Duration::from_secs(5);
const SURVEY_INTERVALS: usize = 12;
/// The number of calls that were given up and are shown as text. JSON has all.
const SHOWN: usize = 20;

pub(super) async fn run(watch: bool, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    loop {
        let survey = app.store.survey(app.clock.now_ms()).await?;
        for _ in 0..SURVEY_INTERVALS {
            show(&app, &survey, output).await?;
            if !watch {
                return Ok(());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn show(app: &App, survey: &Survey, output: Output) -> Result<(), CommandError> {
    let now_ms = app.clock.now_ms();
    let (due, _) = app.store.unsettled(now_ms).await?;
    let status = Status::new(&app.store, due, survey, now_ms).await?;
    if output.json {
        return Ok(output::print_document(&status.document())?);
    }
    let is_terminal = std::io::stdout().is_terminal();
    // Each version replaces the one before on a terminal.
    let clear = if is_terminal { "\x1b[2J\x1b[H" } else { "" };
    print(format!("{clear}{}", status.text()))?;
    Ok(())
}

/// The calls of a CRM account that wait.
#[derive(Debug)]
struct Queue {
    count: usize,
    /// Since when the oldest one waits, and when the next one is tried, in milliseconds since 1970.
    oldest_ms: i64,
    next_ms: i64,
    breaker: BreakerState,
}

#[derive(Debug)]
struct Status<'a> {
    now_ms: i64,
    /// By the name of the CRM account.
    queues: BTreeMap<String, Queue>,
    survey: &'a Survey,
}

impl Status<'_> {
    async fn new<'a>(
        store: &store::Store,
        due: Vec<Due>,
        survey: &'a Survey,
        now_ms: i64,
    ) -> Result<Status<'a>, CommandError> {
        let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
        for call in due {
            // Without a time, only a duplicate sweep is due.
            let Some(since_ms) = call.waiting_since_ms else { continue };
            let tenant = &call.key.call.tenant;
            let queue = match queues.get_mut(&tenant.to_string()) {
                Some(queue) => queue,
                None => {
                    let breaker = store.breaker(&BreakerKey::Tenant(tenant.clone())).await?;
                    let queue = Queue { count: 0, oldest_ms: since_ms, next_ms: call.due_ms, breaker };
                    queues.entry(tenant.to_string()).or_insert(queue)
                }
            };
            queue.count += 1;
            queue.oldest_ms = queue.oldest_ms.min(since_ms);
            queue.next_ms = queue.next_ms.min(call.due_ms);
        }
        Ok(Status { now_ms, queues, survey })
    }

    fn text(&self) -> String {
        let (waiting, given_up) = (self.waiting(), &self.survey.given_up);
        let mut lines = vec![match self.oldest_ms() {
            None => "No call waits for a CRM.".to_owned(),
            Some(oldest) => {
                let calls =
                    if waiting == 1 { "1 call waits".to_owned() } else { format!("{waiting} calls wait") };
                format!("{calls} for a CRM, the oldest for {}.", span(self.now_ms - oldest))
            }
        }];
        for (tenant, queue) in &self.queues {
            let paused = queue.breaker.open_until_ms > self.now_ms;
            let next = match (paused, queue.next_ms - self.now_ms) {
                (true, _) => format!("paused until {}", time(queue.breaker.open_until_ms)),
                (false, next) if next <= 0 => "next try now".to_owned(),
                (false, next) => format!("next try in {}", span(next)),
            };
            lines.push(format!("  {tenant}  {} waiting, {next}", queue.count));
        }
        let others = self.survey.open_breakers.iter().filter(|(key, state)| {
            let has_queue =
                matches!(key, BreakerKey::Tenant(tenant) if self.queues.contains_key(&tenant.to_string()));
            !has_queue && state.open_until_ms > self.now_ms
        });
        lines.extend(
            others.map(|(key, state)| format!("  {key}  paused until {}", time(state.open_until_ms))),
        );
        lines.push(match given_up.len() {
            0 => "No call was given up.".to_owned(),
            1 => "1 call was given up:".to_owned(),
            count => format!("{count} calls were given up:"),
        });
        lines.extend(given_up.iter().take(SHOWN).map(|(log, item)| {
            let (call, user) = (&log.call, creator(item));
            let reason = item.reason.as_deref().unwrap_or("no reason is known");
            format!("  {}  user {user}, session {}: {reason}", call.tenant, call.session)
        }));
        if given_up.len() > SHOWN {
            lines.push(format!("  and {} more (--json has all)", given_up.len() - SHOWN));
        }
        if !given_up.is_empty() {
            lines.push(
                "`call-log redrive --since TIME` tries those again that were given up since then.".to_owned(),
            );
        }
        if self.survey.unreadable > 0 {
            lines.push(format!("{} items cannot be read: see docs/operate.md.", self.survey.unreadable));
        }
        lines.join("\n")
    }

    fn document(&self) -> Value {
        let queues = self.queues.iter().map(|(tenant, queue)| {
            json!({
                "tenant": tenant, "waiting": queue.count, "oldest": time(queue.oldest_ms), "next": time(queue.next_ms),
                "failures": queue.breaker.consecutive_failures,
            })
        });
        let paused = self.survey.open_breakers.iter().filter(|(_, state)| state.open_until_ms > self.now_ms);
        let paused =
            paused.map(|(key, state)| json!({"of": key.to_string(), "until": time(state.open_until_ms)}));
        let given_up = self.survey.given_up.iter().map(|(log, item)| {
            json!({
                "tenant": log.call.tenant.to_string(), "user": creator(item), "sessionId": log.call.session.as_str(),
                "at": item.last_event_ms().map(time), "reason": item.reason,
            })
        });
        json!({
            "waiting": self.waiting(),
            "oldestSeconds": self.oldest_ms().map(|oldest| (self.now_ms - oldest) / 1_000),
            "queues": queues.collect::<Vec<_>>(),
            "paused": paused.collect::<Vec<_>>(),
            "givenUp": given_up.collect::<Vec<_>>(),
            "unreadable": self.survey.unreadable,
        })
    }

    fn waiting(&self) -> usize {
        self.queues.values().map(|queue| queue.count).sum()
    }

    fn oldest_ms(&self) -> Option<i64> {
        self.queues.values().map(|queue| queue.oldest_ms).min()
    }
}

/// The id of the user whose create made the log.
fn creator(item: &CallItem) -> &str {
    item.creator.as_ref().map_or("unknown", |user| user.as_str())
}

/// Returns a duration in its largest unit.
fn span(ms: i64) -> String {
    let seconds = (ms / 1_000).max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
