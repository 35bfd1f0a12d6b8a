//! The protocol of creates and updates with every adapter: the whole app, with a table and a clock of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use call_log::{
    adapters::{CallLog, CallLogChange, CompareAndSet, ErrorKind},
    model::{
        CallLogId, Clock, Contact, Credentials, Deadline, OAuthClient, OAuthClientError, Secret,
        SecretReader, Settings, User,
    },
    startup::{app::App, config::Config},
    telemetry::Trace,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    fake_crm::OwnError,
    log::{Log, endings, values},
    proxy::Fault,
    test_app::{
        HASH_KEY, INVOCATION_MS, JWT_SECRET, REDRIVE_MS, Response, call, key_file, send, send_from_extension,
    },
};

use super::{
    connected::{Connected, Feature},
    each, each_recovery, each_with,
};

/// Processes whose only CRM is the connected one, with their table, and a connected user.
pub(super) struct Running<'c> {
    pub(super) connected: &'c Connected,
    dynamodb: DynamoDb,
    clock: Arc<AtomicI64>,
    user: User,
    app: App,
}

impl<'c> Running<'c> {
    /// Starts a process, with a user who is connected by an API key.
    pub(super) async fn start(connected: &'c Connected) -> Running<'c> {
        Running::with(connected, connected.fake.credentials().remove(0)).await
    }

    async fn with(connected: &'c Connected, credentials: Credentials) -> Running<'c> {
        // The CRM takes no call tag in a better way than the one to be tested.
        connected.fake.refuse_keys(connected.recovery != connected.crm.capabilities().recovery[0]);
        let dynamodb = DynamoDb::start();
        let clock = Arc::new(AtomicI64::new(Clock::System.now_ms()));
        let app = process(connected, &dynamodb, &clock).await;
        app.store.create_table().await.unwrap();
        let user =
            User { credentials: Some(credentials), settings: Settings::default(), ..connected.user.clone() };
        app.store.put_user(&user).await.unwrap();
        Running { connected, dynamodb, clock, user, app }
    }

    /// Replaces the process by a new one, which shares only the table and the CRM with it.
    pub(super) async fn restart(&mut self) {
        self.app = process(self.connected, &self.dynamodb, &self.clock).await;
    }

    pub(super) async fn request(&self, method: &str, body: &Value) -> Response {
        let token = self.app.issue_token(&self.user, 1);
        send(&self.app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
    }

    /// Logs the call of the tests.
    async fn post(&self) -> Response {
        let Contact { id, kind, .. } = &self.connected.fake.contacts()[0];
        let mut create = call("1");
        create["contactId"] = json!(id.as_str());
        create["contactType"] = json!(kind.as_deref().unwrap_or("contact"));
        self.request("POST", &create).await
    }

    /// Logs the call of the tests, and returns its record.
    pub(super) async fn log(&self) -> CallLogId {
        let created = self.post().await;
        assert_eq!(created.message(), "Call logged", "{}: {created:?}", self.connected.name());
        CallLogId::new(created.log_id().unwrap()).unwrap()
    }

    /// Adds these details to the call of the tests.
    pub(super) async fn patch(&self, details: &Value) {
        let mut update = json!({ "sessionId": "1" });
        update.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        let updated = self.request("PATCH", &update).await;
        assert_eq!(updated.message(), "Call log updated.", "{}: {updated:?}", self.connected.name());
    }

    /// Makes these choices for the call of the tests, as the form of the extension does.
    pub(super) async fn choose(&self, choices: Value) {
        let token = self.app.issue_token(&self.user, 1);
        let body = json!({ "sessionId": "1", "dispositions": choices });
        let chosen = send_from_extension(&self.app, "PUT", "/callDisposition", &token, &body).await;
        assert_eq!(chosen.body["successful"], true, "{}: {chosen:?}", self.connected.name());
    }

    /// Lets time pass, and runs the redrive once a minute.
    pub(super) async fn redrive_for(&self, minutes: u64) {
        for _ in 0..minutes {
            self.clock.fetch_add(60_000, Ordering::SeqCst);
            self.connected.fake.advance(Duration::from_secs(60));
            let deadline = Deadline(self.clock.load(Ordering::SeqCst) + REDRIVE_MS);
            self.app.redrive(deadline, Trace::new("test-redrive", None)).await.unwrap();
        }
    }

    /// Changes the body of a record, as a person does.
    async fn edit(&self, id: &CallLogId, from: &str, to: &str) {
        let body = self.connected.read(id).await.body;
        assert!(body.contains(from), "{}: {body}", self.connected.name());
        let change = CallLogChange { body: Some(body.replace(from, to)), ..CallLogChange::default() };
        self.connected.crm.update_record(&self.connected.access(), id, &change).await.unwrap();
    }

    pub(super) async fn read(&self, id: &CallLogId) -> CallLog {
        self.connected.read(id).await
    }

    /// Asserts that the CRM has exactly one record, and that the call is logged as this record.
    async fn check_one_record(&self) {
        let name = self.connected.name();
        let again = self.post().await;
        assert_eq!(again.message(), "Call already logged", "{name}: {again:?}");
        assert_eq!(self.connected.fake.record_count(), 1, "{name}");
        let id = CallLogId::new(again.log_id().unwrap()).unwrap();
        assert!(self.read(&id).await.body.contains("Wants a quote"), "{name}");
    }
}

async fn process(connected: &Connected, dynamodb: &DynamoDb, clock: &Arc<AtomicI64>) -> App {
    let key_file = key_file("credentials");
    let environment = BTreeMap::from([
        ("CREDENTIALS_KEY_FILE", key_file.as_str()),
        ("TABLE_NAME", "calls"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("HASH_KEY", HASH_KEY),
    ]);
    let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned())).unwrap();
    let mut app = App::new(config, Clock::Manual(clock.clone())).await.unwrap();
    let services = &mut app.api.services;
    services.crms = Box::leak(Box::new([connected.crm]));
    services.crm_base_urls.insert(connected.name().to_owned(), connected.proxy().base_url());
    services.secrets = Arc::new(Registration(connected.fake.oauth_client()));
    app
}

/// Our registration with the CRM, as the only secret.
#[derive(Debug)]
struct Registration(OAuthClient);

#[async_trait]
impl SecretReader for Registration {
    async fn oauth_client(&self, _: &str) -> Result<OAuthClient, OAuthClientError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_note_that_is_longer_than_the_crm_accepts_is_cut_and_the_caller_learns_of_it() {
    each_with(Feature::Limits, async |connected| {
        let running = Running::start(connected).await;
        let limits = connected.crm.capabilities().limits;
        let sentence = "He said that he would think about it. 🙂 ";
        let transcript = sentence.repeat(limits.max_body.unwrap() / 20);
        let Contact { id, kind, .. } = &connected.fake.contacts()[0];
        let mut create = call("1");
        create["contactId"] = json!(id.as_str());
        create["contactType"] = json!(kind.as_deref().unwrap_or("contact"));
        create["transcript"] = json!(transcript);
        let created = running.request("POST", &create).await;
        let name = connected.crm.display_name();
        let notice = format!("The note is longer than {name} accepts. Cut or left out: Transcript.");
        assert_eq!(created.message(), "Call logged", "{created:?}");
        assert!(created.body.to_string().contains(&notice), "{created:?}");
        let id = CallLogId::new(created.log_id().unwrap()).unwrap();
        let record = running.read(&id).await;
        assert!(record.body.contains("Wants a quote") && record.body.contains("He said"), "{}", record.body);
        assert!(limits.fits_body(&record.body), "{}", record.body);

        // The same transcript is neither new nor a person's edit, and what a person wrote is never cut.
        running.edit(&id, "Wants a quote", "Wants a table").await;
        let before = running.read(&id).await.body;
        let update = json!({ "sessionId": "1", "transcript": transcript });
        let updated = running.request("PATCH", &update).await;
        assert_eq!(updated.message(), "Call log updated.", "{updated:?}");
        assert!(updated.body.to_string().contains(&notice), "{updated:?}");
        assert_eq!(running.read(&id).await.body, before, "{name}");
    })
    .await;
}

#[tokio::test]
async fn the_edit_window_is_recorded_if_the_crm_cannot_compare_versions() {
    let log = Log::capture();
    each(async |connected| {
        let running = Running::start(connected).await;
        running.log().await;
        log.take();
        running.patch(&json!({ "note": "Wants two quotes" })).await;
        let lines = log.take();
        let is_recorded = endings(&lines).into_iter().any(|line| values(line).contains_key("EditWindow"));
        assert_eq!(
            is_recorded,
            connected.crm.capabilities().compare_and_set != CompareAndSet::Exact,
            "{}: {lines:?}",
            connected.name()
        );
    })
    .await;
}

#[tokio::test]
async fn a_call_is_logged_once_although_the_response_to_the_create_was_lost() {
    each_recovery(async |connected| {
        for fault in [Fault::DropBeforeAnswer, Fault::DropBeforeEffect, Fault::Truncated, Fault::NoId] {
            let connected = &connected.restarted();
            let running = Running::start(connected).await;
            connected.proxy().next(connected.routes.create, fault);
            running.post().await;
            running.redrive_for(5).await;
            running.check_one_record().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_process_finds_the_record_of_an_attempt_that_it_knows_only_from_the_table() {
    each_recovery(async |connected| {
        let mut running = Running::start(connected).await;
        connected.proxy().next(connected.routes.create, Fault::DropBeforeAnswer);
        connected.proxy().next(connected.routes.find, Fault::Status(503));
        let unknown = running.post().await;
        assert_ne!(unknown.message(), "Call logged", "{}: {unknown:?}", connected.name());
        assert_eq!(unknown.log_id(), None, "{}: {unknown:?}", connected.name());
        running.restart().await;
        let creates = connected.proxy().count(connected.routes.create);
        running.redrive_for(5).await;
        assert_eq!(connected.proxy().count(connected.routes.create), creates, "{}", connected.name());
        running.check_one_record().await;
    })
    .await;
}

#[tokio::test]
async fn a_create_that_reaches_a_crm_with_keys_twice_is_logged_once() {
    each_with(Feature::Keys, async |connected| {
        let running = Running::start(connected).await;
        connected.proxy().next(connected.routes.create, Fault::Repeat);
        running.log().await;
        running.check_one_record().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_is_logged_in_the_next_way_if_the_crm_refuses_keys() {
    each_with(Feature::Keys, async |connected| {
        let mut running = Running::start(connected).await;
        connected.fake.refuse_keys(true);
        running.log().await;
        running.check_one_record().await;
        // Keys are accepted again: the call has its record already.
        connected.fake.refuse_keys(false);
        running.restart().await;
        running.check_one_record().await;
    })
    .await;
}

#[tokio::test]
async fn a_logged_call_is_completed_once_and_corrected() {
    each_with(Feature::Finish, async |connected| {
        let finish = connected.routes.finish.unwrap();
        for fault in [None, Some(Fault::DropBeforeAnswer), Some(Fault::Status(503))] {
            let connected = &connected.restarted();
            let running = Running::start(connected).await;
            if let Some(fault) = fault.clone() {
                connected.proxy().next(finish, fault);
            }
            let id = running.log().await;
            running.redrive_for(3).await;
            let first = connected.fake.completions(&id);
            assert_eq!(first.len(), 1, "{} {fault:?}", connected.name());
            running.patch(&json!({ "duration": 70 })).await;
            let corrected = connected.fake.completions(&id);
            assert!(corrected.len() == 1 && corrected != first, "{} {fault:?}", connected.name());
            connected.fake.edit_completion(&id);
            let edited = connected.fake.completions(&id);
            running.patch(&json!({ "duration": 75 })).await;
            assert_eq!(connected.fake.completions(&id), edited, "{} {fault:?}", connected.name());
            running.check_one_record().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_completed_stays_logged() {
    each_with(Feature::Finish, async |connected| {
        let finish = connected.routes.finish.unwrap();
        let errors = connected.fake.errors();
        let is_refusal = |error: &&OwnError| matches!(error.kind, ErrorKind::Rejected { .. });
        let refusal = errors.iter().find(is_refusal).expect("a refusal in the CRM's own form");
        let running = Running::start(connected).await;
        connected.proxy().next(finish, Fault::Refusal(refusal.status, refusal.body));
        let id = running.log().await;
        running.redrive_for(3).await;
        assert_eq!(connected.fake.completions(&id).len(), 0, "{}: refused permanently", connected.name());
        running.check_one_record().await;
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_a_person_survives_an_update() {
    each(async |connected| {
        let running = Running::start(connected).await;
        let id = running.log().await;
        running.edit(&id, "Wants a quote", "Wants three quotes").await;
        running.patch(&json!({ "note": "Wants two quotes", "result": "Voicemail" })).await;
        let body = running.read(&id).await.body;
        assert!(body.contains("Wants three quotes"), "{}: {body}", connected.name());
        assert!(body.contains("Voicemail"), "{}: {body}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn an_edit_during_an_update_survives_if_the_crm_compares_versions() {
    each_with(Feature::CompareAndSet, async |connected| {
        let running = Running::start(connected).await;
        let id = running.log().await;
        let reads = connected.proxy().count(connected.routes.read);
        // The update reads the record, and gets the response late. Meanwhile a person changes the record.
        connected.proxy().next(connected.routes.read, Fault::Delay(Duration::from_millis(500)));
        let details = json!({ "result": "Voicemail" });
        let update = running.patch(&details);
        let edit = async {
            while connected.proxy().count(connected.routes.read) == reads {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A version may be a time in whole seconds.
            connected.fake.advance(Duration::from_secs(1));
            running.edit(&id, "Wants a quote", "Wants three quotes").await;
        };
        tokio::join!(update, edit);
        let body = running.read(&id).await.body;
        assert!(body.contains("Wants three quotes"), "{}: {body}", connected.name());
        assert!(body.contains("Voicemail"), "{}: {body}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_has_ended_is_renewed_before_a_call_is_logged() {
    each_with(Feature::OAuth, async |connected| {
        let grant = connected.fake.credentials().into_iter().find_map(|credentials| match credentials {
            Credentials::OAuth { access_token, refresh_token, .. } => Some((access_token, refresh_token)),
            Credentials::ApiKey(_) => None,
        });
        let (access_token, refresh_token) = grant.expect("a grant");
        let expired = Clock::System.now() - TimeDelta::minutes(1);
        // The expiry is known, or the CRM refuses the token.
        for expires_at in [Some(expired), None] {
            let connected = &connected.restarted();
            let credentials = Credentials::OAuth {
                access_token: access_token.clone(),
                refresh_token: refresh_token.clone(),
                expires_at,
            };
            let running = Running::with(connected, credentials).await;
            connected.fake.end_access();
            running.log().await;
            let stored = running.app.store.user(&running.user.key()).await.unwrap().unwrap().user;
            let Some(Credentials::OAuth { access_token: renewed, .. }) = stored.credentials else {
                panic!("{}: no grant is stored", connected.name());
            };
            assert_ne!(renewed, access_token, "{}", connected.name());
            assert_eq!(connected.fake.record_count(), 1, "{}", connected.name());
        }
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_was_refused_logs_nothing_and_says_so() {
    each_with(Feature::OAuth, async |connected| {
        let credentials = Credentials::OAuth {
            access_token: Secret::new("ended"),
            refresh_token: Some(Secret::new("ended")),
            expires_at: None,
        };
        let running = Running::with(connected, credentials).await;
        let refused = running.post().await;
        assert_eq!(refused.status, 401, "{}: {refused:?}", connected.name());
        assert_eq!(connected.fake.record_count(), 0, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_change_that_the_crm_makes_to_a_text_is_no_edit() {
    each(async |connected| {
        for change in connected.fake.changes() {
            let connected = &connected.restarted();
            connected.fake.switch(*change, true);
            let running = Running::start(connected).await;
            let id = running.log().await;
            let first = "Zoe\u{308} 🙂 wants <a quote>\n\nand & more\n";
            running.patch(&json!({ "note": first })).await;
            let stored = running.read(&id).await.body;
            assert!(stored.contains("and"), "{} {change:?}: {stored}", connected.name());
            running.patch(&json!({ "note": "Wants two quotes" })).await;
            let body = running.read(&id).await.body;
            assert!(body.contains("Wants two quotes"), "{} {change:?}: {body}", connected.name());
            assert!(
                !body.contains("wants"),
                "{} {change:?}: the first note was kept: {body}",
                connected.name()
            );
        }
    })
    .await;
}
