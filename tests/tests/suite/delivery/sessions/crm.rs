//! A CRM whose API takes session tokens: its adapter, and a server that keeps to its rules.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Form, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use call_log::{
    adapters::{
        Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, ClientAuthentication,
        CompareAndSet, Crm, CrmRequest, Error, Fields, Finish, LimitScope, NewCallLog, NewContact, OAuth,
        Presentation, Recovery, Session, is_listed,
    },
    model::{CallLogId, Contact, Credentials, Secret, User},
    note::{Format, Limits},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tests::proxy::{Proxy, Target};

/// The name of the platform.
pub(in super::super) const PLATFORM: &str = "sessions";
/// The header with the session token.
pub(in super::super) const HEADER: &str = "x-session-token";
/// The exchange of a refresh token.
pub(in super::super) const TOKEN: Target = Target { method: "POST", path: "/token" };
/// The login with an access token.
pub(in super::super) const LOGIN: Target = Target { method: "POST", path: "/login" };
/// The create of a record.
pub(in super::super) const CREATE: Target = Target { method: "POST", path: "/calls" };

/// The adapter.
#[derive(Debug)]
pub(in super::super) struct SessionCrm;

#[async_trait]
impl Crm for SessionCrm {
    fn platform(&self) -> &'static str {
        PLATFORM
    }

    fn display_name(&self) -> &'static str {
        "Session CRM"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Plain,
            recovery: &[Recovery::None],
            compare_and_set: CompareAndSet::None,
            finish: Finish::None,
            limits: Limits::UNLIMITED,
            limit_scope: LimitScope::User,
            shows_edits: false,
        }
    }

    fn presentation(&self) -> Presentation {
        Presentation::default()
    }

    fn base_url(&self, user: &User) -> Option<String> {
        let host = user.account.api_host.as_deref().unwrap_or("api.crm.example");
        is_listed(host, &["api.crm.example", "*.crm#.example"]).then(|| format!("https://{host}/rest"))
    }

    fn authentication(&self, _: &Credentials) -> Authentication {
        Authentication::Header(HEADER)
    }

    fn oauth(&self, user: &User) -> Option<OAuth> {
        let host = user.account.login_host.as_deref().unwrap_or("login.crm.example");
        is_listed(host, &["login.crm.example", "*.login.crm.example"]).then(|| OAuth {
            authorize_url: format!("https://{host}/authorize"),
            token_url: format!("https://{host}/token"),
            revoke_url: Some(format!("https://{host}/revoke")),
            client_authentication: ClientAuthentication::Form,
            scopes: Vec::new(),
            has_pkce: false,
            extra: Vec::new(),
        })
    }

    /// Refuses as several CRMs do: with a code of its own, with a status in the JSON, and never for an address.
    fn is_grant_refused(&self, response: &Value) -> bool {
        let text = |name: &str| response.get(name).and_then(Value::as_str).unwrap_or_default();
        text("status") == "BAD_REFRESH_TOKEN"
            || text("error") == "invalid_code"
            || (text("error") == "invalid_grant" && text("error_description") != "ip restricted")
    }

    fn api_host(&self, token_response: &Value) -> Option<String> {
        token_response.get("instance_url")?.as_str().map(str::to_owned)
    }

    async fn open_session(
        &self,
        access: &Access<'_>,
        access_token: &Secret,
    ) -> Result<Option<Session>, Error> {
        let body = json!({ "accessToken": access_token.expose() });
        let response = access.send(CrmRequest::create("login", "/login", body)).await?;
        let session: Value = response.json()?;
        let text = |name: &str| session[name].as_str().map(str::to_owned);
        Ok(Some(Session {
            token: Secret::new(text("session").ok_or_else(|| response.malformed())?),
            expires_in: session["expiresIn"].as_u64(),
            api_host: text("host"),
        }))
    }

    fn fields(&self, _: &CallFacts) -> Fields {
        Fields::new()
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let request = CrmRequest::create("calls", "/calls", json!({ "title": log.subject }));
        let response = access.send(request).await?;
        let id = response.json::<Value>()?["id"].as_u64().ok_or_else(|| response.malformed())?;
        CallLogId::new(id.to_string()).ok_or_else(|| response.malformed())
    }

    async fn read_record(&self, _: &Access<'_>, _: &CallLogId) -> Result<CallLog, Error> {
        Ok(CallLog::default())
    }

    async fn update_record(&self, _: &Access<'_>, _: &CallLogId, _: &CallLogChange) -> Result<(), Error> {
        Ok(())
    }

    async fn find_records(
        &self,
        _: &Access<'_>,
        _: &NewCallLog,
        _: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        Ok(Vec::new())
    }

    async fn delete_record(&self, _: &Access<'_>, _: &CallLogId) -> Result<bool, Error> {
        Ok(false)
    }

    async fn find_contacts(&self, _: &Access<'_>, _: &str) -> Result<Vec<Contact>, Error> {
        Ok(Vec::new())
    }

    async fn create_contact(&self, _: &Access<'_>, _: &NewContact) -> Result<Contact, Error> {
        Err(Error::rejected("no contacts"))
    }
}

