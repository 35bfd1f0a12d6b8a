//! The plan of a random schedule: its CRM, its calls, its requests, and how much goes wrong.

use std::fmt;

use call_log::adapters::{Capabilities, Finish};

use super::{
    crm::Kind,
    oracle::BrokenAssumptions,
    requests::{Call, CallName, Detail, Field, Request},
    senders::{Account, EXTENSIONS, Names, Origin, Who},
};

/// The difference between two calls that are easy to mistake for each other. All calls have the same contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Twin {
    /// Nothing but the contact: it began an hour later.
    Later,
    /// It began in the same second.
    SameStart,
    /// Neither call has a start.
    NoStart,
    /// It is the same session, as another extension has it.
    OtherExtension,
    /// It has the same session id and the same extension in another account.
    OtherAccount,
}

impl Twin {
    /// Every kind of twin.
    pub const ALL: [Twin; 5] =
        [Twin::Later, Twin::SameStart, Twin::NoStart, Twin::OtherExtension, Twin::OtherAccount];

    /// Half of the schedules have no second call: few calls leave time for more orders.
    fn draw(rng: &mut fastrand::Rng) -> Option<Twin> {
        rng.bool().then(|| Twin::ALL[rng.usize(..Twin::ALL.len())])
    }
}

impl fmt::Display for Twin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Twin::Later => "an hour later",
            Twin::SameStart => "in the same second",
            Twin::NoStart => "both without a start",
            Twin::OtherExtension => "of another extension",
            Twin::OtherAccount => "in another account",
        })
    }
}

/// A request that has not started.
#[derive(Debug)]
pub(super) struct Planned {
    /// The index of the call.
    pub(super) call: usize,
    pub(super) origin: Origin,
    pub(super) request: Request,
}

/// The rest of a schedule.
pub(super) struct Plan {
    pub(super) rng: fastrand::Rng,
    pub(super) crm: Capabilities,
    pub(super) calls: Vec<Call>,
    /// The difference between the two calls, if there is a second one.
    pub(super) twin: Option<Twin>,
    /// The requests that have not started.
    pub(super) requests: Vec<Planned>,
    pub(super) crashes_left: u32,
    pub(super) faults_left: u32,
    pub(super) pauses_left: u32,
    pub(super) edits_left: u32,
    /// The number of times that the colleague moves to another account.
    pub(super) relocations_left: u32,
    /// The number of times that the CRM starts or stops refusing the key.
    pub(super) key_changes_left: u32,
    /// The detail that the CRM rejects.
    pub(super) rejects: Option<Detail>,
    pub(super) broken_assumptions: BrokenAssumptions,
    /// The response to the exchange of a refresh token was lost.
    pub(super) lost_renewals: bool,
    pub(super) moves: u64,
    pub(super) crashes: u64,
    pub(super) faults: u64,
}

