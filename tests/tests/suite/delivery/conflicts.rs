//! Records that change between our read and our change, in a CRM that refuses the change then.

use super::{redrive::item, *};

/// The status with which a CRM refuses a change whose condition does not hold.
const CONFLICT: Fault = Fault::Status(412);

#[tokio::test]
async fn a_conflict_is_retried_three_times_and_then_after_five_seconds() {
    for (conflicts, is_written) in [(0, true), (1, true), (3, true), (4, false)] {
        let test = logged().await;
        for _ in 0..conflicts {
            test.crm.next(Route::UpdateActivity, CONFLICT);
        }
        let response = test.patch(&update(json!({"aiNote": "Bob asked"}))).await;
        assert_eq!(response.body["successful"], is_written, "{conflicts}: {}", response.body);
        let sent = conflicts + usize::from(is_written);
        assert_eq!(test.crm.count(Route::UpdateActivity), sent, "{conflicts}");
        assert_eq!(test.crm.count(Route::GetActivity), sent, "{conflicts}: each change follows a read");
        let due_at = (!is_written).then(|| test.now_ms() + 5_000);
        assert_eq!(item(&test).await.due_at, due_at, "{conflicts}");
        test.pass(5_000);
        test.redrive().await;
        check_text(&note(&test), &["Bob asked", "Wants a quote"], &[]);
    }
}

#[tokio::test]
async fn a_conflict_is_never_a_dead_letter() {
    for (route, body) in
        [(Route::CreateActivity, call("2")), (Route::UpdateActivity, update(json!({"aiNote": "Bob asked"})))]
    {
        let test = logged().await;
        let method = if route == Route::CreateActivity { "POST" } else { "PATCH" };
        refuse_writes(&test, route, 4);
        test.send(&test.app, method, &body).await;
        for hours in [1, 71, 72, 200] {
            test.pass(hours * 3_600_000);
            refuse_writes(&test, route, 4);
            let report = test.redrive().await;
            assert_eq!((report.due, report.failed), (1, 1), "{route:?} after {hours} hours more");
        }
        test.crm.forget_faults();
        test.pass(5_000);
        assert_eq!(test.redrive().await.delivered, 1, "{route:?}");
    }
}

/// Queues conflicts for the next writes of a kind. Reads succeed.
fn refuse_writes(test: &TestApp, route: Route, count: usize) {
    test.crm.forget_faults();
    for _ in 0..count {
        test.crm.next(route, CONFLICT);
    }
}
