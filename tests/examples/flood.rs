//! Measures what a flood of slow logins does to the functions that log calls: `cargo run --release -p tests --example flood`.
//!
//! The functions run behind the emulated HTTP API, with the limits of `template.yaml` on their environments and, so that the
//! flood is at its worst, without its throttles. The CRM takes two seconds for each login. The latency of `GET /callLog` is
//! measured in turns without and with the flood, in one run, so that the two can be compared on any machine.

#![allow(clippy::print_stdout, reason = "this program prints a report")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use call_log::startup::transport;
use serde_json::json;
use tests::{
    dynamodb::DynamoDb,
    http_api::{HttpApi, Template, Throttle},
    pipedrive::{API_KEY, FakePipedrive, Route},
    proxy::Fault,
    test_app::{api_key, app_of, create_table, environment, user},
};
use tokio::task::JoinSet;

/// Requests that are measured in each turn.
const REQUESTS: usize = 200;
/// Turns without and with the flood.
const TURNS: usize = 5;
/// Logins that are sent at the same time.
const LOGINS: usize = 40;
/// The pause of a sender whose login was refused at once. The emulator shares the processors of this machine with the functions.
const PAUSE: Duration = Duration::from_secs(1);
/// The time that the CRM takes for a login.
const LOGIN_TIME: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let (dynamodb, crm) = (DynamoDb::start(), FakePipedrive::start());
    let variables = environment(&dynamodb, &crm, &[("ALLOWED_TENANTS", "*")]);
    create_table(&variables).await;
    let app = app_of(&variables).await;
    let user = user("12345-pipedrive", Some(api_key(API_KEY)));
    app.store.put_user(&user).await.expect("the user can be stored");
    let token = app.issue_token(&user, 1);
    let mut template = Template::read();
    template.throttles.clear();
    template.default_throttle = Throttle { rate: 1e6, burst: 1e6 };
    let limit = template.functions.iter().find(|function| function.binary == "connect");
    let limit = limit.map_or(0, |function| function.environments);
    let api = HttpApi::with(template, None, |_| variables);
    for _ in 0..10_000 {
        crm.next(Route::CurrentUser, Fault::Delay(LOGIN_TIME));
    }

    let client = transport::client().expect("a client");
    let address = format!("{}/callLog?jwtToken={token}&sessionIds=1,2,3,4,5,6,7,8,9,10", api.url);
    let measure = async || {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let start = Instant::now();
            let response = client.get(&address).send().await.expect("a response");
            assert_eq!(response.status().as_u16(), 200);
            times.push(start.elapsed());
        }
        times
    };
    measure().await;
    let (mut calm, mut flooded) = (Vec::new(), Vec::new());
    let (refused, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..TURNS {
        calm.extend(measure().await);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut logins = JoinSet::new();
        for _ in 0..LOGINS {
            let (is_over, refused, sent) = (is_over.clone(), refused.clone(), sent.clone());
            logins.spawn(log_in_until(is_over, format!("{}/apiKeyLogin", api.url), sent, refused));
        }
        while api.running("connect") < limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        flooded.extend(measure().await);
        is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = logins.join_next().await {
            ended.expect("a login ends");
        }
    }
    let shown = |times: &mut Vec<Duration>| {
        times.sort();
        [50, 99].map(|percent| times[times.len() * percent / 100].as_secs_f64() * 1e3)
    };
    let ([calm_50, calm_99], [flooded_50, flooded_99]) = (shown(&mut calm), shown(&mut flooded));
    println!("GET /callLog with 10 sessions, {} requests of each kind\n", TURNS * REQUESTS);
    println!("              median      p99");
    println!("calm       {calm_50:6.2} ms {calm_99:6.2} ms");
    println!("flooded    {flooded_50:6.2} ms {flooded_99:6.2} ms");
    println!("ratio      {:6.2}    {:6.2}", flooded_50 / calm_50, flooded_99 / calm_99);
    println!(
        "\n{} logins were sent, {} of them refused because all {} environments of `connect` were busy; GET /callLog used {}.",
        sent.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst),
        api.environments("connect"),
        api.environments("extension-api"),
    );
}

/// Sends logins one after another, with a pause after one that was refused at once.
async fn log_in_until(
    is_over: Arc<AtomicBool>,
    address: String,
    sent: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
) {
    let client = transport::client().expect("a client");
    let body = json!({"apiKey": API_KEY, "platform": "pipedrive"}).to_string();
    while !is_over.load(Ordering::SeqCst) {
        let request = client.post(&address).header("content-type", "application/json").body(body.clone());
        let status = request.send().await.map_or(0, |response| response.status().as_u16());
        sent.fetch_add(1, Ordering::SeqCst);
        if status != 200 {
            refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
