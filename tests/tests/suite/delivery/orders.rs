//! The order in which things become known does not matter.

use super::*;

/// What becomes known of a call, the call itself first.
fn facts() -> [Value; 6] {
    [
        Value::Null,
        json!({"recordingLink": "https://rec.example/1"}),
        json!({"note": "Call back on Friday\nat noon"}),
        json!({"duration": 130}),
        json!({"aiNote": "Bob asked for a quote"}),
        json!({"result": "Voicemail"}),
    ]
}

/// The permutation of that number.
fn permutation(mut number: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..6).collect();
    (1..=6)
        .rev()
        .map(|count| {
            let next = left.remove(number % count);
            number /= count;
            next
        })
        .collect()
}

#[tokio::test]
async fn every_order_ends_in_the_same_log() {
    let world = TestApp::start().await;
    let mut first = None;
    // Every seventeenth of the 720, in which each fact comes at each place.
    for number in (0..720).step_by(17) {
        let order = permutation(number);
        let session = format!("session-{number}");
        for index in &order {
            let mut body = facts()[*index].clone();
            let answer = if body.is_null() {
                world.post(&call(&session)).await
            } else {
                body["sessionId"] = json!(session);
                world.patch(&body).await
            };
            assert_eq!(answer.body["successful"], true, "{order:?}: {}", answer.body);
        }
        let mut log = world.crm.activities().pop().unwrap();
        log.as_object_mut().unwrap().shift_remove("id");
        let first = first.get_or_insert_with(|| log.clone());
        assert_eq!(log, *first, "{order:?}");
    }
}
