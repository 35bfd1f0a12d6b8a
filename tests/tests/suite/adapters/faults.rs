//! Faults of the CRM and of the network, as every adapter has to report them.

use std::{net::TcpListener, time::Duration};

use call_log::adapters::{Access, Effect, ErrorKind, NewContact, Recovery};
use tests::proxy::{Fault, Target};

use super::{
    body,
    connected::{Connected, Feature, START},
    each, each_recovery, kind_and_effect,
};

#[tokio::test]
async fn a_record_whose_response_was_lost_is_found_again() {
    each_recovery(async |connected| {
        let mut found = Vec::new();
        for fault in [Fault::DropBeforeAnswer, Fault::Truncated, Fault::NoId] {
            let log = connected.log(START);
            connected.proxy().next(connected.routes.create, fault);
            let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
            assert_eq!(error.effect, Effect::Unknown, "{}: {error:?}", connected.name());
            found = connected.find(&log).await;
            assert_eq!(connected.read(found.last().unwrap()).await.body, log.body, "{}", connected.name());
        }
        // Records without a tag are alike.
        assert!([1, 3].contains(&found.len()), "{}: {found:?}", connected.name());
        assert_eq!(connected.fake.record_count(), 3, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_create_that_arrives_late_or_twice_is_found_once_it_has_arrived() {
    each_recovery(async |connected| {
        let log = connected.log(START);
        connected.proxy().next(connected.routes.create, Fault::DelayEffect(Duration::from_millis(800)));
        let access = connected.access_for(Duration::from_millis(400));
        let error = connected.crm.create_record(&access, &log).await.unwrap_err();
        assert_eq!(kind_and_effect(error), (ErrorKind::Unavailable, Effect::Unknown), "{}", connected.name());
        assert_eq!(connected.find(&log).await, [], "{}: not arrived yet", connected.name());
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(connected.find(&log).await.len(), 1, "{}", connected.name());
        connected.proxy().next(connected.routes.create, Fault::Repeat);
        let id = connected.create_again(&log).await;
        let found = connected.find(&log).await;
        assert_eq!(found.len(), connected.records_of(3), "{}", connected.name());
        assert!(found.contains(&id), "{}", connected.name());
        assert_eq!(connected.fake.record_count(), found.len(), "{}", connected.name());
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
        (
            Fault::Status(403),
            ErrorKind::Forbidden { message: "A fault of the test".to_owned() },
            Effect::None,
        ),
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

/// Returns `true` if the connection of a request with this fault is lost before the response.
fn is_lost(fault: &Fault) -> bool {
    matches!(fault, Fault::DropBeforeEffect | Fault::DropBeforeAnswer)
}

/// Sends every request of the port with a fault, and checks the kind of its error. A write has `effect`, a read none.
pub(super) async fn check_every_request(
    connected: &Connected,
    fault: &Fault,
    kind: &ErrorKind,
    effect: Effect,
) {
    let crm = connected.crm;
    let log = connected.log(START);
    let id = connected.create(&log).await;
    let new = NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
    let time = if matches!(fault, Fault::Delay(_)) { 400 } else { 20_000 };
    let access = || connected.access_for(Duration::from_millis(time));
    let queue = |target: Target| connected.proxy().next(target, fault.clone());
    // A read whose connection was lost is sent twice.
    let sent = if is_lost(fault) { 2 } else { 1 };
    let queue_read = |target: Target| (0..sent).for_each(|_| queue(target));
    let check = |request: &str, error, effect| {
        let expected = (kind.clone(), effect);
        assert_eq!(kind_and_effect(error), expected, "{} {request} {fault:?}", connected.name());
    };

    queue(connected.routes.create);
    let other = connected.log(START);
    check("create_record", crm.create_record(&access(), &other).await.unwrap_err(), effect);
    queue(connected.routes.create_contact);
    check("create_contact", crm.create_contact(&access(), &new).await.unwrap_err(), effect);
    queue_read(connected.routes.read);
    check("read_record", crm.read_record(&access(), &id).await.unwrap_err(), Effect::None);
    if connected.lacks(Feature::FindRecords).is_none() {
        let since = connected.clock.now();
        queue_read(connected.routes.find);
        let error = crm.find_records(&access(), &log, since).await.unwrap_err();
        check("find_records", error, Effect::None);
    }
    queue_read(connected.routes.find_contacts);
    let error = crm.find_contacts(&access(), "+12135550111").await.unwrap_err();
    check("find_contacts", error, Effect::None);

    // Some CRMs respond to a change without the record. That it was made is all that counts.
    let is_accepted = matches!(fault, Fault::NoId);
    queue(connected.routes.update);
    match crm.update_record(&access(), &id, &body("x")).await {
        Ok(()) if is_accepted => assert_eq!(connected.read(&id).await.body, "x", "{}", connected.name()),
        outcome => check("update_record", outcome.unwrap_err(), effect),
    }
    if let Some(finish) = connected.routes.finish {
        queue(finish);
        match crm.finish_record(&access(), &id, &log.facts).await {
            Ok(()) if is_accepted => {
                assert_eq!(connected.fake.completions(&id).len(), 1, "{}", connected.name());
            }
            outcome => check("finish_record", outcome.unwrap_err(), effect),
        }
    }
}

#[tokio::test]
async fn a_fault_has_the_same_meaning_in_every_request() {
    each_recovery(async |connected| {
        for (fault, kind, effect) in faults() {
            check_every_request(connected, &fault, &kind, effect).await;
        }
    })
    .await;
}

/// A CRM closes idle connections at any moment, so that the next request on one is lost.
#[tokio::test]
async fn a_read_whose_connection_was_lost_is_sent_once_more_and_a_write_never_is() {
    each_recovery(async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        let sent = |target| connected.proxy().count(target);
        for fault in faults().into_iter().map(|(fault, ..)| fault) {
            if matches!(fault, Fault::Delay(_)) {
                continue;
            }
            let (reads, writes) = (sent(connected.routes.read), sent(connected.routes.update));
            connected.proxy().next(connected.routes.read, fault.clone());
            let read = connected.crm.read_record(&connected.access(), &id).await;
            connected.proxy().next(connected.routes.update, fault.clone());
            connected.crm.update_record(&connected.access(), &id, &body("x")).await.unwrap_err();
            let again = usize::from(is_lost(&fault));
            assert_eq!(
                (read.is_ok(), sent(connected.routes.read) - reads, sent(connected.routes.update) - writes),
                (is_lost(&fault), 1 + again, 1),
                "{} {fault:?}",
                connected.name()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_error_in_the_crms_own_form_has_its_meaning_and_its_words() {
    each_recovery(async |connected| {
        let errors = connected.fake.errors();
        let has_words = errors.iter().any(|error| matches!(error.kind, ErrorKind::Rejected { .. }));
        assert!(has_words, "{}: add a refusal in the CRM's own form", connected.name());
        for error in errors {
            let fault = Fault::Refusal(error.status, error.body);
            check_every_request(connected, &fault, &error.kind, error.effect).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_404_in_the_crms_own_form_means_that_a_record_does_not_exist() {
    each_recovery(async |connected| {
        let crm = connected.crm;
        let log = connected.log(START);
        let id = connected.create(&log).await;
        let new = NewContact { name: "Eve".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
        let access = || connected.access();
        let queue = |target: Target| connected.proxy().next(target, Fault::Status(404));
        let check = |request: &str, error| {
            let expected = (ErrorKind::NotFound, Effect::None);
            assert_eq!(kind_and_effect(error), expected, "{} {request}", connected.name());
        };

        queue(connected.routes.create);
        let other = connected.log(START);
        check("create_record", crm.create_record(&access(), &other).await.unwrap_err());
        queue(connected.routes.create_contact);
        check("create_contact", crm.create_contact(&access(), &new).await.unwrap_err());
        queue(connected.routes.read);
        check("read_record", crm.read_record(&access(), &id).await.unwrap_err());
        queue(connected.routes.update);
        check("update_record", crm.update_record(&access(), &id, &body("x")).await.unwrap_err());
        queue(connected.routes.find);
        let found = crm.find_records(&access(), &log, connected.clock.now()).await;
        if connected.recovery == Recovery::ByKey {
            assert_eq!(found, Ok(Vec::new()), "{}: no record has the key", connected.name());
        } else {
            check("find_records", found.unwrap_err());
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
