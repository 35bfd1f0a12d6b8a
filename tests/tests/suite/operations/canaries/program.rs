//! `call-log serve` at its most talkative.

use super::*;
use crate::program::shell::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_tells_nothing_on_the_way() {
    for verbosity in [&[][..], &["-v"], &["-vv"]] {
        let mut shell = Shell::new();
        shell.set("JWT_SECRET", TOKEN_SECRET);
        let server = shell.serve(verbosity);
        let http = call_log::startup::transport::client().unwrap();
        let (url, token) = (server.url().to_owned(), server.token().to_owned());
        let send = async |method: &str, token: &str, body: String| {
            let request = http.request(method.parse().unwrap(), format!("{url}/callLog?jwtToken={token}"));
            let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let known = |body: Value| with(body, json!({"contactId": "c-2"}));
        let mut answers = Vec::new();
        for (method, body) in [
            ("PATCH", update("1")),
            ("POST", known(create("1"))),
            ("POST", known(create("1"))),
            ("PATCH", update("1")),
            ("POST", with(create("2"), json!({"contactId": "nobody"}))),
            ("POST", with_header(known(create("3")))),
            ("PATCH", with_header(update("1"))),
        ] {
            answers.push(send(method, &token, body.to_string()).await);
        }
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        for (method, token, body) in [
            ("POST", format!("{token}x"), create("4").to_string()),
            ("PATCH", token.replace('.', ""), update("4").to_string()),
            ("POST", token.clone(), create("4").to_string()[..200].to_owned()),
            ("PATCH", token.clone(), json!({"sessionId": [NOTE], "note": NUMBER}).to_string()),
            ("DELETE", token.clone(), NOTE.to_owned()),
        ] {
            let (status, text) = send(method, &token, body).await;
            assert!(status >= 400, "{method} {status}");
            check_absent("a refusal", &text, &PERSONAL);
            assert!(!text.contains(&token));
            answers.push((status, text));
        }
        for (_, text) in &answers {
            check_absent("an answer", text, &SECRETS);
        }
        let said = server.interrupt().error;
        assert!(said.contains("outcome=\"Failed\""), "{verbosity:?}: {said}");
        check_absent("standard error", &said, &SECRETS);
        check_absent("standard error", &said, &PERSONAL);
        assert!(!said.contains(&token), "{verbosity:?}: the token is in the log");
    }
}
