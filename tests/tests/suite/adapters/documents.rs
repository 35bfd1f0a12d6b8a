//! The requests of adapters and the responses of fakes, compared with the machine-readable documents of the CRMs' APIs.
//!
//! The documents allow fields that they do not name, because a client may be older than the API. Here such a field is an
//! error: it would be misspelt. What the documents lack, or have otherwise than the CRM's pages, is listed in [`EXCEPTIONS`].

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use call_log::{
    adapters::{Access, Authorization, CallFacts, CallLogChange, NewCallLog, NewContact, Recovery},
    model::{CallDuration, CrmAccount, User},
};
use serde_json::{Value, json};
use tests::{
    fake_crm::FakeCrm,
    hubspot::{API_KEY, BOB, DEAL, FakeHubSpot, OWNER},
    proxy::Exchange,
};

use super::{
    body,
    connected::{Connected, START},
    print,
};

/// The documents of HubSpot.
const HUBSPOT: [&str; 6] = [
    "hubspot-calls-v3",
    "hubspot-contacts-v3",
    "hubspot-associations-v4",
    "hubspot-properties-v3",
    "hubspot-owners-v3",
    "hubspot-oauth-v1",
];

/// The parts that are not compared: the beginning of a path, the field (`*`: the whole request), and the reason.
const EXCEPTIONS: [(&str, &str, &str); 5] = [
    ("/account-info/v3/details", "*", "in no document that we may use"),
    ("/oauth/v2/private-apps/", "*", "in no document that we may use"),
    ("/crm/v3/objects/deals/batch/read", "*", "the documents have calls and contacts, which are alike"),
    ("/crm/", "status", "the pages of HubSpot show a status in each error"),
    ("/crm/", "properties", "a property without a value is null, where the document has only texts"),
];

/// A document, as far as it is used.
struct Document(Value);

/// An operation of a document that a request is.
struct Operation<'d> {
    document: &'d Document,
    description: &'d Value,
}

impl Document {
    /// Reads a document from the folder that the environment names, or else from the fixtures.
    #[expect(clippy::disallowed_methods, reason = "the environment names the folder")]
    fn read(name: &str) -> Document {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let named = env::var_os("CRM_SPECS_DIR").map(PathBuf::from);
        let folders =
            [named.unwrap_or_else(|| root.join("../shared/specs")), root.join("tests/fixtures/specs")];
        let file =
            folders.iter().map(|folder| folder.join(format!("{name}.json"))).find(|file| file.exists());
        let file = file.unwrap_or_else(|| panic!("{name}.json is in none of {folders:?}"));
        Document(serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let mut paths: Vec<_> = self.0["paths"].as_object()?.iter().collect();
        // A path without parameters takes precedence.
        paths.sort_by_key(|(template, _)| template.matches('{').count());
        let is_like = |template: &str| {
            let (mut steps, mut given) = (template.split('/'), path.split('/'));
            steps.all(|step| given.next().is_some_and(|given| step.starts_with('{') || step == given))
                && given.next().is_none()
        };
        let (_, methods) = paths.into_iter().find(|(template, _)| is_like(template))?;
        let description = methods.get(method.to_lowercase())?;
        Some(Operation { document: self, description })
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(&reference[1..]).expect("a schema of the document"),
            None => schema,
        }
    }

    /// Adds what is wrong about a value. `place`: where it is.
    fn check(&self, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
        let schema = self.resolve(schema);
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            wrong.push(format!("{place}: {value} is none of {allowed:?}"));
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(fields)) => {
                for name in schema["required"].as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap();
                    if !fields.contains_key(name) {
                        wrong.push(format!("{place}.{name} is missing"));
                    }
                }
                for (name, value) in fields {
                    let place = format!("{place}.{name}");
                    match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                        Some(schema) => self.check(schema, value, &place, wrong),
                        None => wrong.push(format!("{place} is not in the document")),
                    }
                }
            }
            (Some("array"), Value::Array(elements)) => {
                elements
                    .iter()
                    .for_each(|element| self.check(&schema["items"], element, &format!("{place}[]"), wrong));
            }
            (Some("string"), Value::String(text)) => {
                let is_time = schema["format"] == "date-time";
                if is_time && chrono::DateTime::parse_from_rfc3339(text).is_err() {
                    wrong.push(format!("{place}: {text} is no time"));
                }
            }
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {}
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
            (kind, value) => wrong.push(format!("{place}: {value} is no {kind:?}")),
        }
    }
}

