//! Responses of a CRM, as every adapter reads them: an error is never a success, and a write without a clear answer may have
//! had an effect.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use call_log::{
    adapters::{
        Access, Authorization, Budgets, CallFacts, CallLogChange, Effect, Error, ErrorKind, HttpClient,
        NewCallLog, NewContact, Transport,
    },
    model::{
        CallKey, CallTag, Clock, CrmAccount, Deadline, Direction, Platform, SessionId, Settings, User, UserId,
    },
    startup::transport,
};
use proptest::prelude::*;
use serde_json::{Map, json};
use tests::fake_crm::{FAKES, FakeCrm};

use crate::{fuzz, inputs, runtime};

/// The network, which answers every request with the same response, and with none if it is not set.
#[derive(Debug, Default)]
struct Network {
    response: Mutex<Option<http::Response<Bytes>>>,
    /// A request arrived that does not only read.
    has_written: AtomicBool,
}

#[async_trait]
impl Transport for Network {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _deadline: Option<Deadline>,
    ) -> Result<http::Response<Bytes>, Effect> {
        self.has_written.fetch_or(request.method() != http::Method::GET, Ordering::SeqCst);
        self.response.lock().unwrap().clone().ok_or(Effect::Unknown)
    }
}

fn responses() -> impl Strategy<Value = http::Response<Bytes>> {
    let statuses = prop_oneof![
        Just(200_u16),
        Just(201),
        prop::sample::select(vec![
            204_u16, 302, 304, 400, 401, 402, 403, 404, 408, 409, 410, 412, 413, 415, 421, 422, 423
        ]),
        prop::sample::select(vec![425_u16, 429, 451, 500, 501, 502, 503, 504, 520, 599]),
    ];
    let record = json!({
        "success": true, "data": {"id": 5001, "subject": "Call", "note": "Hi", "update_time": "2025-03-12 15:45:25"},
        "id": "5001", "body": "Hi", "result": {"id": "5001", "text": "Hi", "version": "1"}, "activities": [], "calls": [],
    });
    let refusal =
        json!({"success": false, "error": "Bad request", "error_info": "x", "message": "No", "code": "E"});
    let bodies = prop_oneof![
        3 => inputs::mutated(record).prop_map(|value| value.to_string().into_bytes()),
        3 => inputs::mutated(refusal).prop_map(|value| value.to_string().into_bytes()),
        2 => inputs::json().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..100),
        1 => inputs::text().prop_map(String::into_bytes),
    ];
    let headers = prop::collection::vec(
        (
            prop::sample::select(vec![
                "retry-after",
                "date",
                "x-ratelimit-remaining",
                "x-ratelimit-limit",
                "x-ratelimit-reset",
                "etag",
                "content-type",
                "x-daily-requests-left",
            ]),
            prop_oneof!["[ -~]{0,30}", "-?[0-9]{1,20}", Just("Wed, 12 Mar 2025 15:46:30 GMT".to_owned())],
        ),
        0..4,
    );
    (statuses, headers, bodies).prop_map(|(status, headers, body)| {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response.body(Bytes::from(body)).unwrap()
    })
}

fn check_error(error: &Error, status: u16, has_written: bool, request: &str) -> Result<(), TestCaseError> {
    if let ErrorKind::Rejected { message } | ErrorKind::Forbidden { message } = &error.kind {
        let is_fit = message.chars().count() <= 500 && !message.contains(['\0', '\n', '\r']);
        prop_assert!(is_fit, "{}: {:?}", request, message);
    }
    match (has_written, status) {
        (false, _) => prop_assert_eq!(error.effect, Effect::None, "{}: {:?}", request, error),
        (true, 500..) => prop_assert_eq!(error.effect, Effect::Unknown, "{}: {:?}", request, error),
        (true, _) => {}
    }
    Ok(())
}

