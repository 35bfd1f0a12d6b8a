//! The pages on which people connect a CRM account without the extension, and the page to which a CRM sends people.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use call_log::startup::app::App;
use tests::{
    pipedrive::{API_KEY, Route},
    test_app::{INVOCATION_MS, Response, TestApp, URL, handle},
};

/// A browser at a server: it keeps cookies, and follows redirects to the server.
struct Browser {
    test: TestApp,
    app: Arc<App>,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    async fn start() -> Browser {
        let test = TestApp::start().await;
        test.app.store.remove_user(&test.user.key()).await.unwrap();
        let variables = [
            ("ALLOWED_TENANTS", "*"),
            ("PIPEDRIVE_CLIENT_ID", "our id"),
            ("PIPEDRIVE_CLIENT_SECRET", "our-secret"),
        ];
        let app = test.app_with(&variables).await.unwrap();
        Browser { test, app, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: &str, url: &str, body: String) -> Response {
        let path = url.strip_prefix(URL).unwrap_or(url);
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = http::Request::builder().method(method).uri(path).header("cookie", cookies.join("; "));
        let response = handle(&self.app, request.body(Bytes::from(body)).unwrap(), INVOCATION_MS).await;
        for cookie in response.headers.get("set-cookie").into_iter().flat_map(|lines| lines.lines()) {
            assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            if attributes.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    async fn open(&mut self, url: &str) -> Response {
        self.send("GET", url, String::new()).await
    }

    /// Returns the text of the result to which a response leads.
    async fn result(&mut self, response: &Response) -> String {
        assert_eq!(response.status, 303, "{response:?}");
        let location = &response.headers["location"];
        assert_eq!(*location, format!("{URL}/connect/result"), "no secret is in the address");
        let page = self.open(location).await;
        let text = page.body.as_str().unwrap().to_owned();
        let (_, rest) = text.split_once("<p class=\"result").unwrap();
        rest.split_once('>').unwrap().1.split_once("</p>").unwrap().0.to_owned()
    }

    /// Starts a flow, and returns the address of the page of the CRM as its parameters.
    async fn start_flow(&mut self) -> BTreeMap<String, String> {
        let response = self.open("/connect/start?crm=pipedrive").await;
        assert_eq!(response.status, 303);
        let location = &response.headers["location"];
        let (page, query) = location.split_once('?').unwrap();
        assert_eq!(page, format!("{}/oauth/authorize", self.test.crm.base_url()));
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    async fn is_connected(&self) -> bool {
        self.app.store.user(&self.test.user.key()).await.unwrap().is_some()
    }
}

fn text(response: &Response) -> &str {
    response.body.as_str().unwrap_or_else(|| panic!("no text: {response:?}"))
}

fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

/// Returns the rest of the page `/connect` from the CRM of these tests on.
fn section(page: &Response) -> &str {
    text(page).split_once("<h2>Pipedrive</h2>").unwrap().1
}

const GREETING: &str = "Connected to Pipedrive as Ada Agent (Acme).";
const FOREIGN: &str = "This sign-in began in another browser, or it took too long. Start again.";

#[tokio::test]
async fn a_page_loads_nothing_and_runs_nothing() {
    let mut browser = Browser::start().await;
    for path in ["/connect", "/connect/result", "/pipedrive-redirect", "/pipedrive-redirect?code=x"] {
        let response = browser.open(path).await;
        assert_eq!(response.status, 200, "{path}");
        let policy = &response.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.ends_with("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"), "{policy}");
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.headers[name], value, "{path}");
        }
        let page = text(&response);
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("style="), "{page}");
    }
}