impl Plan {
    /// Draws the plan of a seed.
    pub(super) fn draw(seed: u64, kind: Kind) -> Plan {
        let mut rng = fastrand::Rng::with_seed(seed);
        let crm = kind.draw(&mut rng);
        let twin = Twin::draw(&mut rng).filter(|twin| kind != Kind::Contrary || *twin != Twin::OtherAccount);
        let mut calls = draw_calls(&mut rng, seed, twin);
        if crm.finish == Finish::WithDuration {
            calls.iter_mut().for_each(|call| call.has_duration = rng.u8(..3) > 0);
        }
        let has_colleague = rng.u8(..3) == 0;
        let relocations_left = u32::from(has_colleague && kind != Kind::Contrary && rng.u8(..3) == 0);
        let names_account = relocations_left > 0 || rng.u8(..4) > 0;
        let mut requests = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let names = draw_names(&mut rng, call, twin == Some(Twin::OtherExtension));
            for request in draw_requests(&mut rng, index) {
                let is_colleague = has_colleague && call.account == Account::Own && rng.bool();
                let who = if is_colleague { Who::Colleague } else { call.origin().who };
                let names = names[rng.usize(..names.len())];
                requests.push(Planned { call: index, origin: Origin { who, names, names_account }, request });
            }
        }
        if rng.u8(..8) == 0 {
            requests.push(Planned { call: 0, origin: calls[0].origin(), request: Request::Redrive });
        }
        let details = requests.iter().flat_map(|planned| match &planned.request {
            Request::Update(details) => details.as_slice(),
            _ => &[],
        });
        let details: Vec<Detail> =
            details.copied().filter(|detail| detail.field != Field::Duration).collect();
        let rejects = (!details.is_empty() && rng.u8(..8) == 0).then(|| details[rng.usize(..details.len())]);
        rng.shuffle(&mut requests);
        let crashes_left = [0, 0, 1, 1, 2][rng.usize(..5)];
        let faults_left = [0, 1, 1, 2, 3][rng.usize(..5)];
        let pauses_left = [0, 0, 1, 2][rng.usize(..4)];
        let edits_left = [0, 0, 0, 1, 2][rng.usize(..5)];
        let has_key = matches!(kind, Kind::Key | Kind::Contrary);
        let key_changes_left = if has_key { [0, 0, 1, 2][rng.usize(..4)] } else { 0 };
        // Without its key, a record that lands late is not found by it.
        let late_crm_writes = rng.u8(..12) == 0 && key_changes_left == 0;
        let broken_assumptions = BrokenAssumptions { late_crm_writes, late_table_writes: false };
        Plan {
            rng,
            crm,
            calls,
            twin,
            requests,
            crashes_left,
            faults_left,
            pauses_left,
            edits_left,
            relocations_left,
            key_changes_left,
            rejects,
            broken_assumptions,
            lost_renewals: false,
            moves: 0,
            crashes: 0,
            faults: 0,
        }
    }
}

fn draw_calls(rng: &mut fastrand::Rng, seed: u64, twin: Option<Twin>) -> Vec<Call> {
    let seconds = seed as i64 % 100_000;
    let mut first = Call::new(seed.to_string(), seconds);
    let needs_extension = matches!(twin, Some(Twin::OtherExtension | Twin::OtherAccount));
    first.extension = (needs_extension || rng.bool()).then_some(EXTENSIONS[0]);
    let name: CallName = format!("{seed}-second").into();
    let second = twin.map(|twin| match twin {
        Twin::Later => Call { extension: first.extension, ..Call::new(&*name, seconds + 3_600) },
        Twin::SameStart => Call { extension: first.extension, ..Call::new(&*name, seconds) },
        Twin::NoStart => {
            first.start_ms = None;
            Call { extension: first.extension, start_ms: None, ..Call::new(&*name, seconds) }
        }
        Twin::OtherExtension => Call { name, extension: Some(EXTENSIONS[1]), ..first.clone() },
        Twin::OtherAccount => Call { name, account: Account::Other, ..first.clone() },
    });
    [first].into_iter().chain(second).collect()
}

/// Draws what the senders of a call's requests know of its extension: always enough for all of them to mean one log, in
/// any order. Senders that know different halves mean one log only through one that knows both.
fn draw_names(rng: &mut fastrand::Rng, call: &Call, has_other_extension: bool) -> Vec<Names> {
    if call.extension.is_none() {
        return vec![Names::Nothing];
    }
    let half = if rng.bool() { Names::Hash } else { Names::Number };
    let mut names = vec![half, Names::Both];
    if !has_other_extension {
        names.push(Names::Nothing);
    }
    names
}

/// Draws the requests for one call. Most are few: few requests show most problems, and leave time for more orders.
fn draw_requests(rng: &mut fastrand::Rng, call: usize) -> Vec<Request> {
    let creates = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 0][rng.usize(..12)];
    let updates = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3][rng.usize(..12)];
    let create = |_| if rng.u8(..4) == 0 { Request::CreateWithoutContact } else { Request::Create };
    let mut requests: Vec<_> = (0..creates).map(create).collect();
    // No two calls bring the same value of a field, so that the oracle finds a detail in the record of the wrong call.
    let first_value = call as u32 * 100;
    for value in first_value..first_value + updates {
        let details = 1 + usize::from(rng.u8(..3) == 0);
        let detail = |_| Detail { field: Field::ALL[rng.usize(..Field::ALL.len())], value };
        requests.push(Request::Update((0..details).map(detail).collect()));
    }
    if rng.u8(..6) == 0 {
        requests.push(Request::CacheNote(Detail { field: Field::Note, value: first_value + updates }));
    }
    if requests.is_empty() {
        requests.push(Request::Create);
    }
    requests
}
