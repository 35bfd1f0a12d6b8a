//! Leases of calls in a CRM whose searches show a record late.

use call_log::{
    adapters::{Capabilities, Recovery},
    model::CallLogId,
    store::State,
};

use super::{altered_crm::AlteredCrm, redrive::item, *};

/// The time after which the CRM's searches show a record.
const LAG: Duration = Duration::from_secs(40);
/// The time after its sender stopped waiting at which a late request reaches the CRM, in milliseconds: almost the whole
/// grace period.
const LATE_MS: i64 = 28_000;

/// The end of the request that creates the record.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The process dies while the request is under way.
    ProcessDies,
    /// The response is lost.
    ResponseLost,
}

/// An adapter whose searches show no record that is younger than [`LAG`].
fn lagging() -> AlteredCrm {
    let pipedrive = AlteredCrm::default();
    let recovery = const { &[Recovery::LaggingSearch(LAG)] };
    AlteredCrm { capabilities: Capabilities { recovery, ..pipedrive.capabilities }, ..pipedrive }
}

/// Asserts that a call whose create reaches the CRM as late as it can is one record in the end, and that no other create
/// is sent, whenever the redrive runs.
async fn check_one_record(end: End) {
    let mut test = TestApp::start().await;
    lagging().install(&mut test.app);
    let waits_until_ms = match end {
        End::ProcessDies => {
            let mut other = test.another_app().await;
            lagging().install(&mut other);
            test.crm.next(Route::CreateActivity, SLOW);
            let dying = start(&other, &test.user, "POST", call(SESSION));
            wait_for_activity(&test).await;
            dying.abort();
            test.now_ms() + INVOCATION_MS
        }
        End::ResponseLost => {
            test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
            test.post(&call(SESSION)).await;
            test.now_ms()
        }
    };
    // The request has not arrived yet.
    let late = activity(&test);
    test.crm.delete(5001);
    test.pass(waits_until_ms + LATE_MS - test.now_ms());
    test.crm.land(&late);
    for _ in 0..120 {
        test.redrive().await;
        test.pass(2_000);
    }
    assert_eq!(test.crm.count(Route::CreateActivity), 1, "{end:?}");
    let logged = item(&test).await;
    let id = logged.log_id.as_ref().map(CallLogId::as_str);
    assert_eq!((logged.state, id), (State::Logged, Some("5002")), "{end:?}");
}

#[tokio::test]
async fn a_search_that_lags_leads_to_no_second_record_after_a_process_died() {
    check_one_record(End::ProcessDies).await;
}

#[tokio::test]
async fn a_search_that_lags_leads_to_no_second_record_after_a_lost_response() {
    check_one_record(End::ResponseLost).await;
}
