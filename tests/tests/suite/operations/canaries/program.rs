//! `call-log serve` at each verbosity.

use super::*;
use crate::program::shell::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_reveals_no_secret_or_personal_data_at_any_verbosity() {
    for verbosity in [&[][..], &["-v"], &["-vv"]] {
        let mut shell = Shell::new();
        shell.set("JWT_SECRET", TOKEN_SECRET);
        shell.set("HASH_KEY", HASH_KEY);
        let server = shell.serve(verbosity);
        let http = call_log::startup::transport::client().unwrap();
        let (url, token) = (server.url().to_owned(), server.token().to_owned());
        let send = async |method: &str, token: &str, body: String| {
            let request = http.request(method.parse().unwrap(), format!("{url}/callLog?jwtToken={token}"));
            let response =
                request.header("content-type", "application/json").body(body).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        let known = |body: Value| with(body, json!({"contactId": "c-2"}));
        let mut responses = Vec::new();
        for (method, body) in [
            ("PATCH", update("1")),
            ("POST", known(create("1"))),
            ("POST", known(create("1"))),
            ("PATCH", update("1")),
            ("POST", with(create("2"), json!({"contactId": "unknown"}))),
            ("POST", with_header(known(create("3")))),
            ("PATCH", with_header(update("1"))),
        ] {
            responses.push(send(method, &token, body.to_string()).await);
        }
        assert!(responses.iter().all(|(status, _)| *status == 200), "{responses:?}");
        for (method, token, body) in [
            ("POST", format!("{token}x"), create("4").to_string()),
            ("PATCH", token.replace('.', ""), update("4").to_string()),
            ("POST", token.clone(), create("4").to_string()[..200].to_owned()),
            ("PATCH", token.clone(), json!({"sessionId": [NOTE], "note": NUMBER}).to_string()),
            ("DELETE", token.clone(), NOTE.to_owned()),
        ] {
            let (status, text) = send(method, &token, body).await;
            assert!(status >= 400, "{method} {status}");
            check_absent("an error response", &text, &PERSONAL);
            assert!(!text.contains(&token));
            responses.push((status, text));
        }
        for (_, text) in &responses {
            check_absent("a response", text, &SECRETS);
        }
        let log = server.interrupt().error;
        assert!(log.contains("outcome=\"Failed\""), "{verbosity:?}: {log}");
        check_absent("standard error", &log, &SECRETS);
        check_absent("standard error", &log, &PERSONAL);
        assert!(!log.contains(&token), "{verbosity:?}: the token is in the log");
    }
}
