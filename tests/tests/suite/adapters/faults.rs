//! What a bad day of the CRM, or of the network, is to every adapter.

use std::{net::TcpListener, time::Duration};

use call_log::{
    adapters::{Access, Effect, Error, ErrorKind, NewContact, client::Authorization},
    model::{Credentials, Secret},
};
use tests::{pipedrive::API_KEY, proxy::Fault};

use super::{body, each, fake_crm::START};

#[tokio::test]
async fn a_log_whose_answer_was_lost_is_found_again() {
    each(async |stand| {
        for fault in [Fault::DropBeforeAnswer, Fault::Truncated, Fault::NoId] {
            let log = stand.log(START);
            stand.proxy().next(stand.routes.create, fault);
            let error = stand.crm.create_log(&stand.access(), &log).await.unwrap_err();
            assert_eq!(error.effect, Effect::Unknown, "{}: {error:?}", stand.name());
            let found = stand.find(&log).await;
            assert_eq!(stand.read(found.last().unwrap()).await.body, log.body, "{}", stand.name());
        }
        assert_eq!(stand.find(&stand.log(START)).await.len(), 3, "{}", stand.name());
    })
    .await;
}

#[tokio::test]
async fn a_write_that_lands_late_or_twice_is_found_when_it_is_there() {
    each(async |stand| {
        let log = stand.log(START);
        stand.proxy().next(stand.routes.create, Fault::DelayEffect(Duration::from_millis(800)));
        let access = stand.access_for(Duration::from_millis(400));
        let error = stand.crm.create_log(&access, &log).await.unwrap_err();
        assert_eq!((error.kind, error.effect), (ErrorKind::Unavailable, Effect::Unknown), "{}", stand.name());
        assert_eq!(stand.find(&log).await, [], "{}: on its way", stand.name());
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(stand.find(&log).await.len(), 1, "{}", stand.name());
        stand.proxy().next(stand.routes.create, Fault::Repeat);
        stand.create(&log).await;
        assert_eq!(stand.find(&log).await.len(), 3, "{}", stand.name());
    })
    .await;
}

/// What each fault is to an adapter, and whether it leaves a write in doubt.
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

#[tokio::test]
async fn every_fault_has_the_same_meaning_in_every_request() {
    each(async |stand| {
        let log = stand.log(START);
        let id = stand.create(&log).await;
        let new = NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
        let (crm, now) = (stand.crm, stand.clock.now());
        for (fault, kind, effect) in faults() {
            let late = matches!(fault, Fault::Delay(_));
            let access = || stand.access_for(Duration::from_millis(if late { 400 } else { 20_000 }));
            let meet = |target| stand.proxy().next(target, fault.clone());
            let check = |what: &str, error: Error, effect: Effect| {
                assert_eq!((&error.kind, error.effect), (&kind, effect), "{} {what} {fault:?}", stand.name());
            };
            meet(stand.routes.create);
            check("create", crm.create_log(&access(), &log).await.unwrap_err(), effect);
            meet(stand.routes.create_contact);
            check("create_contact", crm.create_contact(&access(), &new).await.unwrap_err(), effect);
            meet(stand.routes.update);
            check("update", crm.update_log(&access(), &id, &body("x")).await.unwrap_err(), effect);
            meet(stand.routes.read);
            check("read", crm.read_log(&access(), &id).await.unwrap_err(), Effect::None);
            meet(stand.routes.list);
            check("find", crm.find_logs(&access(), &log, now).await.unwrap_err(), Effect::None);
            meet(stand.routes.find_contact);
            check(
                "find_contact",
                crm.find_contact(&access(), "+12135550111").await.unwrap_err(),
                Effect::None,
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_what_it_is_about_is_malformed() {
    each(async |stand| {
        let log = stand.log(START);
        let id = stand.create(&log).await;
        let (crm, now) = (stand.crm, stand.clock.now());
        let new = NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
        let meet = |target| stand.proxy().next(target, Fault::NoId);
        let check = |what: &str, error: Error, effect: Effect| {
            assert_eq!((error.kind, error.effect), (ErrorKind::Malformed, effect), "{} {what}", stand.name());
        };
        meet(stand.routes.create);
        check("create", crm.create_log(&stand.access(), &log).await.unwrap_err(), Effect::Unknown);
        meet(stand.routes.create_contact);
        check(
            "create_contact",
            crm.create_contact(&stand.access(), &new).await.unwrap_err(),
            Effect::Unknown,
        );
        meet(stand.routes.read);
        check("read", crm.read_log(&stand.access(), &id).await.unwrap_err(), Effect::None);
        meet(stand.routes.list);
        check("find", crm.find_logs(&stand.access(), &log, now).await.unwrap_err(), Effect::None);
        meet(stand.routes.find_contact);
        check(
            "find_contact",
            crm.find_contact(&stand.access(), "+12135550111").await.unwrap_err(),
            Effect::None,
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_sent_changes_nothing() {
    each(async |stand| {
        let log = stand.log(START);
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = Access { base_url: format!("http://{gone}"), ..stand.access() };
        let too_late = stand.access_for(Duration::from_millis(100));
        for (access, what) in [(refused, "no connection"), (too_late, "no time")] {
            let error = stand.crm.create_log(&access, &log).await.unwrap_err();
            assert_eq!(
                (error.kind, error.effect),
                (ErrorKind::Unavailable, Effect::None),
                "{} {what}",
                stand.name()
            );
        }
        assert_eq!(stand.proxy().exchanges().len(), 0, "{}", stand.name());
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_credential_is_sent_and_a_wrong_one_is_noticed() {
    each(async |stand| {
        let oauth = |token: &str| {
            let access_token = Secret::new(token);
            Authorization::Stored(Credentials::OAuth { access_token, refresh_token: None, expires_at: None })
        };
        let key = |key: &str| Authorization::Stored(Credentials::ApiKey(Secret::new(key)));
        let header = |header: &str| Authorization::Header(Secret::new(header));
        for (authorization, good) in [
            (key(API_KEY), true),
            (oauth(API_KEY), true),
            (header(&format!("Bearer {API_KEY}")), true),
            (key("wrong"), false),
            (oauth("wrong"), false),
            (header("Bearer wrong"), false),
            (key("no\nheader"), false),
        ] {
            let access = Access { authorization, ..stand.access() };
            match stand.crm.create_log(&access, &stand.log(START)).await {
                Ok(_) => assert!(good, "{}: {:?}", stand.name(), access.authorization),
                Err(error) => {
                    assert!(!good, "{}: {error:?}", stand.name());
                    let outcome = (error.kind, error.effect);
                    assert_eq!(outcome, (ErrorKind::Unauthorized, Effect::None), "{}", stand.name());
                }
            }
        }
    })
    .await;
}
