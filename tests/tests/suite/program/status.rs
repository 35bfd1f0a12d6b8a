//! `call-log status`, and `call-log redrive --since`.

use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::Fault,
    test_app::{TestApp, call},
};

use super::shell::Shell;

/// 2025-03-12T15:45:30Z, the tests' clock.
const BEFORE: &str = "2025-03-12T15:00:00Z";

fn status(shell: &Shell) -> Value {
    serde_json::from_str(&shell.run(&["status", "--json"]).out()).unwrap()
}

/// Replaces what depends on the clock of this machine, which the program uses.
fn timeless(text: &str) -> String {
    let lines =
        text.lines().map(|line| match (line.split_once(" for a CRM"), line.split_once(", next try")) {
            (Some((calls, _)), _) => format!("{calls} for a CRM, the oldest for SOME TIME."),
            (_, Some((queue, _))) => format!("{queue}, next try AT A TIME"),
            _ => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn it_shows_what_waits_and_what_was_given_up() {
    let test = TestApp::start().await;
    let shell = Shell::with_table(&test.dynamodb);
    let nothing = "No call waits for a CRM.\nNo call was given up.\n";
    assert_eq!(shell.run(&["status"]).out(), nothing);

    test.post(&call("1")).await;
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    test.post(&call("2")).await;
    test.crm.forget_faults();
    test.crm.always(Route::CreateActivity, Fault::RateLimited { retry_after: None });
    test.post(&call("3")).await;
    insta::assert_snapshot!(timeless(&shell.run(&["status"]).out()), @r"
    1 call waits for a CRM, the oldest for SOME TIME.
      pipedrive:3151823  1 waiting, next try AT A TIME
    1 call was given up:
      pipedrive:3151823  user 12345-pipedrive, session 2: rejected (status 422)
    `call-log redrive --since TIME` tries those again that were given up since then.
    ");
    let document = status(&shell);
    assert_eq!((&document["waiting"], &document["unreadable"]), (&json!(1), &json!(0)), "{document:#}");
    assert_eq!(document["queues"][0]["tenant"], document["givenUp"][0]["tenant"], "{document:#}");
    let dead = &document["givenUp"][0];
    assert_eq!((&dead["sessionId"], &dead["user"]), (&json!("2"), &json!("12345-pipedrive")), "{dead}");
    assert_eq!(dead["at"].as_str().map(|at| &at[..10]), Some("2025-03-12"), "{dead}");
}

#[tokio::test]
async fn what_was_given_up_since_a_time_is_tried_again() {
    let test = TestApp::start().await;
    let shell = Shell::with_table(&test.dynamodb);
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    for session in ["1", "2", "3"] {
        test.post(&call(session)).await;
    }
    let since = |time: &str| shell.run(&["redrive", "--since", time, "--json"]).out();
    let outcome = |found, rearmed| json!({"found": found, "rearmed": rearmed});
    let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(read(since("2025-03-13T00:00:00Z")), outcome(0, 0), "it was given up before");
    assert_eq!(read(since(BEFORE)), outcome(3, 3));
    assert_eq!(read(since(BEFORE)), outcome(0, 0), "they are due already");
    test.crm.forget_faults();
    // The program's clock is this machine's.
    test.pass(10 * 365 * 86_400_000);
    test.redrive_for(5).await;
    assert_eq!(test.crm.activities().len(), 3);
    assert_eq!(status(&shell)["givenUp"], json!([]));
    let wrong = shell.run(&["redrive", "--since", "yesterday"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.error.contains("invalid value 'yesterday' for '--since <TIME>'"), "{}", wrong.error);
}