#[tokio::test]
async fn a_person_signs_in_at_the_crm() {
    let mut browser = Browser::start().await;
    let page = browser.open("/connect").await;
    assert!(
        text(&page).contains(&format!("<a class=\"button\" href=\"{URL}/connect/start?crm=pipedrive\">"))
    );
    let asked = browser.start_flow().await;
    let expected = [
        ("client_id", "our id"),
        ("redirect_uri", "https://calls.example.com/pipedrive-redirect"),
        ("response_type", "code"),
        ("state", &asked["state"]),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(asked, expected);
    let code = browser.test.crm.issue_code();
    let landing = format!("/pipedrive-redirect?code={code}&state={}", asked["state"]);
    let landed = browser.open(&landing).await;
    assert_eq!(browser.result(&landed).await, GREETING);
    assert!(browser.is_connected().await);
    assert_eq!(browser.test.crm.redirects(), [format!("{URL}/pipedrive-redirect")]);
    // The flow is over.
    let again = browser.open(&landing).await;
    assert_eq!(browser.result(&again).await, FOREIGN);
    assert_eq!(browser.test.crm.count(Route::Token), 1);
}

#[tokio::test]
async fn a_flow_is_finished_only_by_the_browser_that_began_it() {
    let mut browser = Browser::start().await;
    let state = browser.start_flow().await["state"].clone();
    let own_cookie = browser.cookies.clone();
    let landing = format!("/pipedrive-redirect?code={}&state={state}", browser.test.crm.issue_code());

    // The victim of a forged link has no cookie, or one of another flow.
    browser.cookies.clear();
    let landed = browser.open(&landing).await;
    assert_eq!(browser.result(&landed).await, FOREIGN);
    browser.start_flow().await;
    let landed = browser.open(&landing).await;
    assert_eq!(browser.result(&landed).await, FOREIGN);
    // After ten minutes the state has ended, and is left to the extension like any other.
    browser.cookies = own_cookie;
    browser.test.pass(600_000);
    assert!(text(&browser.open(&landing).await).contains("rc-stepper"));
    assert!(!browser.is_connected().await);
    assert_eq!(browser.test.crm.count(Route::Token), 0);
}

#[tokio::test]
async fn a_person_who_does_not_grant_access_is_told_so() {
    let mut browser = Browser::start().await;
    let state = browser.start_flow().await["state"].clone();
    let landed = browser.open(&format!("/pipedrive-redirect?error=access_denied&state={state}")).await;
    let expected = "Pipedrive refused the sign-in. Press Connect again.";
    assert_eq!(browser.result(&landed).await, expected);
    let page = browser.open("/pipedrive-redirect?error=access_denied&error_description=%3Cb%3E").await;
    assert!(text(&page).contains("Pipedrive did not grant access. Sign in to log"), "{page:?}");
    assert!(!text(&page).contains("<b>"), "{page:?}");
}

#[tokio::test]
async fn a_person_connects_with_a_key() {
    let mut browser = Browser::start().await;
    let page = browser.open("/connect").await;
    let state = field(section(&page), "state").to_owned();
    let form = |state: &str, key: &str| {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("state", state), ("apiKey", key)])
            .finish()
    };
    let wrong = browser.send("POST", "/connect/key", form(&state, "<wrong>")).await;
    let refused = "Pipedrive refused the key. Copy it from Pipedrive again.";
    assert_eq!(browser.result(&wrong).await, refused);
    // The flow has ended; a new page begins another one.
    let late = browser.send("POST", "/connect/key", form(&state, API_KEY)).await;
    assert_eq!(browser.result(&late).await, FOREIGN);
    assert!(!browser.is_connected().await);
    let page = browser.open("/connect").await;
    let state = field(section(&page), "state").to_owned();
    let sent = browser.send("POST", "/connect/key", form(&state, API_KEY)).await;
    assert_eq!(browser.result(&sent).await, GREETING);

    for (body, message) in [
        (String::new(), "`state` is missing: start at /connect."),
        (form(&state, " "), "`apiKey` is missing: start at /connect."),
        (form("x", API_KEY), FOREIGN),
    ] {
        let response = browser.send("POST", "/connect/key", body).await;
        match response.status {
            303 => assert_eq!(browser.result(&response).await, message),
            status => assert_eq!((status, text(&response)), (400, message)),
        }
    }
}

#[tokio::test]
async fn the_landing_page_leaves_the_code_of_the_extension_alone() {
    let mut browser = Browser::start().await;
    let code = browser.test.crm.issue_code();
    for query in [format!("?code={code}"), format!("?code={code}&state=platform=pipedrive"), String::new()] {
        let page = browser.open(&format!("/pipedrive-redirect{query}")).await;
        assert!(text(&page).contains("<p id=\"rc-stepper\">"), "{page:?}");
        assert!(!text(&page).contains(&code), "{page:?}");
    }
    assert_eq!(browser.test.crm.count(Route::Token), 0);
    let page = browser.open("/pipedrive-redirect").await;
    let sign_in = format!(
        "{}/oauth/authorize?response_type=code&amp;client_id=our+id&amp;redirect_uri=https%3A%2F%2Fcalls.example.com%2Fpipedrive-redirect&amp;state=platform%3Dpipedrive",
        browser.test.crm.base_url()
    );
    assert!(text(&page).contains(&sign_in), "{page:?}");
    for path in ["/connect/own-redirect", "/evil-redirect"] {
        assert_eq!(browser.open(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn hostile_parameters_are_never_shown() {
    let mut browser = Browser::start().await;
    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E";
    for path in ["/connect", "/connect/start", "/connect/result", "/pipedrive-redirect"] {
        for name in ["crm", "state", "error", "error_description", "message", "redirect", "url", "code"] {
            let response = browser.open(&format!("{path}?{name}={hostile}")).await;
            assert!(!response.body.to_string().contains("alert(1)"), "{path} {name}: {response:?}");
            let location = response.headers.get("location");
            assert!(location.is_none_or(|location| !location.contains("alert")), "{location:?}");
        }
    }
    browser.cookies.insert("call-log-result".to_owned(), "<script>".to_owned());
    assert!(text(&browser.open("/connect/result").await).contains("There is no result"));
}
