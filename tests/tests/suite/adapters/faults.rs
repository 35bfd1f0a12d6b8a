//! Faults of the CRM and of the network, as every adapter has to report them.

use std::{net::TcpListener, time::Duration};

use call_log::{
    adapters::{Access, Effect, ErrorKind, NewContact, client::Authorization},
    model::{Credentials, Secret},
};
use tests::{
    fake_crm::Feature,
    proxy::{Fault, Target},
};

use super::{
    body,
    connected::{Connected, START},
    each, each_with, kind_and_effect,
};

#[tokio::test]
async fn a_record_whose_response_was_lost_is_found_again() {
    each_with(Feature::FindRecords, async |connected| {
        for fault in [Fault::DropBeforeAnswer, Fault::Truncated, Fault::NoId] {
            let log = connected.log(START);
            connected.proxy().next(connected.routes.create, fault);
            let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
            assert_eq!(error.effect, Effect::Unknown, "{}: {error:?}", connected.name());
            let found = connected.find(&log).await;
            assert_eq!(connected.read(found.last().unwrap()).await.body, log.body, "{}", connected.name());
        }
        assert_eq!(connected.find(&connected.log(START)).await.len(), 3, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_create_that_arrives_late_or_twice_is_found_once_it_has_arrived() {
    each_with(Feature::FindRecords, async |connected| {
        let log = connected.log(START);
        connected.proxy().next(connected.routes.create, Fault::DelayEffect(Duration::from_millis(800)));
        let access = connected.access_for(Duration::from_millis(400));
        let error = connected.crm.create_record(&access, &log).await.unwrap_err();
        assert_eq!(kind_and_effect(error), (ErrorKind::Unavailable, Effect::Unknown), "{}", connected.name());
        assert_eq!(connected.find(&log).await, [], "{}: not arrived yet", connected.name());
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(connected.find(&log).await.len(), 1, "{}", connected.name());
        connected.proxy().next(connected.routes.create, Fault::Repeat);
        connected.create(&log).await;
        assert_eq!(connected.find(&log).await.len(), 3, "{}", connected.name());
    })
    .await;
}

/// Each fault, the kind of error that an adapter reports for it, and the effect that a write may have had.
fn faults() -> Vec<(Fault, ErrorKind, Effect)> {
    let rejected = || ErrorKind::Rejected { message: "A fault of the test".to_owned() };
    let limited =
        |seconds: Option<u64>| ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) };
    vec![
        (Fault::Status(302), ErrorKind::Malformed, Effect::Unknown),
        (Fault::Status(400), rejected(), Effect::None),
        (Fault::Status(401), ErrorKind::Unauthorized, Effect::None),
        (Fault::Status(403), ErrorKind::Forbidden, Effect::None),
        (Fault::Status(408), ErrorKind::Unavailable, Effect::Unknown),
        (Fault::Status(409), rejected(), Effect::None),
        (Fault::Status(412), ErrorKind::Conflict, Effect::None),
        (Fault::Status(422), rejected(), Effect::None),
        (Fault::RateLimited { retry_after: Some(7) }, limited(Some(7)), Effect::None),
        (Fault::RateLimited { retry_after: None }, limited(None), Effect::None),
        (Fault::Blocked, limited(None), Effect::None),
        (Fault::Status(500), ErrorKind::Unavailable, Effect::Unknown),
        (Fault::Status(503), ErrorKind::Unavailable, Effect::Unknown),
        (Fault::Html, ErrorKind::Malformed, Effect::Unknown),
        (Fault::Truncated, ErrorKind::Unavailable, Effect::Unknown),
        (Fault::DropBeforeEffect, ErrorKind::Unavailable, Effect::Unknown),
        (Fault::DropBeforeAnswer, ErrorKind::Unavailable, Effect::Unknown),
        (Fault::Delay(Duration::from_millis(900)), ErrorKind::Unavailable, Effect::Unknown),
    ]
}

/// Sends every request of the port with a fault, and checks the kind of its error. A write has `effect`, a read none.
async fn check_every_request(connected: &Connected, fault: &Fault, kind: &ErrorKind, effect: Effect) {
    let crm = connected.crm;
    let log = connected.log(START);
    let id = connected.create(&log).await;
    let new = NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
    let time = if matches!(fault, Fault::Delay(_)) { 400 } else { 20_000 };
    let access = || connected.access_for(Duration::from_millis(time));
    let queue = |target: Target| connected.proxy().next(target, fault.clone());
    let check = |request: &str, error, effect| {
        let expected = (kind.clone(), effect);
        assert_eq!(kind_and_effect(error), expected, "{} {request} {fault:?}", connected.name());
    };

    queue(connected.routes.create);
    check("create_record", crm.create_record(&access(), &log).await.unwrap_err(), effect);
    queue(connected.routes.create_contact);
    check("create_contact", crm.create_contact(&access(), &new).await.unwrap_err(), effect);
    queue(connected.routes.read);
    check("read_record", crm.read_record(&access(), &id).await.unwrap_err(), Effect::None);
    if connected.fake.lacks(Feature::FindRecords).is_none() {
        let since = connected.clock.now();
        queue(connected.routes.list);
        let error = crm.find_records(&access(), &log, since).await.unwrap_err();
        check("find_records", error, Effect::None);
    }
    queue(connected.routes.find_contacts);
    let error = crm.find_contacts(&access(), "+12135550111").await.unwrap_err();
    check("find_contacts", error, Effect::None);

    queue(connected.routes.update);
    let updated = crm.update_record(&access(), &id, &body("x")).await;
    if matches!(fault, Fault::NoId) && updated.is_ok() {
        // Some CRMs respond to an update without the record. That it was changed is all that counts.
        assert_eq!(connected.read(&id).await.body, "x", "{}", connected.name());
    } else {
        check("update_record", updated.unwrap_err(), effect);
    }
}

#[tokio::test]
async fn a_fault_has_the_same_meaning_in_every_request() {
    each(async |connected| {
        for (fault, kind, effect) in faults() {
            check_every_request(connected, &fault, &kind, effect).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_response_without_the_expected_data_is_malformed() {
    each(async |connected| {
        check_every_request(connected, &Fault::NoId, &ErrorKind::Malformed, Effect::Unknown).await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_sent_has_no_effect() {
    each(async |connected| {
        let log = connected.log(START);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let no_server = Access { base_url: format!("http://{closed}"), ..connected.access() };
        let no_time = connected.access_for(Duration::from_millis(100));
        for access in [no_server, no_time] {
            let error = connected.crm.create_record(&access, &log).await.unwrap_err();
            assert_eq!(
                (&error.kind, error.effect),
                (&ErrorKind::Unavailable, Effect::None),
                "{}: {error}",
                connected.name()
            );
        }
        assert_eq!(connected.proxy().exchanges().len(), 0, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_credential_is_sent_and_an_invalid_one_is_unauthorized() {
    each(async |connected| {
        let valid = connected.fake.api_key();
        let oauth = |token: &str| {
            let access_token = Secret::new(token);
            Authorization::Stored(Credentials::OAuth { access_token, refresh_token: None, expires_at: None })
        };
        let key = |key: &str| Authorization::Stored(Credentials::ApiKey(Secret::new(key)));
        let header = |header: &str| Authorization::Header(Secret::new(header));
        for (authorization, is_valid) in [
            (key(valid), true),
            (oauth(valid), true),
            (header(&format!("Bearer {valid}")), true),
            (key("wrong"), false),
            (oauth("wrong"), false),
            (header("Bearer wrong"), false),
            (key("no\nheader"), false),
        ] {
            let access = Access { authorization, ..connected.access() };
            match connected.crm.create_record(&access, &connected.log(START)).await {
                Ok(_) => assert!(is_valid, "{}: {:?}", connected.name(), access.authorization),
                Err(error) => {
                    assert!(!is_valid, "{}: {error:?}", connected.name());
                    let expected = (ErrorKind::Unauthorized, Effect::None);
                    assert_eq!(kind_and_effect(error), expected, "{}", connected.name());
                }
            }
        }
    })
    .await;
}
