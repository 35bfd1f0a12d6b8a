//! What a request costs when all goes well.

use super::*;

#[tokio::test]
async fn the_happy_paths_take_three_operations_and_a_repetition_two() {
    let world = TestApp::start().await;
    let (app, dynamodb) = world.proxied_app().await;
    let mut seen = (0, 0);
    for (method, body, message, operations, requests) in [
        ("PATCH", update(json!({"aiNote": "Bob asked"})), PARKED, 3, 0),
        // The person's organisation, the type that calls have, the call.
        ("POST", call(SESSION), LOGGED, 3, 3),
        ("POST", call(SESSION), ALREADY, 2, 0),
        // Reading and changing.
        ("PATCH", update(json!({"result": "Voicemail"})), UPDATED, 3, 2),
        ("PATCH", update(json!({"result": "Voicemail"})), UPDATED, 3, 1),
        ("POST", call("4503991005"), LOGGED, 3, 2),
    ] {
        check(&world.send(&app, method, &body).await, message, method);
        let now = (dynamodb.count(DYNAMODB), world.crm.requests().len());
        assert_eq!((now.0 - seen.0, now.1 - seen.1), (operations, requests), "{method} {message}");
        seen = now;
    }
}
