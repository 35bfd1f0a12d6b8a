//! Cases of the Contrary CRM only.

use std::time::Duration;

use call_log::{
    adapters::{
        Effect, ErrorKind, HeaderMap, NewCallLog, NewContact, RateLimits, Recovery, budget::Allowance,
    },
    model::Contact,
};
use serde_json::json;
use tests::{
    contrary_crm::{
        FakeContraryCrm,
        adapter::{MAX_BODY, MAX_SUBJECT},
    },
    fake_crm::FakeCrm,
    proxy::Fault,
};

use super::{
    body,
    connected::{Connected, START},
    kind_and_effect,
};

fn connect() -> Connected<FakeContraryCrm> {
    Connected::new(Box::new(FakeContraryCrm::start()))
}

#[tokio::test]
async fn a_create_chooses_its_key_and_a_search_sends_the_tag_as_a_field() {
    for (recovery, reference) in [(Recovery::ByKey, false), (Recovery::LaggingSearch(Duration::ZERO), true)] {
        let connected = connect();
        let log = NewCallLog { recovery, ..connected.log(START) };
        connected.create(&log).await;
        let request = connected.proxy().exchanges().pop().unwrap();
        let contact = &connected.fake.contacts()[0];
        let mut expected = json!({
            "outcome": "Accepted",
            "way": "in",
            "party": { "kind": "person", "id": contact.id.as_str() },
            "headline": log.subject,
            "text": log.body,
            "startedAt": "2025-03-12T15:45:25.000Z",
        });
        let tag = log.tag.as_str();
        if reference {
            expected["reference"] = json!(tag);
        }
        assert_eq!(request.json(), Some(expected));
        let path = if reference { "/v3/calls".to_owned() } else { format!("/v3/calls/key:{tag}") };
        let condition = (!reference).then_some("*");
        assert_eq!((request.path.as_str(), request.header("if-none-match")), (path.as_str(), condition));
    }
}

#[tokio::test]
async fn texts_are_measured_in_utf_16_code_units() {
    let connected = connect();
    let words =
        |max: usize| ErrorKind::Rejected { message: format!("A text here has at most {max} characters.") };
    for (subject, text, refusal) in [
        ("x".repeat(MAX_SUBJECT), "x".repeat(MAX_BODY), None),
        ("🙂".repeat(MAX_SUBJECT / 2), "🙂".repeat(MAX_BODY / 2), None),
        ("x".repeat(MAX_SUBJECT + 1), "x".to_owned(), Some(words(MAX_SUBJECT))),
        ("x".to_owned(), "🙂".repeat(MAX_BODY / 2 + 1), Some(words(MAX_BODY))),
    ] {
        let log = NewCallLog { subject, body: text, ..connected.log(START) };
        let created = connected.crm.create_record(&connected.access(), &log).await;
        assert_eq!(created.err().map(|error| error.kind), refusal);
    }
    let id = connected.create(&NewCallLog { body: String::new(), ..connected.log(START) }).await;
    let change = body(&"x".repeat(MAX_BODY + 1));
    let error = connected.crm.update_record(&connected.access(), &id, &change).await.unwrap_err();
    assert_eq!(kind_and_effect(error), (words(MAX_BODY), Effect::None));
}

#[tokio::test]
async fn a_contact_is_a_person_or_a_company() {
    let connected = connect();
    let [person, company] = connected.fake.contacts();
    let of_kind = |kind: Option<&str>, contact: &Contact| NewCallLog {
        contact: Some(Contact { kind: kind.map(str::to_owned), ..contact.clone() }),
        ..connected.log(START)
    };
    for (kind, contact, exists) in [
        (None, &person, true),
        (Some("Contact"), &person, true),
        (Some("company"), &company, true),
        (Some("ACCOUNT"), &company, true),
        (Some("company"), &person, false),
        (None, &company, false),
    ] {
        let created = connected.crm.create_record(&connected.access(), &of_kind(kind, contact)).await;
        assert_eq!(created.is_ok(), exists, "{kind:?}: {created:?}");
    }
    for (kind, expected) in [(None, "person"), (Some("company"), "company")] {
        let new = NewContact {
            name: "Ada".to_owned(),
            phone_number: format!("+1650{}", expected.len()),
            kind: kind.map(str::to_owned),
        };
        let created = connected.crm.create_contact(&connected.access(), &new).await.unwrap();
        assert_eq!(created.kind.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn a_412_without_its_body_still_means_that_the_record_exists() {
    let connected = connect();
    let log = connected.log(START);
    let id = connected.create(&log).await;
    connected.proxy().next(connected.routes.create, Fault::Truncated);
    let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
    assert_eq!(kind_and_effect(error), (ErrorKind::AlreadyExists(None), Effect::None));
    assert_eq!(connected.find(&log).await, [id]);
}

#[test]
fn the_limits_are_those_of_the_crms_own_headers() {
    let connected = connect();
    let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    };
    let all =
        headers(&[("x-limit-max", "100"), ("x-limit-remaining", "7"), ("x-limit-interval-ms", "10000")]);
    let allowance = Allowance { limit: Some(100), remaining: 7, resets_in: Some(Duration::from_secs(10)) };
    assert_eq!(connected.crm.rate_limits(&all), RateLimits { burst: Some(allowance), daily: None });
    let other = headers(&[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "7")]);
    assert_eq!(connected.crm.rate_limits(&other), RateLimits::default());
}
