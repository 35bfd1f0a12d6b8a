//! How a state is reached, step by step, in words.

use std::fmt::{self, Display, Formatter};

use super::{
    explore::Explored,
    state::{CallDetails, Due, Item, Lease, Log, REDRIVES, World},
    step::Who,
};

/// The shortest way to a state.
#[derive(Debug)]
pub struct Trace {
    moments: Vec<(Who, &'static str, World)>,
}

impl Explored {
    /// How the state is reached. The states on the way are known only up to which of two like invocations is which:
    /// they are gone through again, so that each keeps its name.
    pub fn trace(&self, to: u32) -> Trace {
        let path = self.path(to);
        let mut moments = Vec::new();
        let mut world = path.first().copied().unwrap_or_default();
        let mut out = Vec::new();
        for wanted in path.iter().skip(1) {
            self.model.successors(&world, &mut out);
            let Some((step, next)) = out.iter().find(|(_, next)| next.canonical() == *wanted) else { break };
            moments.push((step.who, step.what, *next));
            world = *next;
        }
        Trace { moments }
    }
}

impl Trace {
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }
}

impl Display for Trace {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for (at, (who, what, world)) in self.moments.iter().enumerate() {
            let now = format!("{} | {}", item(&world.item), crm(world));
            let shown = if before.as_ref() == Some(&now) { "" } else { &now };
            writeln!(to, "{:>4}. {:<52}  {shown}", at + 1, format!("{} {what}", name(*who)))?;
            before = Some(now);
        }
        Ok(())
    }
}

fn name(who: Who) -> String {
    match who {
        Who::Worker(slot @ 0..3) => format!("create {}", slot + 1),
        Who::Worker(3) => "update (recording)".to_owned(),
        Who::Worker(4) => "update (note)".to_owned(),
        Who::Worker(slot) => format!("redrive {}", slot - REDRIVES.start + 1),
        Who::Network => "network:".to_owned(),
        Who::Time => "time:".to_owned(),
        Who::Person => "a person".to_owned(),
    }
}

fn facts(facts: CallDetails) -> &'static str {
    match facts {
        0 => "nothing",
        1 => "recording",
        2 => "note",
        _ => "recording + note",
    }
}

fn item(item: &Item) -> String {
    let Some(state) = item.state else { return "no item".to_owned() };
    let mut text = state.name().to_owned();
    let mut add = |flag: bool, words: &str| {
        if flag {
            text.push_str(", ");
            text.push_str(words);
        }
    };
    add(item.lease == Lease::Held, "busy");
    add(item.lease == Lease::Grace, "in grace");
    add(item.ambiguous, "amb");
    add(item.waiting != 0, &format!("waits: {}", facts(item.waiting)));
    add(item.due == Due::Soon, "due");
    add(item.due == Due::AtAudit, "due at the audit");
    add(item.audit, "aud");
    add(item.given_up, "given up");
    text
}

fn crm(world: &World) -> String {
    let logs = world.logs.iter().zip(1..).filter_map(|(log, number)| match log {
        Log::Live(body) if world.contacts[number - 1] == 0 => Some(format!("log {number}: {}", facts(*body))),
        Log::Live(body) => Some(format!("log {number}, of the other contact: {}", facts(*body))),
        Log::Unmade | Log::Deleted => None,
    });
    let logs = logs.collect::<Vec<_>>().join("; ");
    if logs.is_empty() { "CRM: no log".to_owned() } else { logs }
}
