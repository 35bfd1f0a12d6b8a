//! Situations that together pass every step of the use-cases: what was before, the request that faults are tried on,
//! and what happens on its way even without a fault.

use call_log::{
    adapters::ErrorKind,
    model::{Credentials, Secret},
};
use chrono::{DateTime, TimeDelta};

use super::{
    driver::NOW_MS,
    requests::{
        Fact,
        Field::{self, AiNote, Duration, Note, Recording, Result as CallResult, Subject, Transcript},
        Request,
    },
    scheduler::Place::{self, After, Before, Under},
    table::{self, Way},
    tokens::Exchange,
};

/// What is done besides the request.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A request is sent and answered.
    Send(Request),
    /// A request is sent and goes as far as it can without time.
    Join(Request),
    /// A request is sent and its invocation dies there; what it sent lands after so long, or never.
    Die(Request, &'static str, Place, Option<i64>),
    /// A request is sent, and the CRM has enough when it comes to change something.
    PutOff(Request),
    /// A request is sent and stays there.
    Stay(Request, &'static str, Place),
    Pass(i64),
    /// The message that is under way is refused.
    Refuse(ErrorKind),
    /// Its answer is lost; it lands after so long, or never.
    Lose(Option<i64>),
    /// The next read of the CRM fails.
    FailRead,
    /// The table goes this way in the step.
    Table(Way),
    Tokens(Vec<Exchange>),
    /// A person deletes the log.
    Delete,
    /// A second log of the call appears, as a message that came too late makes one.
    Duplicate,
    /// So much is left of the CRM's burst budget.
    Burst(i64),
    /// The user goes, or comes back.
    Disconnect,
    Connect,
    /// Somebody else has the right to renew the grant.
    ClaimRenewal,
    /// An item lies in the table that this version cannot read.
    Unreadable,
}

/// One situation.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub credentials: Option<Credentials>,
    pub before: Vec<Deed>,
    pub main: Request,
    /// At which time the main request comes to which place of a step, and what happens then.
    pub script: Vec<(&'static str, Place, usize, Deed)>,
    /// What makes it possible to finish.
    pub after: Vec<Deed>,
}

fn scenario(name: &'static str, before: &[Deed], main: Request) -> Scenario {
    Scenario {
        name,
        credentials: connected(),
        before: before.to_vec(),
        main,
        script: Vec::new(),
        after: Vec::new(),
    }
}

impl Scenario {
    fn with(mut self, step: &'static str, place: Place, time: usize, deed: Deed) -> Scenario {
        self.script.push((step, place, time, deed));
        self
    }

    fn after(mut self, deed: Deed) -> Scenario {
        self.after.push(deed);
        self
    }

    /// The same with a grant that has so long to live, or nobody knows.
    fn granted(mut self, access: &str, seconds: Option<i64>) -> Scenario {
        let now = DateTime::from_timestamp_millis(NOW_MS).expect("a time");
        self.credentials = Some(Credentials::OAuth {
            access_token: Secret::new(access),
            refresh_token: Some(Secret::new("refresh-0")),
            expires_at: seconds.map(|seconds| now + TimeDelta::seconds(seconds)),
        });
        self
    }
}

fn tell(fields: &[Field], value: u32) -> Request {
    Request::Update(fields.iter().map(|field| Fact { field: *field, value }).collect())
}

/// What a user has who connects again.
pub fn connected() -> Option<Credentials> {
    Some(Credentials::ApiKey(Secret::new("key")))
}

/// An item of another session that a later version wrote, and that is due.
pub const UNREADABLE: &str = r#"{"TableName": "calls", "Item": {
    "pk": {"S": "U#memory#12345-memory"}, "sk": {"S": "C#other#"}, "state": {"S": "FUTURE"}, "lease_until": {"N": "0"},
    "due_shard": {"S": "D#0"}, "due_at": {"N": "1"}}}"#;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [creates(), updates(), redrives(), grants()].concat()
}

fn creates() -> Vec<Scenario> {
    use Deed::{Die, Join, Lose, Pass, Refuse, Send};
    use Request::Create;
    let parked = Send(tell(&[Recording, Subject], 1));
    let rejected = || Refuse(ErrorKind::Rejected { message: "no".to_owned() });
    let nobody = Scenario { credentials: None, ..scenario("a create of nobody", &[], Create) };
    vec![
        scenario("a create", &[], Create),
        scenario("a create that is waited for", std::slice::from_ref(&parked), Create),
        scenario("a create while an update comes", &[], Create).with(
            "crm.create_log",
            Under,
            1,
            Join(tell(&[AiNote], 2)),
        ),
        scenario(
            "a create told of another contact, after one that died over its log",
            &[Die(Create, "crm.create_log", Under, None), Pass(60_000)],
            Request::CreateElsewhere,
        ),
        scenario(
            "a create after one that died over its log",
            &[Die(Create, "crm.create_log", After, None), parked.clone(), Pass(60_000)],
            Create,
        ),
        scenario(
            "a create after one that left nothing",
            &[Die(Create, "crm.create_log", Under, None), Pass(60_000)],
            Create,
        ),
        scenario("a create beside another", &[Deed::Stay(Create, "crm.create_log", Under)], Create),
        scenario("a create that is not allowed", &[], Create).with(
            "crm.create_log",
            Under,
            1,
            Refuse(ErrorKind::Forbidden),
        ),
        scenario("a create that is refused", &[], Create).with("crm.create_log", Under, 1, rejected()),
        scenario("a create refused for what was parked", &[parked], Create).with(
            "crm.create_log",
            Under,
            1,
            rejected(),
        ),
        scenario("a create without an answer", &[], Create).with("crm.create_log", Under, 1, Lose(Some(0))),
        scenario("a create that was not seen", &[], Create).with("crm.create_log", Under, 1, Lose(None)),
        nobody.after(Deed::Connect),
    ]
}

