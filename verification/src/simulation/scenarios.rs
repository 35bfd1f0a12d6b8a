//! The scenarios of fault injection. Together they take every step of the use-cases. Each says what happened before,
//! which request gets the faults, and what else happens during that request.

use call_log::{
    adapters::{Capabilities, ErrorKind},
    model::{Credentials, Secret},
};
use chrono::{DateTime, TimeDelta};

use super::{
    crm::{BLIND, CLOSING, CONDITIONAL, PLAIN, TIMED, kind::contrary},
    driver::NOW_MS,
    requests::{
        Detail,
        Field::{self, AiNote, Duration, Note, Recording, Result as CallResult, Subject, Transcript},
        Request,
    },
    scheduler::Position::{self, After, Before, InFlight},
    table::{self, Responses},
    tokens::TokenExchange,
};

/// Longer than any lease and the grace after it, in milliseconds.
const LEASE_MS: i64 = 60_000;
/// Longer than it takes until the duplicate sweep is due, in milliseconds.
const SWEEP_MS: i64 = 16 * 60_000;

/// An event besides the main request.
#[derive(Clone, Debug)]
pub enum Action {
    /// A request is sent and answered.
    Send(Request),
    /// A request is sent and runs as far as it comes without time.
    RunAhead(Request),
    /// A request is sent, and its invocation crashes at this step. Its requests to the CRM land after this time, in
    /// milliseconds, or never.
    CrashAt(Request, &'static str, Position, Option<i64>),
    /// A request is sent, and the CRM refuses each of its writes.
    SendRefused(Request, ErrorKind),
    /// A request is sent and stays paused at this step.
    PauseAt(Request, &'static str, Position),
    /// Time passes, in milliseconds.
    Advance(i64),
    /// The CRM refuses the request on its way.
    Refuse(ErrorKind),
    /// The response to the request on its way is lost. The request lands after this time, in milliseconds, or never.
    LoseResponse(Option<i64>),
    /// The next read of the CRM fails.
    FailNextRead,
    /// The table gives these responses to the requests of the step.
    Table(Responses),
    /// The next exchanges of a refresh token have these results.
    Tokens(Vec<TokenExchange>),
    /// A person deletes the record.
    DeleteRecord,
    /// The CRM starts or stops refusing the key.
    RefuseKey(bool),
    /// The CRM rejects every completion of a record.
    RejectCompletion,
    /// A duplicate of the record appears, as a create that lands too late makes one.
    AddDuplicate,
    /// So much is left of the CRM's burst budget.
    SetBurstBudget(i64),
    /// The user disconnects.
    Disconnect,
    /// The user connects again.
    Connect,
    /// Another process claims the renewal of the grant.
    ClaimRenewal,
    /// The table has an item that this version cannot read.
    AddUnreadableItem,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name.
    pub name: String,
    /// The CRM.
    pub crm: Capabilities,
    /// The create requests bring the duration of the call.
    pub has_duration: bool,
    /// The tokens name the CRM account of the user.
    pub names_account: bool,
    /// The stored credentials of the user.
    pub credentials: Option<Credentials>,
    /// The actions before the main request.
    pub before: Vec<Action>,
    /// The main request.
    pub main: Request,
    /// The actions during the main request, each with its place: the step, the position, and the number of the
    /// occurrence.
    pub script: Vec<(&'static str, Position, usize, Action)>,
    /// The actions after the main request, which complete the call.
    pub after: Vec<Action>,
}

fn scenario(name: &str, before: &[Action], main: Request) -> Scenario {
    Scenario {
        name: name.to_owned(),
        crm: PLAIN,
        has_duration: true,
        names_account: true,
        credentials: connected(),
        before: before.to_vec(),
        main,
        script: Vec::new(),
        after: Vec::new(),
    }
}

impl Scenario {
    fn with(mut self, step: &'static str, position: Position, occurrence: usize, action: Action) -> Scenario {
        self.script.push((step, position, occurrence, action));
        self
    }

    /// Returns the same scenario with the Contrary CRM.
    fn contrary(mut self) -> Scenario {
        // No two records have the same key.
        if self.before.iter().any(|action| matches!(action, Action::AddDuplicate)) {
            self.before.insert(0, Action::RefuseKey(true));
        }
        Scenario { name: format!("Contrary CRM: {}", self.name), crm: contrary(), ..self }
    }

    fn after(mut self, action: Action) -> Scenario {
        self.after.push(action);
        self
    }

    /// Stores a grant that expires after so many seconds, or at a time that is not known.
    fn granted(mut self, access_token: &str, expires_in: Option<i64>) -> Scenario {
        let now = DateTime::from_timestamp_millis(NOW_MS).expect("a valid time");
        self.credentials = Some(Credentials::OAuth {
            access_token: Secret::new(access_token),
            refresh_token: Some(Secret::new("refresh-0")),
            expires_at: expires_in.map(|seconds| now + TimeDelta::seconds(seconds)),
        });
        self
    }
}

fn update(fields: &[Field], value: u32) -> Request {
    Request::Update(fields.iter().map(|field| Detail { field: *field, value }).collect())
}

fn rejection() -> ErrorKind {
    ErrorKind::Rejected { message: "no".to_owned() }
}

/// Returns the credentials of a user who has connected.
pub(super) fn connected() -> Option<Credentials> {
    Some(Credentials::ApiKey(Secret::new("key")))
}

/// A due item of another session that a later version wrote.
pub(super) const UNREADABLE_ITEM: &str = r#"{"TableName": "calls", "Item": {
    "pk": {"S": "C#memory#user:12345-memory#other"}, "sk": {"S": "L#0"}, "state": {"S": "FUTURE"},
    "creator": {"S": "12345-memory"}, "lease_until": {"N": "0"}, "due_shard": {"S": "D#0"}, "due_at": {"N": "1"}}}"#;

/// Returns every scenario. Those whose steps are the same in every kind of CRM alternate between two CRMs. The Contrary CRM
/// has all of them, except those of a CRM that shows nothing.
pub(super) fn all() -> Vec<Scenario> {
    let mut scenarios = [creates(), updates(), redrives(), grants()].concat();
    for scenario in scenarios.iter_mut().step_by(2) {
        scenario.crm = CONDITIONAL;
    }
    scenarios.extend(kinds());
    let contrary = scenarios.iter().filter(|scenario| scenario.crm != BLIND).cloned().map(Scenario::contrary);
    let contrary: Vec<_> = contrary.collect();
    scenarios.extend(contrary);
    scenarios
}

/// Returns the scenarios of the steps that not every kind of CRM has.
fn kinds() -> Vec<Scenario> {
    use Action::{Advance, CrashAt, LoseResponse, Refuse, RefuseKey, RejectCompletion, Send};
    use Request::{Create, Redrive};
    let logged = [Send(Create)];
    let crashed = |step, position| [CrashAt(Create, step, position, None), Advance(2 * LEASE_MS)];
    let lost_create = |name: &str, crm| {
        let scenario = scenario(name, &[], Create);
        Scenario { crm, ..scenario }.with("crm.create_log", InFlight, 1, LoseResponse(Some(0)))
    };
    let closing =
        |name: &str, before: &[Action], main| Scenario { crm: CLOSING, ..scenario(name, before, main) };
    let timed = |name: &str, before: &[Action], main| Scenario { crm: TIMED, ..scenario(name, before, main) };
    let late_duration = timed("an update with the duration that its record waits for", &[], Create);
    let unnamed = |name: &str, before: &[Action], main| Scenario {
        names_account: false,
        ..scenario(name, before, main)
    };
    vec![
        unnamed("a create with a token that does not name the account", &[], Create),
        unnamed("an update with a token that does not name the account", &logged, update(&[Note], 1)),
        lost_create("a create with a key whose response is lost", CLOSING),
        lost_create("a create before a search whose response is lost", TIMED),
        lost_create("a create that nothing shows and whose response is lost", BLIND),
        closing("a create whose key is refused", &[RefuseKey(true)], Create),
        closing(
            "a redrive of a create whose key is refused since",
            &[&crashed("crm.create_log", After)[..], &[RefuseKey(true)]].concat(),
            Redrive,
        ),
        closing("a redrive of a record that is not closed", &crashed("crm.finish_log", Before), Redrive),
        closing("an update of a closed record", &logged, update(&[AiNote, Duration], 1)),
        closing("an update of a record whose closing fails", &logged, update(&[AiNote], 2)).with(
            "crm.finish_log",
            InFlight,
            1,
            Refuse(ErrorKind::Unavailable),
        ),
        closing(
            "an update of a record that cannot be closed",
            &[RejectCompletion, Send(Create)],
            update(&[AiNote], 1),
        ),
        timed("a redrive of a record without its time entry", &crashed("crm.finish_log", Before), Redrive),
        timed("an update that corrects the duration", &logged, update(&[Duration], 1)),
        Scenario {
            has_duration: false,
            before: logged.to_vec(),
            main: update(&[Duration], 1),
            ..late_duration
        },
    ]
}

fn creates() -> Vec<Scenario> {
    use Action::{
        Advance, CrashAt, FailNextRead, LoseResponse, PauseAt, Refuse, RunAhead, Send, SendRefused,
    };
    use Request::{CacheNote, Create, CreateWithOtherContact, CreateWithoutContact};
    let queued = Send(update(&[Recording, Subject], 1));
    let rejected = || Refuse(rejection());
    let note = |value| Detail { field: Note, value };
    let disconnected = scenario("a create of a user who is not connected", &[], Create);
    vec![
        scenario("a create", &[], Create),
        scenario("a create after its update", std::slice::from_ref(&queued), Create),
        scenario("a create during which an update comes", &[], Create).with(
            "crm.create_log",
            InFlight,
            1,
            RunAhead(update(&[AiNote], 2)),
        ),
        scenario(
            "a create with another contact than one that crashed during its POST",
            &[CrashAt(Create, "crm.create_log", InFlight, None), Advance(LEASE_MS)],
            CreateWithOtherContact,
        ),
        scenario(
            "a create after one that crashed after its POST",
            &[CrashAt(Create, "crm.create_log", After, None), queued.clone(), Advance(LEASE_MS)],
            Create,
        ),
        scenario(
            "a create after one whose POST did not land",
            &[CrashAt(Create, "crm.create_log", InFlight, None), Advance(LEASE_MS)],
            Create,
        ),
        scenario("a create beside another", &[PauseAt(Create, "crm.create_log", InFlight)], Create),
        scenario(
            "a create beside another, with a detail more",
            &[PauseAt(Create, "crm.create_log", InFlight)],
            CreateWithOtherContact,
        ),
        scenario(
            "a create that corrects a rejected one",
            &[SendRefused(Create, rejection())],
            CreateWithOtherContact,
        ),
        scenario("a create that is forbidden", &[], Create).with(
            "crm.create_log",
            InFlight,
            1,
            Refuse(ErrorKind::Forbidden { message: String::new() }),
        ),
        scenario("a create that is rejected", &[], Create).with("crm.create_log", InFlight, 1, rejected()),
        scenario("a create that is accepted without its contact only", &[], Create)
            .with("crm.create_log", InFlight, 1, rejected())
            .with("crm.create_log", InFlight, 2, rejected()),
        scenario("a create that is rejected with its queued update", &[queued], Create).with(
            "crm.create_log",
            InFlight,
            1,
            rejected(),
        ),
        scenario("a create whose response is lost", &[], Create).with(
            "crm.create_log",
            InFlight,
            1,
            LoseResponse(Some(0)),
        ),
        scenario("a create whose POST does not land", &[], Create).with(
            "crm.create_log",
            InFlight,
            1,
            LoseResponse(None),
        ),
        scenario("a create without a contact", &[], CreateWithoutContact),
        scenario("a create without a contact whose look-up fails", &[], CreateWithoutContact).with(
            "crm.find_contacts",
            Before,
            1,
            FailNextRead,
        ),
        scenario("a create without a contact whose response is lost", &[], CreateWithoutContact).with(
            "crm.create_log",
            InFlight,
            1,
            LoseResponse(Some(0)),
        ),
        scenario(
            "a create that names the contact of a kept one",
            &[FailNextRead, Send(CreateWithoutContact)],
            Create,
        ),
        scenario("a cached note", &[Send(CacheNote(note(1)))], CacheNote(note(2))).after(Send(Create)),
        scenario("a create after a cached note", &[Send(CacheNote(note(1)))], CreateWithoutContact),
        scenario(
            "a cached note beside a create",
            &[PauseAt(Create, "crm.create_log", InFlight)],
            CacheNote(note(1)),
        ),
        scenario("a cached note of a logged call", &[Send(Create)], CacheNote(note(1))),
        Scenario { credentials: None, ..disconnected }.after(Action::Connect),
    ]
}

fn updates() -> Vec<Scenario> {
    use Action::{
        DeleteRecord, Disconnect, FailNextRead, LoseResponse, PauseAt, Refuse, RunAhead, Send, SendRefused,
        Table,
    };
    let logged = Send(Request::Create);
    let main = || update(&[AiNote], 1);
    let rate_limited = ErrorKind::RateLimited { retry_after: None };
    let mut many = scenario("an update during which more come", std::slice::from_ref(&logged), main());
    for (occurrence, field) in (1..).zip([Recording, Note, CallResult, Transcript, Duration]) {
        many = many.with("update.finish", Before, occurrence, RunAhead(update(&[field], 2)));
    }
    vec![
        scenario("an update", std::slice::from_ref(&logged), main()),
        scenario(
            "an update with several details",
            std::slice::from_ref(&logged),
            update(&[Note, Subject, Duration, Transcript], 1),
        ),
        scenario("an update before its create", &[], main()),
        scenario(
            "an update of a call that was given up",
            &[SendRefused(Request::Create, rejection())],
            main(),
        ),
        scenario("an update whose user cannot be read", std::slice::from_ref(&logged), main()).with(
            "update.user",
            Before,
            1,
            Table(table::DOWN),
        ),
        scenario(
            "an update beside another",
            &[logged.clone(), PauseAt(update(&[Note], 2), "crm.update_log", InFlight)],
            main(),
        ),
        scenario(
            "an update beside a create",
            &[PauseAt(Request::Create, "crm.create_log", InFlight)],
            main(),
        ),
        scenario("an update that cannot read the record", std::slice::from_ref(&logged), main()).with(
            "crm.read_log",
            Before,
            1,
            FailNextRead,
        ),
        scenario("an update that is rate-limited", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            InFlight,
            1,
            Refuse(rate_limited),
        ),
        scenario("an update whose response is lost", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            InFlight,
            1,
            LoseResponse(Some(0)),
        ),
        scenario("an update whose PATCH does not land", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            InFlight,
            1,
            LoseResponse(None),
        ),
        scenario("an update of a deleted record", &[logged.clone(), DeleteRecord], main()),
        scenario("an update of a user who is not connected", &[logged, Disconnect], main())
            .after(Action::Connect),
        many,
    ]
}

fn redrives() -> Vec<Scenario> {
    use Action::{
        AddDuplicate, AddUnreadableItem, Advance, CrashAt, FailNextRead, Refuse, RefuseKey, RunAhead, Send,
        SendRefused, SetBurstBudget,
    };
    use Request::{Create, CreateWithoutContact, Redrive};
    let crashed_create = |step, position, lands| [CrashAt(Create, step, position, lands), Advance(LEASE_MS)];
    let before_sweep = [
        CrashAt(Create, "crm.create_log", InFlight, None),
        Advance(LEASE_MS),
        Send(Create),
        AddDuplicate,
        Advance(SWEEP_MS),
    ];
    vec![
        scenario("a redrive when nothing is due", &[], Redrive),
        scenario("a redrive of a create", &crashed_create("create.claim", After, None), Redrive),
        scenario(
            "a redrive of a create whose record exists",
            &crashed_create("crm.create_log", After, None),
            Redrive,
        ),
        scenario(
            "a redrive of a create whose contact was looked up",
            &[CrashAt(CreateWithoutContact, "crm.find_contacts", After, None), Advance(LEASE_MS)],
            Redrive,
        ),
        scenario(
            "a redrive of a create whose contact was stored",
            &[CrashAt(CreateWithoutContact, "create.contact", After, None), Advance(LEASE_MS)],
            Redrive,
        ),
        scenario(
            "a redrive of an update",
            &[Send(Create), CrashAt(update(&[AiNote], 1), "crm.read_log", After, None), Advance(LEASE_MS)],
            Redrive,
        ),
        scenario("a redrive that cannot search", &crashed_create("create.claim", After, None), Redrive).with(
            "crm.find_logs",
            Before,
            1,
            FailNextRead,
        ),
        scenario("a redrive that is rate-limited", &crashed_create("create.claim", After, None), Redrive)
            .with("crm.create_log", InFlight, 1, Refuse(ErrorKind::RateLimited { retry_after: None })),
        scenario("a duplicate sweep", &before_sweep, Redrive),
        scenario(
            "a duplicate sweep whose key is refused since",
            &[
                &crashed_create("crm.create_log", InFlight, None)[..],
                &[RefuseKey(true), Send(Create), Advance(SWEEP_MS)],
            ]
            .concat(),
            Redrive,
        ),
        scenario(
            "a redrive of an item with nothing to do any more",
            &[Send(Create), CrashAt(update(&[AiNote], 1), "update.claim", After, None), Advance(LEASE_MS)],
            Redrive,
        )
        .with("redrive.read", Before, 1, RunAhead(update(&[Note], 2))),
        scenario("a redrive of an unreadable item", &[AddUnreadableItem], Redrive),
        scenario(
            "a redrive that spares the burst budget",
            &[
                Send(Create),
                SetBurstBudget(10),
                SendRefused(update(&[AiNote], 1), ErrorKind::RateLimited { retry_after: None }),
                Advance(6_001),
            ],
            Redrive,
        ),
    ]
}

fn grants() -> Vec<Scenario> {
    use Action::{ClaimRenewal, Table, Tokens};
    use TokenExchange::{NotDelivered, Overloaded, Rejected, ResponseLost};
    let expired =
        |name: &str, before: &[Action]| scenario(name, before, Request::Create).granted("access-0", Some(-1));
    vec![
        scenario("a grant that is about to expire", &[], Request::Create).granted("access-0", Some(300)),
        expired("an expired grant", &[]),
        scenario("a grant that the CRM refuses", &[], Request::Create).granted("stale", None),
        expired("a renewal whose response is lost", &[Tokens(vec![ResponseLost])]),
        expired("a renewal that fails", &[Tokens(vec![Overloaded, NotDelivered])]),
        expired("a renewal that is rejected", &[Tokens(vec![Rejected])]).after(Action::Connect),
        expired("a renewal by another process", &[ClaimRenewal]),
        expired("a renewal that cannot be stored", &[]).with("grant.keep", Before, 1, Table(table::DOWN)),
    ]
}
