//! The steps that lead to a state, as text.

use std::fmt::{self, Display, Formatter};

use super::{
    explore::Explored,
    state::{Details, Due, Item, Lease, ModelState, REDRIVES},
    step::Actor,
};

/// The shortest sequence of steps to a state.
#[derive(Debug)]
pub struct Trace {
    steps: Vec<(Actor, &'static str, ModelState)>,
}

impl Explored {
    /// Returns the steps to the state with this number.
    ///
    /// States are stored up to the order of interchangeable invocations. The trace takes the steps again, so that each
    /// invocation keeps its name.
    pub fn trace(&self, to: u32) -> Trace {
        let path = self.path(to);
        let mut steps = Vec::new();
        let mut state = path.first().copied().unwrap_or_default();
        let mut out = Vec::new();
        for wanted in path.iter().skip(1) {
            self.model.successors(&state, &mut out);
            let Some((step, next)) = out.iter().find(|(_, next)| next.canonical() == *wanted) else { break };
            steps.push((step.actor, step.what, *next));
            state = *next;
        }
        Trace { steps }
    }
}

impl Trace {
    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns `true` if there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Display for Trace {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for (number, (actor, what, state)) in (1..).zip(&self.steps) {
            let now = format!("{} | {}", item(&state.item), crm(state));
            let shown = if before.as_ref() == Some(&now) { "" } else { &now };
            writeln!(to, "{number:>4}. {:<56}  {shown}", format!("{} {what}", name(*actor)))?;
            before = Some(now);
        }
        Ok(())
    }
}

fn name(actor: Actor) -> String {
    match actor {
        Actor::Invocation(slot @ 0..3) => format!("create {}", slot + 1),
        Actor::Invocation(3) => "update (recording)".to_owned(),
        Actor::Invocation(4) => "update (note)".to_owned(),
        Actor::Invocation(slot) => format!("redrive {}", slot - REDRIVES.start + 1),
        Actor::Network => "network:".to_owned(),
        Actor::Time => "time:".to_owned(),
        Actor::Person => "a person".to_owned(),
    }
}

fn details(details: Details) -> &'static str {
    match details {
        0 => "no details",
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
    add(item.lease == Lease::Held, "leased");
    add(item.lease == Lease::Grace, "in grace");
    add(item.outcome_unknown, "outcome unknown");
    add(item.queued_details != 0, &format!("queued: {}", details(item.queued_details)));
    add(item.due == Due::Soon, "due");
    add(item.due == Due::AtSweep, "due at the sweep");
    add(item.needs_sweep, "needs sweep");
    add(item.finish_pending, "completion pending");
    add(item.given_up, "given up");
    text
}

fn crm(state: &ModelState) -> String {
    let records = state.live().map(|(record, body)| {
        let of_other = state.record_contacts[usize::from(record)] != 0;
        let contact = if of_other { ", of the other contact" } else { "" };
        let completed = if state.is_complete(record) { ", completed" } else { "" };
        format!("record {}{contact}: {}{completed}", record + 1, details(body))
    });
    let records = records.collect::<Vec<_>>().join("; ");
    if records.is_empty() { "CRM: no record".to_owned() } else { records }
}