impl Operation<'_> {
    /// Returns what is wrong about a request.
    fn check_request(&self, request: &Exchange) -> Vec<String> {
        let mut wrong = Vec::new();
        let parameters = self.description["parameters"].as_array().cloned().unwrap_or_default();
        let known: BTreeSet<_> =
            parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
        for (name, _) in form_urlencoded::parse(request.query.as_bytes()) {
            if !known.contains(&*name) {
                wrong.push(format!("the parameter {name} is not in the document"));
            }
        }
        match self.description["requestBody"]["content"].as_object() {
            None if request.body.is_empty() => {}
            None => wrong.push("the document has no body".to_owned()),
            Some(kinds) => {
                let kind = request.header("content-type").unwrap_or_default();
                let sent = match kind {
                    "application/json" => request.json().unwrap(),
                    _ => form_urlencoded::parse(request.body.as_bytes())
                        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
                        .collect(),
                };
                match kinds.get(kind) {
                    Some(content) => self.document.check(&content["schema"], &sent, "body", &mut wrong),
                    None => wrong.push(format!("the document has no body of the kind {kind}")),
                }
            }
        }
        wrong
    }

    /// Returns what is wrong about a response with this status. `None`: it has no body.
    fn check_response(&self, status: u16, response: Option<&Value>) -> Vec<String> {
        let responses = &self.description["responses"];
        let is_error = status >= 400;
        let described =
            responses.get(status.to_string()).or_else(|| responses.get("default").filter(|_| is_error));
        let Some(described) = described else {
            return vec![format!("the status {status} is not in the document")];
        };
        let mut wrong = Vec::new();
        match (described["content"].get("application/json"), response) {
            (Some(content), Some(response)) => {
                self.document.check(&content["schema"], response, "response", &mut wrong);
            }
            (None, None) => {}
            (described, _) => wrong.push(format!("a body is described: {}", described.is_some())),
        }
        wrong
    }
}

/// Returns the reason why something about a path is not compared.
fn exception(path: &str, wrong: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let has_field = |field: &str| field == "*" || wrong.contains(&format!(".{field}"));
    EXCEPTIONS.iter().find(|(start, field, _)| path.starts_with(start) && has_field(field))
}

/// The documents in the order in which they are searched, the exceptions that were needed, and what is wrong.
struct Comparison {
    documents: Vec<Document>,
    used: BTreeMap<(&'static str, &'static str), &'static str>,
    compared: usize,
    wrong: BTreeSet<String>,
}

