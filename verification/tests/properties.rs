//! Properties of many requests, of every order and of a long outage, with few cases.
//! `cargo run --release -p verification -- properties` checks more.

use verification::simulation::{crm, properties};

#[test]
fn every_order_of_requests_leads_to_the_same_body() {
    let bodies = properties::orders(500);
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
    for detail in ["Note 1.", "AiNote 1.", "rec.example/1."] {
        assert!(bodies[0].contains(detail), "{bodies:#?}");
    }
}

#[test]
fn concurrent_updates_need_few_changes_and_lose_nothing() {
    for seed in 0..3 {
        let concurrent = properties::concurrent_updates(200, seed);
        assert!(concurrent.violations.is_empty() && concurrent.changes <= 200, "seed {seed}: {concurrent:?}");
    }
}

#[test]
fn a_grant_that_expires_is_renewed_once() {
    for seconds_left in [-1, 300] {
        let expiry = properties::grant_expiry(1_000, seconds_left);
        let expected = properties::GrantExpiry { token_requests: 1, logged: 1_000 };
        assert_eq!(expiry, expected, "{seconds_left} s left");
    }
}

#[test]
fn every_call_of_an_outage_is_delivered_after_it() {
    let outage = properties::outage(12, 15);
    assert!(outage.violations.is_empty(), "{outage:?}");
    assert_eq!((outage.calls, outage.over_limit), (48, 0));
    assert!(outage.most_probes <= 1 && outage.minutes <= 15, "{outage:?}");
}

#[test]
fn no_edit_of_a_person_is_lost() {
    for crm in [crm::CONDITIONAL, crm::PLAIN] {
        let edits = properties::edits(300, crm);
        assert!(edits.violations.is_empty(), "{:#?}", edits.violations);
        assert!(edits.edits > 500, "{} edits", edits.edits);
    }
}