/// A running server behind a proxy. Each refresh token and each access token works once; a session works until it ends.
#[derive(Debug)]
pub(in super::super) struct FakeSessionCrm {
    pub(in super::super) proxy: Proxy,
    state: Arc<Mutex<Server>>,
}

/// The state of the server.
#[derive(Debug)]
struct Server {
    /// The number of the only refresh token that works: `refresh-<number>`.
    refresh: u64,
    /// The only access token that works, once.
    access: Option<String>,
    /// The session tokens that work.
    sessions: BTreeSet<String>,
    /// The number of the last session: `session-<number>`.
    last_session: u64,
    /// The lifetime of sessions, in seconds.
    expires_in: Option<u64>,
    records: u64,
    /// The API host that responses of the token endpoint name.
    instance_url: Option<String>,
    /// The API host that responses to logins name.
    host: Option<String>,
    /// The headers of the requests with a record.
    headers: Vec<HeaderMap>,
    /// The headers of the logins.
    login_headers: Vec<HeaderMap>,
}

impl FakeSessionCrm {
    /// Starts a server that accepts `refresh-0` and this session token.
    pub(in super::super) fn start(session: &str) -> FakeSessionCrm {
        let state = Arc::new(Mutex::new(Server {
            refresh: 0,
            access: None,
            sessions: [session.to_owned()].into(),
            last_session: 1,
            expires_in: None,
            records: 0,
            instance_url: None,
            host: None,
            headers: Vec::new(),
            login_headers: Vec::new(),
        }));
        let router = Router::new()
            .route("/token", post(token))
            .route("/login", post(login))
            .route("/calls", post(create))
            .with_state(state.clone());
        FakeSessionCrm { proxy: Proxy::around(router), state }
    }

    /// Names these API hosts in responses of the token endpoint and to logins.
    pub(in super::super) fn name_hosts(&self, instance_url: Option<&str>, host: Option<&str>) {
        let mut server = lock(&self.state);
        server.instance_url = instance_url.map(str::to_owned);
        server.host = host.map(str::to_owned);
    }

    /// Ends all sessions.
    pub(in super::super) fn end_sessions(&self) {
        lock(&self.state).sessions.clear();
    }

    /// Sets the lifetime of sessions, in seconds.
    pub(in super::super) fn limit_sessions(&self, expires_in: u64) {
        lock(&self.state).expires_in = Some(expires_in);
    }

    /// Returns the count of records.
    pub(in super::super) fn records(&self) -> u64 {
        lock(&self.state).records
    }

    /// Returns the header of this name of each request with a record.
    pub(in super::super) fn sent(&self, name: &str) -> Vec<Option<String>> {
        lock(&self.state).headers.iter().map(|headers| header(headers, name)).collect()
    }

    /// Returns the header of this name of each login.
    pub(in super::super) fn sent_to_log_in(&self, name: &str) -> Vec<Option<String>> {
        lock(&self.state).login_headers.iter().map(|headers| header(headers, name)).collect()
    }
}

type Shared = State<Arc<Mutex<Server>>>;
type Reply = (StatusCode, Json<Value>);

fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
}

fn refused(status: StatusCode, code: &str) -> Reply {
    (status, Json(json!({ "error": code })))
}

async fn token(State(server): Shared, Form(form): Form<Vec<(String, String)>>) -> Reply {
    let mut server = lock(&server);
    let sent = form.iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.as_str());
    if sent != Some(&format!("refresh-{}", server.refresh)) {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    server.refresh += 1;
    let access = format!("access-{}", server.refresh);
    server.access = Some(access.clone());
    let mut granted =
        json!({ "access_token": access, "refresh_token": format!("refresh-{}", server.refresh) });
    if let Some(url) = &server.instance_url {
        granted["instance_url"] = json!(url);
    }
    (StatusCode::OK, Json(granted))
}

async fn login(State(server): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    let mut server = lock(&server);
    server.login_headers.push(headers);
    let access = server.access.take();
    if access.is_none() || body["accessToken"].as_str() != access.as_deref() {
        return refused(StatusCode::UNAUTHORIZED, "invalid_token");
    }
    server.last_session += 1;
    let session = format!("session-{}", server.last_session);
    server.sessions.insert(session.clone());
    let opened = json!({ "session": session, "expiresIn": server.expires_in, "host": server.host });
    (StatusCode::OK, Json(opened))
}

async fn create(State(server): Shared, headers: HeaderMap) -> Reply {
    let mut server = lock(&server);
    let is_accepted = header(&headers, HEADER).is_some_and(|session| server.sessions.contains(&session));
    server.headers.push(headers);
    if !is_accepted {
        return refused(StatusCode::UNAUTHORIZED, "invalid_session");
    }
    server.records += 1;
    (StatusCode::CREATED, Json(json!({ "id": server.records })))
}