impl Comparison {
    /// Compares a request, sends it once more, and compares the response.
    async fn compare(&mut self, request: &Exchange, base_url: &str, http: &reqwest::Client) {
        let path = request.path.as_str();
        // The dated path takes the parameters of v1 (guide "OAuth tokens").
        let documented = path.replace("/oauth/2026-03/", "/oauth/v1/");
        let operation =
            self.documents.iter().find_map(|document| document.operation(&request.method, &documented));
        let Some(operation) = operation else {
            match exception(path, "") {
                Some((start, field, reason)) => _ = self.used.insert((start, field), reason),
                None => _ = self.wrong.insert(format!("{} {path} is in no document", request.method)),
            }
            return;
        };
        let mut wrong = operation.check_request(request);
        let url = format!("{base_url}{path}?{}", request.query);
        let mut again = http.request(request.method.parse().unwrap(), url.trim_end_matches('?'));
        if let Some(kind) = request.header("content-type") {
            again = again.header("content-type", kind);
        }
        if !path.starts_with("/oauth/2026-03") {
            again = again.bearer_auth(API_KEY);
        }
        let response = again.body(request.body.clone()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        let response: Option<Value> = (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap());
        wrong.extend(operation.check_response(status, response.as_ref()));
        self.compared += 1;
        for wrong in wrong {
            match exception(path, &wrong) {
                Some((start, field, reason)) => _ = self.used.insert((start, field), reason),
                None => _ = self.wrong.insert(format!("{} {path} {status}: {wrong}", request.method)),
            }
        }
    }
}

/// Sends every request that the adapter of HubSpot has, also some that are refused.
async fn send_every_request(connected: &Connected<FakeHubSpot>) {
    let (crm, access) = (connected.crm, connected.access());
    for credentials in connected.fake.credentials() {
        let access = Access { authorization: Authorization::Stored(credentials), ..connected.access() };
        crm.identify(&access).await.unwrap();
    }
    let new =
        NewContact { name: "Ada Agent".to_owned(), phone_number: "+12135550177".to_owned(), kind: None };
    crm.create_contact(&access, &new).await.unwrap();
    crm.find_contacts(&access, "+12135550111").await.unwrap();
    crm.find_contacts_by_name(&access, "Bob").await.unwrap();
    crm.choices(&access, &connected.fake.contacts()[0]).await.unwrap();
    connected.fake.refuse_keys(true);
    crm.set_up(&access).await.unwrap();
    let form = json!({ "deals": DEAL }).as_object().unwrap().clone();
    let facts = CallFacts {
        duration: Some(CallDuration::Seconds(3)),
        recording: Some("https://media.example/7.mp3".to_owned()),
        ..connected.log(START).facts
    };
    for recovery in crm.capabilities().recovery {
        let owner = Some(OWNER.to_string());
        let log = connected.log(START);
        let log =
            NewCallLog { recovery: *recovery, additional: form.clone(), facts: facts.clone(), owner, ..log };
        let id = connected.create(&log).await;
        connected.find(&log).await;
        connected.read(&id).await;
        let change = CallLogChange {
            choices: form.clone(),
            replaced: json!({ "deals": 7 }).as_object().unwrap().clone(),
            fields: crm.fields(&log.facts),
            ..body("x")
        };
        crm.update_record(&access, &id, &change).await.unwrap();
        if *recovery == Recovery::ByKey {
            crm.create_record(&access, &log).await.unwrap_err();
        }
        let log = NewCallLog { contact: Some(connected.contact("999")), tag: connected.new_tag(), ..log };
        crm.create_record(&access, &log).await.unwrap_err();
    }
    connected.fake.merge(BOB, BOB + 1);
    connected.create(&connected.log(START)).await;
}

#[tokio::test]
async fn the_requests_and_responses_of_hubspot_are_those_of_its_documents() {
    let fake = FakeHubSpot::start();
    let connected = Connected::new(Box::new(fake));
    let account = CrmAccount { owner_id: Some(OWNER.to_string()), ..connected.user.account.clone() };
    let connected = Connected { user: User { account, ..connected.user.clone() }, ..connected };
    send_every_request(&connected).await;
    let requests = connected.proxy().exchanges();
    let mut comparison = Comparison {
        documents: HUBSPOT.map(Document::read).into(),
        used: BTreeMap::new(),
        compared: 0,
        wrong: BTreeSet::new(),
    };
    let http = reqwest::Client::new();
    for request in &requests {
        comparison.compare(request, &connected.proxy().base_url(), &http).await;
    }
    let Comparison { used, compared, wrong, .. } = comparison;
    let exceptions: String =
        used.iter().map(|((path, field), reason)| format!("  {path} {field}: {reason}\n")).collect();
    print(&format!(
        "\n{compared} requests of hubspot were compared with documents. Exceptions:\n{exceptions}"
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared >= 30, "{compared} requests");
    assert_eq!(used.len(), EXCEPTIONS.len(), "an exception is not needed");
}
