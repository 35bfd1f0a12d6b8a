//! The functions as they are deployed: behind an HTTP API that has the routes and limits of `template.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use call_log::{api::all_routes, startup::transport};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    http_api::{HttpApi, Template, Throttle},
    pipedrive::{API_KEY, FakePipedrive, Route},
    proxy::Fault,
    test_app::{create_table, environment},
};
use tokio::task::JoinSet;

/// A deployment with its table and CRM, and a browser that keeps cookies.
struct Deployment {
    api: HttpApi,
    crm: FakePipedrive,
    _dynamodb: DynamoDb,
    cookies: BTreeMap<String, String>,
}

/// A response: its status, its headers, and its body.
struct Shown {
    status: u16,
    location: String,
    text: String,
}

impl Deployment {
    async fn start(template: Template, stage: Option<&'static str>) -> Deployment {
        let (dynamodb, crm) = (DynamoDb::start(), FakePipedrive::start());
        let variables = environment(&dynamodb, &crm, &[("ALLOWED_TENANTS", "*")]);
        create_table(&variables).await;
        let api = HttpApi::with(template, stage, |_| variables);
        Deployment { api, crm, _dynamodb: dynamodb, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: &str, path: &str, form: &str) -> Shown {
        let method = method.parse().unwrap();
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = transport::client().unwrap().request(method, format!("{}{path}", self.api.url));
        let request = request.header("cookie", cookies.join("; "));
        let request = match form {
            "" => request,
            _ => request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned()),
        };
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        Shown {
            status: response.status().as_u16(),
            location: location.unwrap_or_default(),
            text: response.text().await.unwrap(),
        }
    }

    async fn get(&mut self, path: &str) -> Shown {
        self.send("GET", path, "").await
    }
}

#[test]
fn the_template_has_every_route_once() {
    let template = Template::read();
    let deployed: Vec<_> = template.functions.iter().flat_map(|function| function.routes.clone()).collect();
    let distinct: BTreeSet<_> = deployed.iter().cloned().collect();
    assert_eq!(deployed.len(), distinct.len(), "{deployed:?}");
    // A landing page is one route of ours and a path for each CRM.
    let own = all_routes().into_iter().map(|route| (route.method, route.path));
    for (method, path) in own {
        let is_own = |key: &&String| {
            let (of, at) = key.split_once(' ').unwrap();
            of == method && (at == path || path == "-redirect" && at.ends_with(path))
        };
        assert!(distinct.iter().any(|key| is_own(&key)), "{method} {path}");
    }
    let limits: BTreeMap<_, _> = template
        .functions
        .iter()
        .map(|function| (function.binary.as_str(), (function.timeout_s, function.environments)))
        .collect();
    assert_eq!((limits["connect"], limits["create-call-log"]), ((10, 5), (25, 50)));
}

#[tokio::test]
async fn a_person_connects_at_the_address_that_api_gateway_knows() {
    let mut deployment = Deployment::start(Template::read(), Some("prod")).await;
    let domain = deployment.api.url.trim_start_matches("http://").to_owned();
    let manifest: Value = serde_json::from_str(&deployment.get("/crmManifest").await.text).unwrap();
    assert_eq!(manifest["serverUrl"], format!("https://{domain}"));
    let page = deployment.get("/connect").await;
    assert_eq!(page.status, 200);
    let (_, form) = page.text.rsplit_once("Pipedrive").unwrap();
    let state = form.split_once("name=\"state\" value=\"").unwrap().1.split('"').next().unwrap();
    let connected = deployment.send("POST", "/connect/key", &format!("state={state}&apiKey={API_KEY}")).await;
    assert_eq!((connected.status, connected.location), (303, format!("https://{domain}/connect/result")));
    let result = deployment.get("/connect/result").await.text;
    assert!(result.contains("Connected to Pipedrive as Ada Agent (Acme)."), "{result}");
}

#[tokio::test]
async fn what_the_template_lacks_or_limits_does_not_reach_a_function() {
    let mut template = Template::read();
    template.throttles.insert("GET /isAlive".to_owned(), Throttle { rate: 0.001, burst: 2.0 });
    let function = template.functions.iter_mut().find(|function| function.binary == "connect").unwrap();
    function.environments = 1;
    let mut deployment = Deployment::start(template, None).await;
    for (method, path) in [("GET", "/nothing"), ("DELETE", "/callLog"), ("GET", "/prod/callLog")] {
        let response = deployment.send(method, path, "").await;
        assert_eq!(
            (response.status, &*response.text),
            (404, "{\"message\":\"Not Found\"}"),
            "{method} {path}"
        );
    }
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(deployment.get("/isAlive").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);

    // The only environment waits for the CRM.
    deployment.crm.next(Route::CurrentUser, Fault::Delay(std::time::Duration::from_secs(2)));
    let url = deployment.api.url.clone();
    let mut login = JoinSet::new();
    login.spawn(async move {
        let body = json!({"apiKey": API_KEY, "platform": "pipedrive"}).to_string();
        let request = transport::client().unwrap().post(format!("{url}/apiKeyLogin"));
        request.header("content-type", "application/json").body(body).send().await.unwrap().status().as_u16()
    });
    while deployment.crm.count(Route::CurrentUser) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(deployment.get("/serverVersionInfo").await.status, 503);
    assert_eq!(deployment.get("/callLog?sessionIds=1").await.status, 401, "another function");
    assert_eq!(login.join_next().await.unwrap().unwrap(), 200);
    assert_eq!(deployment.get("/serverVersionInfo").await.status, 200);
    assert_eq!(deployment.api.environments("connect"), 1);
}
