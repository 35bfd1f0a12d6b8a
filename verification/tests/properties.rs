//! What holds of many requests at once, of every order, and after an outage. `cargo run --release -p verification -- laws`
//! tries more.

use verification::simulation::{crm, properties};

#[test]
fn every_order_ends_in_the_same_body() {
    let bodies = properties::orders(500);
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
    assert!(
        bodies
            .iter()
            .all(|body| ["Note 1.", "AiNote 1.", "rec.example/1."].iter().all(|fact| body.contains(fact)))
    );
}

#[test]
fn updates_at_once_are_few_changes_and_all_there() {
    for seed in 0..3 {
        let crowd = properties::crowd(200, seed);
        assert!(crowd.wrong.is_empty() && crowd.changes <= 200, "seed {seed}: {crowd:?}");
    }
}

#[test]
fn a_grant_that_ends_is_renewed_once() {
    for seconds_left in [-1, 300] {
        let expiry = properties::expiry(1_000, seconds_left);
        assert_eq!(expiry, properties::Expiry { token_calls: 1, logged: 1_000 }, "{seconds_left} s left");
    }
}

#[test]
fn an_outage_is_made_up_for() {
    let outage = properties::outage(12, 15);
    assert!(outage.wrong.is_empty(), "{outage:?}");
    assert_eq!((outage.calls, outage.too_many), (48, 0));
    assert!(outage.most_probes <= 1 && outage.minutes <= 15, "{outage:?}");
}

#[test]
fn nothing_that_a_person_writes_is_lost() {
    for crm in [&crm::CAREFUL, &crm::PLAIN] {
        let edits = properties::edits(300, crm);
        assert!(edits.lost.is_empty(), "{:#?}", edits.lost);
        assert!(edits.edits > 500, "{} edits", edits.edits);
    }
}