fn user(fake: &dyn FakeCrm) -> User {
    let crm = fake.adapter();
    User {
        id: UserId::new(format!("12345-{}", crm.platform())).unwrap(),
        platform: Platform::new(crm.platform()).unwrap(),
        hostname: fake.own_hosts()[0].0.map(str::to_owned),
        account: CrmAccount { id: Some(fake.account()), ..CrmAccount::default() },
        zone: None,
        settings: Settings::default(),
        credentials: None,
    }
}

fn log(fake: &dyn FakeCrm) -> NewCallLog {
    let call =
        CallKey { tenant: user(fake).tenant(), session: SessionId::new("1").unwrap(), header_user: None };
    NewCallLog {
        tag: CallTag::of(&call.log(0)),
        recovery: fake.adapter().capabilities().recovery[0],
        subject: "Call".to_owned(),
        body: "Hi".to_owned(),
        contact: Some(fake.contacts()[0].clone()),
        owner: None,
        earlier_owners: Vec::new(),
        facts: CallFacts { direction: Some(Direction::Inbound), ..CallFacts::default() },
        first_attempt: Clock::System.now(),
        additional: Map::new(),
    }
}

#[test]
fn no_error_of_a_crm_is_read_as_a_success() {
    let (runtime, network) = (runtime(), Arc::new(Network::default()));
    let plain = HttpClient::from(transport::client().unwrap());
    let http = plain.clone().through(network.clone());
    let (clock, budgets) = (Clock::System, Budgets::default());
    let crms: Vec<_> = FAKES.iter().map(|start| start()).collect();
    let users: Vec<_> = crms.iter().map(|fake| user(&**fake)).collect();
    let access = |at: usize, http, base_url| Access {
        http,
        clock: &clock,
        budgets: &budgets,
        deadline: Deadline(clock.now_ms() + 20_000),
        crm: crms[at].adapter(),
        base_url,
        budget: "fuzz".to_owned(),
        authorization: Authorization::Stored(crms[at].credentials().remove(0)),
        user: &users[at],
    };
    // An id in the form of each CRM.
    let ids: Vec<_> = (0..crms.len())
        .map(|at| {
            let access = access(at, &plain, crms[at].proxy().base_url());
            runtime.block_on(crms[at].adapter().create_record(&access, &log(&*crms[at]))).unwrap()
        })
        .collect();
    let inputs = ((0..crms.len()), responses());
    fuzz("responses of a CRM", &inputs, |(at, response)| {
        let (fake, status) = (&crms[at], response.status().as_u16());
        let (crm, log, id) = (fake.adapter(), log(&**fake), &ids[at]);
        let shown = format!("{} {response:?}", crm.platform());
        *network.response.lock().unwrap() = Some(response);
        // Adapters cache data by the address.
        let access = access(at, &http, format!("http://127.0.0.1:1/{}", clock.now_ms()));
        let change = CallLogChange { body: Some("x".to_owned()), ..CallLogChange::default() };
        let contact =
            NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
        let outcomes = runtime.block_on(async {
            let has_written = || network.has_written.swap(false, Ordering::SeqCst);
            [
                ("create", crm.create_record(&access, &log).await.map(drop), has_written()),
                ("read", crm.read_record(&access, id).await.map(drop), has_written()),
                ("update", crm.update_record(&access, id, &change).await, has_written()),
                ("find", crm.find_records(&access, &log, clock.now()).await.map(drop), has_written()),
                ("find contacts", crm.find_contacts(&access, "+12135550111").await.map(drop), has_written()),
                ("create contact", crm.create_contact(&access, &contact).await.map(drop), has_written()),
                ("identify", crm.identify(&access).await.map(drop), has_written()),
            ]
        });
        for (request, outcome, has_written) in outcomes {
            // Some CRMs search with POST.
            let has_written = has_written && ["create", "update", "create contact"].contains(&request);
            let request = format!("{request} of {shown}");
            match outcome {
                // A record that does not exist is found nowhere; a CRM without a way to say the account asks nothing.
                Ok(()) => prop_assert!(
                    status < 300 || request.starts_with("find of") || request.starts_with("identify"),
                    "{}",
                    request
                ),
                Err(error) => check_error(&error, status, has_written, &request)?,
            }
        }
        Ok(())
    });
}