fn updates() -> Vec<Scenario> {
    use Deed::{FailRead, Join, Lose, Refuse, Send, Stay};
    let logged = Send(Request::Create);
    let main = || tell(&[AiNote], 1);
    let busy = ErrorKind::RateLimited { retry_after: None };
    let mut many = scenario("an update that more come after", std::slice::from_ref(&logged), main());
    for (time, field) in (1..).zip([Recording, Note, CallResult, Transcript, Duration]) {
        many = many.with("update.finish", Before, time, Join(tell(&[field], 2)));
    }
    vec![
        scenario("an update", std::slice::from_ref(&logged), main()),
        scenario(
            "an update of much",
            std::slice::from_ref(&logged),
            tell(&[Note, Subject, Duration, Transcript], 1),
        ),
        scenario("an update before its call", &[], main()),
        scenario(
            "an update beside another",
            &[logged.clone(), Stay(tell(&[Note], 2), "crm.update_log", Under)],
            main(),
        ),
        scenario("an update beside a create", &[Stay(Request::Create, "crm.create_log", Under)], main()),
        scenario("an update that cannot read", std::slice::from_ref(&logged), main()).with(
            "crm.read_log",
            Before,
            1,
            FailRead,
        ),
        scenario("an update that is put off", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            Under,
            1,
            Refuse(busy),
        ),
        scenario("an update without an answer", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            Under,
            1,
            Lose(Some(0)),
        ),
        scenario("an update that was not seen", std::slice::from_ref(&logged), main()).with(
            "crm.update_log",
            Under,
            1,
            Lose(None),
        ),
        scenario("an update of a deleted log", &[logged.clone(), Deed::Delete], main()),
        scenario("an update of nobody", &[logged, Deed::Disconnect], main()).after(Deed::Connect),
        many,
    ]
}

fn redrives() -> Vec<Scenario> {
    use Deed::{Burst, Die, Duplicate, FailRead, Pass, Refuse, Send, Unreadable};
    use Request::{Create, Redrive};
    let dead_create = |step, place, lands| [Die(Create, step, place, lands), Pass(60_000)];
    let audited = [
        Die(Create, "crm.create_log", Under, None),
        Pass(60_000),
        Send(Create),
        Duplicate,
        Pass(16 * 60_000),
    ];
    vec![
        scenario("a redrive of nothing", &[], Redrive),
        scenario("a redrive of a create", &dead_create("create.claim", After, None), Redrive),
        scenario("a redrive of a log that is there", &dead_create("crm.create_log", After, None), Redrive),
        scenario(
            "a redrive of an update",
            &[Send(Create), Die(tell(&[AiNote], 1), "crm.read_log", After, None), Pass(60_000)],
            Redrive,
        ),
        scenario("a redrive that cannot ask", &dead_create("create.claim", After, None), Redrive).with(
            "crm.find_logs",
            Before,
            1,
            FailRead,
        ),
        scenario("a redrive that is put off", &dead_create("create.claim", After, None), Redrive).with(
            "crm.create_log",
            Under,
            1,
            Refuse(ErrorKind::RateLimited { retry_after: None }),
        ),
        scenario("an audit", &audited, Redrive),
        scenario(
            "a redrive with nothing to do",
            &[Send(Create), Die(tell(&[], 0), "update.claim", After, None), Pass(60_000)],
            Redrive,
        ),
        scenario("a redrive of what cannot be read", &[Unreadable], Redrive),
        scenario(
            "a redrive that spares the CRM",
            &[Send(Create), Burst(10), Deed::PutOff(tell(&[AiNote], 1)), Pass(6_001)],
            Redrive,
        ),
    ]
}

fn grants() -> Vec<Scenario> {
    use Deed::{ClaimRenewal, Table, Tokens};
    use Request::Create;
    let ended = |name, before: &[Deed]| scenario(name, before, Create).granted("access-0", Some(-1));
    vec![
        scenario("a grant that will end", &[], Create).granted("access-0", Some(300)),
        ended("a grant that has ended", &[]),
        scenario("a grant that is not taken", &[], Create).granted("stale", None),
        ended("a renewal without an answer", &[Tokens(vec![Exchange::Unanswered])]),
        ended("a renewal that fails", &[Tokens(vec![Exchange::Busy, Exchange::Fails])]),
        ended("a renewal that is refused", &[Tokens(vec![Exchange::Refused])]).after(Deed::Connect),
        ended("a renewal by somebody else", &[ClaimRenewal]),
        ended("a renewal that cannot be stored", &[]).with("grant.keep", Before, 1, Table(table::DOWN)),
    ]
}
