//! The order of a call and its updates has no influence on the record.

use super::*;

/// Returns the bodies of the updates; `null` stands for the call itself.
fn bodies() -> [Value; 6] {
    [
        Value::Null,
        json!({"recordingLink": "https://rec.example/1"}),
        json!({"note": "Call back on Friday\nat noon"}),
        json!({"duration": 130}),
        json!({"aiNote": "Bob asked for a quote"}),
        json!({"result": "Voicemail"}),
    ]
}

/// Returns the permutation with this number, from 0 to 719.
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
async fn every_order_of_a_call_and_its_updates_ends_in_the_same_log() {
    let test = TestApp::start().await;
    let mut first = None;
    // In every seventeenth of the 720 permutations, each body is at each position at least once.
    for number in (0..720).step_by(17) {
        let order = permutation(number);
        let session = format!("session-{number}");
        for index in &order {
            let mut body = bodies()[*index].clone();
            let response = if body.is_null() {
                test.post(&call(&session)).await
            } else {
                body["sessionId"] = json!(session);
                test.patch(&body).await
            };
            assert_eq!(response.body["successful"], true, "{order:?}: {}", response.body);
        }
        let mut activity = test.crm.activities().pop().unwrap();
        activity.as_object_mut().unwrap().shift_remove("id");
        let first = first.get_or_insert_with(|| activity.clone());
        assert_eq!(activity, *first, "{order:?}");
    }
}
