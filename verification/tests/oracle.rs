//! The oracle finds a record that is mistaken for that of another call. The fake CRM injects the mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use call_log::adapters::Capabilities;
use verification::simulation::{
    application::{Simulation, runtime},
    crm::{self, CLOSING, CONDITIONAL, Defect, Kind, PLAIN},
    driver::Driver,
    oracle::{self, BrokenAssumptions, Completion},
    requests::{Call, Detail, Field, Request},
    scheduler::{self, PausedStep, Position},
    schedules::{self, Options},
};

/// Runs a schedule with two calls of one user. Returns the broken promises.
fn violations_of(crm: Capabilities, schedule: impl AsyncFnOnce(&mut Driver<'_>, &[Call; 2])) -> Vec<String> {
    runtime().block_on(tokio::task::coop::unconstrained(async {
        let mut simulation = Simulation::start().await;
        let calls = [Call::new("first", 0), Call::new("second", 3_600)];
        let mut driver = simulation.begin(crm, calls.to_vec(), false).await;
        schedule(&mut driver, &calls).await;
        oracle::complete(&mut driver, Completion::Redrive, BrokenAssumptions::default()).await
    }))
}

fn update(value: u32) -> Request {
    Request::Update(vec![Detail { field: Field::AiNote, value }])
}

async fn send(driver: &mut Driver<'_>, call: &Call, request: Request) {
    driver.start_for(call, request).await;
    driver.run_to_end().await;
}

/// Starts a create and runs it until its POST is on its way.
async fn start_create(driver: &mut Driver<'_>, call: &Call) -> PausedStep {
    driver.start_for(call, Request::Create).await;
    loop {
        let paused = scheduler::paused()[0];
        if paused.position == Position::InFlight {
            return paused;
        }
        driver.proceed_normally(paused).await;
    }
}

fn assert_finds(violations: &[String], expected: &str) {
    assert!(violations.iter().any(|violation| violation.contains(expected)), "{expected}: {violations:#?}");
}

#[test]
fn two_calls_without_a_defect_break_no_promise() {
    for crm in [CONDITIONAL, PLAIN] {
        let violations = violations_of(crm, async |driver, [first, second]| {
            for (call, value) in [(first, 1), (second, 2)] {
                send(driver, call, Request::Create).await;
                send(driver, call, update(value)).await;
            }
        });
        assert_eq!(violations, Vec::<String>::new());
    }
}

#[test]
fn a_redrive_of_two_calls_breaks_no_promise() {
    let violations = violations_of(PLAIN, async |driver, [first, second]| {
        for call in [first, second] {
            let paused = start_create(driver, call).await;
            driver.crash(paused.invocation, None);
        }
    });
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn the_oracle_finds_a_call_that_adopts_the_record_of_another() {
    let violations = violations_of(CLOSING, async |driver, [first, second]| {
        send(driver, first, Request::Create).await;
        crm::inject(Defect::FindsOtherCalls);
        let paused = start_create(driver, second).await;
        driver.lose_response(paused, None).await;
        driver.run_to_end().await;
        send(driver, second, update(2)).await;
    });
    assert_finds(&violations, "call second: the item names the record 5000 of another call");
    assert_finds(&violations, "call second: a response names the record 5000 of another call");
    assert_finds(&violations, "call second: 0 records were created, 0 exist");
    assert_finds(&violations, "an attempt for call second");
    assert_finds(&violations, "changed the record 5000 of call first");
    assert_finds(&violations, "of another call is in the record 5000");
}

#[test]
fn the_oracle_finds_a_redrive_that_adopts_the_record_of_another_call() {
    let violations = violations_of(CLOSING, async |driver, [first, second]| {
        send(driver, first, Request::Create).await;
        let paused = start_create(driver, second).await;
        driver.crash(paused.invocation, None);
        send(driver, second, update(2)).await;
        crm::inject(Defect::FindsOtherCalls);
    });
    assert_finds(&violations, "call second: the item names the record 5000 of another call");
    assert_finds(&violations, "changed the record 5000 of call first");
}

#[test]
fn the_oracle_finds_a_sweep_that_deletes_the_record_of_another_call() {
    let violations = violations_of(PLAIN, async |driver, [first, second]| {
        let paused = start_create(driver, second).await;
        driver.crash(paused.invocation, None);
        driver.advance(60_000).await;
        send(driver, second, Request::Create).await;
        crm::with(|crm| crm.add_duplicate());
        send(driver, first, Request::Create).await;
        crm::inject(Defect::ChangesOtherCall);
    });
    assert_finds(&violations, "deleted the record 5002 of call first");
    assert_finds(&violations, "call first: 1 records were created, 0 exist");
}

#[test]
fn the_oracle_finds_a_response_that_names_the_record_of_another_call() {
    let violations = violations_of(PLAIN, async |driver, [first, second]| {
        send(driver, first, Request::Create).await;
        crm::inject(Defect::NamesOtherCall);
        send(driver, second, Request::Create).await;
    });
    assert_finds(&violations, "call second: the item names the record 5000 of another call");
    assert_finds(&violations, "call second: a response names the record 5000 of another call");
}

#[test]
fn the_oracle_finds_a_change_of_the_record_of_another_call() {
    let violations = violations_of(CONDITIONAL, async |driver, [first, second]| {
        send(driver, first, Request::Create).await;
        send(driver, second, Request::Create).await;
        crm::inject(Defect::ChangesOtherCall);
        send(driver, second, update(2)).await;
    });
    assert_finds(&violations, "changed the record 5000 of call first");
    assert_finds(
        &violations,
        "call second: Detail { field: AiNote, value: 2 } was promised and is not there",
    );
    assert_finds(
        &violations,
        "call first: Detail { field: AiNote, value: 2 } of another call is in the record",
    );
}

/// `verification defects` looks for every defect. These are found soon.
#[test]
fn random_schedules_find_defects() {
    for defect in [
        Defect::FindsOtherCalls,
        Defect::NamesOtherCall,
        Defect::ChangesOtherCall,
        Defect::KeyNotRead,
        Defect::VersionNotSent,
        Defect::FieldsOverwritten,
        Defect::ExtensionIgnored,
        Defect::HalvesNotJoined,
        Defect::MoveUnnoticed,
        Defect::AccountsMixed,
    ] {
        assert_is_found(defect, defect.kind());
    }
    // The defects that the network makes, because the adapter is the real one.
    for defect in [Defect::KeyNotRead, Defect::VersionNotSent, Defect::FinishRepeatedBlindly] {
        assert_is_found(defect, Some(Kind::Contrary));
    }
}

fn assert_is_found(defect: Defect, kind: Option<Kind>) {
    let options = Options { kind, defect: Some(defect) };
    let is_found = (0..8).any(|batch| !schedules::run(batch * 500, 500, 2, options).broken.is_empty());
    assert!(is_found, "{defect:?} is not found in 4000 schedules of {kind:?}");
}
