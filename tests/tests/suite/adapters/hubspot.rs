//! Cases of HubSpot only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use call_log::{
    adapters::{
        Access, Authorization, CallFacts, CallLogChange, Effect, ErrorKind, NewCallLog, RateLimits, Recovery,
        budget::Allowance,
    },
    model::{CallDuration, CallLogId, Clock, Contact, CrmAccount, Secret, User},
};
use serde_json::{Value, json};
use tests::{
    fake_crm::FakeCrm,
    hubspot::{
        ACCESS_TOKEN, API_KEY, BOB, DEAL, FakeHubSpot, HUB, OWNER, Route, USER,
        records::{KeyProperty, Kind},
    },
    log::Log,
    proxy::Fault,
};

use super::{
    body,
    connected::{Connected, START},
    kind_and_effect,
    protocol::Running,
};

/// An adapter whose user is an owner of records.
fn connect() -> Connected<FakeHubSpot> {
    let connected = Connected::new(Box::new(FakeHubSpot::start()));
    let account = CrmAccount { owner_id: Some(OWNER.to_string()), ..connected.user.account.clone() };
    Connected { user: User { account, ..connected.user.clone() }, ..connected }
}

impl Connected<FakeHubSpot> {
    /// The body of the last request to create a call.
    fn sent(&self) -> Value {
        let requests = self.proxy().exchanges();
        let create = requests.iter().rev().find(|request| Route::CreateCall.target().matches(request));
        create.and_then(|request| request.json()).expect("a call was sent")
    }

    /// A log as delivery makes it, whose owner is the user's id as an owner.
    fn owned(&self) -> NewCallLog {
        NewCallLog { owner: self.crm.owner_id(&self.user), ..self.log(START) }
    }

    async fn error(&self, log: &NewCallLog) -> ErrorKind {
        let error = self.crm.create_record(&self.access(), log).await.unwrap_err();
        assert_eq!(error.effect, Effect::None);
        error.kind
    }
}

fn number(id: &CallLogId) -> u64 {
    id.as_str().parse().unwrap()
}

#[tokio::test]
async fn a_call_has_every_property_that_hubspot_shows() {
    let connected = connect();
    let log = connected.owned();
    connected.create(&log).await;
    let contact = json!({
        "to": { "id": BOB.to_string() },
        "types": [{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194 }],
    });
    let expected = json!({
        "properties": {
            "hs_timestamp": "2025-03-12T15:45:25.000Z", "hs_call_title": "Inbound Call from Bob Client",
            "hs_call_body": log.body, "hs_call_duration": "65000", "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED", "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
            "hs_call_from_number": "+12135550111", "hs_call_to_number": "+16505550100",
            "hubspot_owner_id": OWNER.to_string(), "rc_call_key": log.tag.as_str(),
        },
        "associations": [contact],
    });
    assert_eq!(connected.sent(), expected);
    let facts = CallFacts { duration: Some(CallDuration::Pending), ..CallFacts::default() };
    let (tag, additional) = (connected.new_tag(), json!({ "deals": DEAL }).as_object().unwrap().clone());
    let bare = NewCallLog { facts, tag, additional, contact: None, owner: None, ..log.clone() };
    let search = NewCallLog { recovery: Recovery::TagSearch(Duration::ZERO), ..bare };
    connected.create(&search).await;
    let deal = json!({
        "to": { "id": DEAL.to_string() },
        "types": [{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 206 }],
    });
    let expected = json!({
        "properties": {
            "hs_timestamp": "2025-03-12T15:45:25.000Z", "hs_call_title": "Inbound Call from Bob Client",
            "hs_call_body": log.body, "hs_call_external_id": search.tag.as_str(),
        },
        "associations": [deal],
    });
    assert_eq!(connected.sent(), expected);
}

#[tokio::test]
async fn a_property_that_does_not_make_calls_unique_is_no_key() {
    for (state, scope, is_accepted) in [
        (KeyProperty::Unique, None, true),
        (KeyProperty::NotUnique, None, false),
        (KeyProperty::Missing, None, false),
        (KeyProperty::Unique, Some("crm.schemas.contacts.read"), false),
    ] {
        let connected = connect();
        connected.fake.records().key_property = state;
        connected.fake.records().missing_scopes = scope.into_iter().map(str::to_owned).collect();
        let created = connected.crm.create_record(&connected.access(), &connected.log(START)).await;
        let expected = (!is_accepted).then_some((ErrorKind::KeyRefused, Effect::None));
        assert_eq!(created.err().map(kind_and_effect), expected, "{state:?} {scope:?}");
        assert_eq!(connected.fake.record_count(), usize::from(is_accepted), "{state:?} {scope:?}");
    }
}

#[tokio::test]
async fn the_property_is_checked_once_an_hour_and_after_a_refusal() {
    let now = Arc::new(AtomicI64::new(1_741_794_325_000));
    let connected = Connected { clock: Clock::Manual(now.clone()), ..connect() };
    let hubspot = &connected.fake;
    for (after, asked) in [(0, 1), (1, 1), (3_599_998, 1), (1, 2)] {
        now.fetch_add(after, Ordering::SeqCst);
        connected.create(&connected.log(START)).await;
        assert_eq!(hubspot.count(Route::GetProperty), asked, "after {after}");
    }
    hubspot.refuse_keys(true);
    assert_eq!(connected.error(&connected.log(START)).await, ErrorKind::KeyRefused);
    assert_eq!(hubspot.count(Route::GetProperty), 2, "the create was refused");
    hubspot.records().key_property = KeyProperty::NotUnique;
    assert_eq!(connected.error(&connected.log(START)).await, ErrorKind::KeyRefused);
    assert_eq!(hubspot.count(Route::GetProperty), 3);
    // The credential of a caller may be of another account.
    hubspot.refuse_keys(false);
    let authorization = Authorization::Header(Secret::new(format!("Bearer {ACCESS_TOKEN}")));
    let access = Access { authorization, ..connected.access() };
    for asked in [4, 5] {
        connected.crm.create_record(&access, &connected.log(START)).await.unwrap();
        assert_eq!(hubspot.count(Route::GetProperty), asked);
    }
}

#[tokio::test]
async fn the_call_that_has_the_key_is_read_by_it_and_named_by_the_refusal_only_if_it_is_hidden() {
    for (names_owner, is_archived, is_named) in
        [(true, false, true), (false, false, true), (true, true, true), (false, true, false)]
    {
        let connected = connect();
        let log = connected.log(START);
        let id = connected.create(&log).await;
        connected.fake.records().names_owner_of_value = names_owner;
        if is_archived {
            connected.fake.archive(Kind::Call, number(&id));
        }
        let expected = ErrorKind::AlreadyExists(is_named.then_some(id));
        assert_eq!(connected.error(&log).await, expected, "{names_owner} {is_archived}");
    }
}

#[tokio::test]
async fn a_key_that_can_no_longer_be_read_by_is_refused() {
    let connected = connect();
    let log = connected.log(START);
    connected.create(&log).await;
    connected.fake.records().key_property = KeyProperty::NotUnique;
    let found = connected.crm.find_records(&connected.access(), &log, connected.clock.now()).await;
    assert_eq!(found.unwrap_err().kind, ErrorKind::KeyRefused);
}

#[tokio::test]
async fn the_account_is_set_up_once() {
    let connected = connect();
    let (crm, fake) = (connected.crm, &connected.fake);
    let missing = async || crm.missing_setup(&connected.access()).await.unwrap();
    assert_eq!(missing().await, None);
    fake.refuse_keys(true);
    assert_eq!(missing().await.as_deref(), Some("the property rc_call_key of calls is missing"));
    crm.set_up(&connected.access()).await.unwrap();
    assert_eq!(missing().await, None);
    crm.set_up(&connected.access()).await.unwrap();
    assert_eq!(fake.count(Route::CreateProperty), 1);
    fake.records().key_property = KeyProperty::NotUnique;
    assert!(missing().await.unwrap().contains("is not unique"));
    let refused = crm.set_up(&connected.access()).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Rejected { .. }), "{refused:?}");
    fake.refuse_keys(true);
    fake.records().missing_scopes = ["crm.schemas.contacts.write".to_owned()].into();
    let refused = crm.set_up(&connected.access()).await.unwrap_err();
    let message = "The app needs the scope crm.schemas.contacts.write.".to_owned();
    assert_eq!(refused.kind, ErrorKind::Forbidden { message });
}

#[tokio::test]
async fn whose_a_credential_is_has_the_account_and_the_owner() {
    let connected = connect();
    let blank = User { hostname: None, account: CrmAccount::default(), ..connected.user.clone() };
    for credentials in connected.fake.credentials() {
        let authorization = Authorization::Stored(credentials);
        let access = Access { authorization, ..connected.access() };
        let profile = connected.crm.identify(&access).await.unwrap();
        assert_eq!(profile.user_id, Some(USER.to_string()));
        assert_eq!(profile.name.as_deref(), Some("Ada Agent"));
        let user = profile.applied_to(blank.clone());
        assert_eq!(user.hostname.as_deref(), Some("app-eu1.hubspot.com"));
        assert_eq!(user.account.id, Some(HUB.to_string()));
        assert_eq!(connected.crm.owner_id(&user), Some(OWNER.to_string()));
        assert_eq!(user.zone.map(|zone| zone.name()).as_deref(), Some("US/Eastern"));
    }
    // An owner who is inactive, or whom the app may not read, owns no calls.
    connected.fake.records().owner_is_inactive = true;
    let profile = connected.crm.identify(&connected.access()).await.unwrap();
    assert_eq!((profile.owner_id, profile.user_id), (None, Some(USER.to_string())));
    connected.fake.records().owner_is_inactive = false;
    connected.fake.records().missing_scopes = ["crm.objects.owners.read".to_owned()].into();
    let profile = connected.crm.identify(&connected.access()).await.unwrap();
    assert_eq!((profile.owner_id, profile.user_id), (None, Some(USER.to_string())));
    assert_eq!(connected.crm.owner_id(&blank), None, "the id of a user is no owner's");
}

#[tokio::test]
async fn the_users_of_an_account_are_the_people_who_own_records_on_all_pages() {
    let connected = connect();
    let users = connected.crm.users(&connected.access()).await.unwrap();
    let users: Vec<_> = users.into_iter().map(|user| (user.id, user.name, user.email)).collect();
    let user = |id: u64, name: &str, email: &str| {
        (id.to_string(), Some(format!("{name} Agent")), Some(format!("{email}@acme.example")))
    };
    assert_eq!(users, [user(OWNER, "Ada", "ada"), user(OWNER + 1, "Bob", "bob")]);
    connected.fake.records().missing_scopes = ["crm.objects.owners.read".to_owned()].into();
    let refused = connected.crm.users(&connected.access()).await.unwrap_err();
    let message = "The app needs the scope crm.objects.owners.read.".to_owned();
    assert_eq!(refused.kind, ErrorKind::Forbidden { message });
}

#[tokio::test]
async fn a_token_that_is_sent_in_a_path_or_body_is_in_no_log_line() {
    let connected = connect();
    let log = Log::capture_details();
    for credentials in connected.fake.credentials() {
        for fault in [None, Some(Fault::Status(500)), Some(Fault::DropBeforeAnswer)] {
            for route in [Route::TokenInfo, Route::PrivateApp].into_iter().filter(|_| fault.is_some()) {
                connected.fake.next(route, fault.clone().unwrap());
            }
            let authorization = Authorization::Stored(credentials.clone());
            let outcome = connected.crm.identify(&Access { authorization, ..connected.access() }).await;
            tracing::warn!(?outcome, "identified");
        }
    }
    let lines = log.take();
    assert!(lines.iter().any(|line| line["crm_route"] == "access-tokens/{token}"), "{lines:?}");
    let text = json!(lines).to_string();
    assert!(!text.contains(ACCESS_TOKEN) && !text.contains(API_KEY), "{text}");
}

#[tokio::test]
async fn an_owner_who_became_inactive_is_refused_with_the_name_of_the_property() {
    let connected = connect();
    connected.fake.records().owner_is_inactive = true;
    let message = format!("{OWNER} was not a valid value of hubspot_owner_id");
    assert_eq!(connected.error(&connected.owned()).await, ErrorKind::Rejected { message });
}

#[tokio::test]
async fn a_call_of_a_merged_contact_is_linked_to_the_other_one() {
    let connected = connect();
    connected.fake.merge(BOB, BOB + 1);
    let id = connected.create(&connected.log(START)).await;
    assert_eq!(connected.fake.links(number(&id), Kind::Contact), [BOB + 1]);
    assert_eq!((connected.fake.count(Route::CreateCall), connected.fake.record_count()), (2, 1));
    // A contact that was deleted is rejected, and a refusal for another reason is not sent again.
    connected.fake.archive(Kind::Contact, BOB + 1);
    let refused = connected.error(&connected.log(START)).await;
    assert!(matches!(refused, ErrorKind::Rejected { .. }), "{refused:?}");
    assert_eq!(connected.fake.count(Route::CreateCall), 3);
    let odd = NewCallLog { contact: Some(connected.contact("lead-7")), ..connected.log(START) };
    let message = "The contact id \"lead-7\" is not a number.".to_owned();
    assert_eq!(connected.error(&odd).await, ErrorKind::Rejected { message });
}

#[tokio::test]
async fn another_deal_replaces_the_one_that_was_chosen_before_and_no_other() {
    let connected = connect();
    for id in [413, 414, 415] {
        connected.fake.add_deal(id, BOB, "Gutter", false);
    }
    let form = |deal: u64| json!({ "deals": deal }).as_object().unwrap().clone();
    let id = connected.create(&NewCallLog { additional: form(DEAL), ..connected.log(START) }).await;
    connected.fake.link(number(&id), 413);
    assert_eq!(connected.read(&id).await.choices, *json!({ "deals": [412, 413] }).as_object().unwrap());
    let change = CallLogChange { choices: form(414), replaced: form(DEAL), ..CallLogChange::default() };
    connected.crm.update_record(&connected.access(), &id, &change).await.unwrap();
    assert_eq!(connected.fake.links(number(&id), Kind::Deal), [413, 414]);
    assert_eq!(connected.fake.count(Route::UpdateCall), 0, "no property was changed");
    // A deal that does not exist leaves the call as it is.
    let change = CallLogChange { choices: form(999), replaced: form(414), ..body("x") };
    let refused = connected.crm.update_record(&connected.access(), &id, &change).await.unwrap_err();
    let message = "HubSpot has no such deal.".to_owned();
    assert_eq!(kind_and_effect(refused), (ErrorKind::Rejected { message }, Effect::None));
    assert_eq!(connected.fake.links(number(&id), Kind::Deal), [413, 414]);
    assert_ne!(connected.read(&id).await.body, "x");
}

#[tokio::test]
async fn the_form_offers_the_open_deals_of_a_contact() {
    let connected = connect();
    connected.fake.add_deal(413, BOB, "Gutter", true);
    connected.fake.add_deal(414, BOB, "Porch", false);
    let offered = async |contact: &Contact| {
        let choices = connected.crm.choices(&connected.access(), contact).await.unwrap();
        let titles = choices.into_values().flatten().map(|choice| (choice.value, choice.title));
        titles.collect::<Vec<_>>()
    };
    let [bob, solo] = connected.fake.contacts();
    assert_eq!(offered(&bob).await, [(json!(412), "Roof".to_owned()), (json!(414), "Porch".to_owned())]);
    assert_eq!(offered(&solo).await, []);
}

#[tokio::test]
async fn a_contact_is_found_by_every_form_of_its_number() {
    let connected = connect();
    for (stored, mobile, asked, found) in [
        ("+1 (213) 555-0133", "", "+12135550133", true),
        ("(213) 555-0134", "", "+12135550134", true),
        ("213.555.0135", "", "2135550135", true),
        ("", "+49 170 1234567", "+491701234567", true),
        ("+44 20 7946 0018", "", "+442079460018", true),
        ("+81 3 5550 1777", "", "+81355501777", true),
        ("+852 2345 6789", "", "+85223456789", true),
        ("+49 30 5550123", "", "+44305550123", false),
        ("+12135550199", "", "+12135550198", false),
    ] {
        let id = connected.fake.add_contact("Ada", stored);
        connected.fake.edit(Kind::Contact, id, "mobilephone", mobile);
        let contacts = connected.crm.find_contacts(&connected.access(), asked).await.unwrap();
        let hit = contacts.iter().find(|contact| contact.id.as_str() == id.to_string());
        assert_eq!(hit.is_some(), found, "{stored}{mobile} {asked}");
        if let Some(hit) = hit {
            assert_eq!(hit.phone_number.as_deref(), Some(if stored.is_empty() { mobile } else { stored }));
        }
        connected.fake.archive(Kind::Contact, id);
    }
    let named = connected.crm.find_contacts_by_name(&connected.access(), "bob c").await.unwrap();
    assert_eq!(named.iter().map(|contact| contact.id.as_str()).collect::<Vec<_>>(), [BOB.to_string()]);
    assert_eq!(connected.crm.find_contacts_by_name(&connected.access(), " ").await.unwrap(), []);
}

#[tokio::test]
async fn the_page_of_a_contact_has_the_number_of_the_account() {
    let connected = connect();
    let contacts = connected.crm.find_contacts(&connected.access(), "+12135550111").await.unwrap();
    let page = connected.crm.presentation().contact_page_url.unwrap();
    let page = page
        .replace("{hostname}", connected.user.hostname.as_deref().unwrap())
        .replace("{contactType}", contacts[0].kind.as_deref().unwrap())
        .replace("{contactId}", contacts[0].id.as_str());
    assert_eq!(page, format!("https://app.hubspot.com/contacts/{HUB}/record/0-1/{BOB}"));
}

#[tokio::test]
async fn searches_have_a_limit_of_their_own() {
    let connected = connect();
    connected.fake.records().searches_left = Some(0);
    let error = connected.crm.find_contacts(&connected.access(), "+12135550111").await.unwrap_err();
    assert_eq!((error.kind, error.bucket), (ErrorKind::RateLimited { retry_after: None }, Some("search")));
    connected.create(&connected.log(START)).await;
    connected.fake.records().requests_left = Some(0);
    let error = connected.crm.create_record(&connected.access(), &connected.log(START)).await.unwrap_err();
    assert_eq!((error.kind, error.bucket), (ErrorKind::RateLimited { retry_after: None }, None));
    connected.fake.records().requests_left = None;
    connected.fake.records().daily_left = 0;
    let quota = ErrorKind::QuotaExceeded { resets_in: None };
    assert_eq!(connected.error(&connected.log(START)).await, quota);
}

#[test]
fn the_limits_are_those_of_hubspots_headers() {
    let connected = connect();
    let headers = [
        ("x-hubspot-ratelimit-max", "110"),
        ("x-hubspot-ratelimit-remaining", "7"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ("x-hubspot-ratelimit-daily", "250000"),
        ("x-hubspot-ratelimit-daily-remaining", "49000"),
    ];
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let burst = Allowance { limit: Some(110), remaining: 7, resets_in: Some(Duration::from_secs(10)) };
    let daily = Allowance { limit: Some(250_000), remaining: 49_000, resets_in: None };
    let expected = RateLimits { burst: Some(burst), daily: Some(daily) };
    assert_eq!(connected.crm.rate_limits(&headers.collect()), expected);
}

#[tokio::test]
async fn a_failure_before_the_call_is_created_has_no_effect() {
    for fault in [Fault::Status(500), Fault::Html, Fault::Truncated] {
        let connected = connect();
        connected.fake.next(Route::GetProperty, fault.clone());
        let error =
            connected.crm.create_record(&connected.access(), &connected.log(START)).await.unwrap_err();
        assert_eq!((error.effect, connected.fake.record_count()), (Effect::None, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_call_without_a_body_is_read_and_one_whose_body_is_not_shown_is_not() {
    let connected = connect();
    let id = connected.create(&connected.log(START)).await;
    connected.fake.edit(Kind::Call, number(&id), "hs_call_body", "");
    assert_eq!(connected.read(&id).await.body, "");
    let bare = r#"{"id": "7", "properties": {"hs_call_title": "Call"}}"#;
    connected.fake.next(Route::GetCall, Fault::Response(200, "application/json", bare.into()));
    let error = connected.crm.read_record(&connected.access(), &id).await.unwrap_err();
    assert_eq!(kind_and_effect(error), (ErrorKind::Malformed, Effect::None));
}

#[tokio::test]
async fn another_choice_leaves_the_link_that_a_person_made() {
    let connected = Connected::<dyn FakeCrm>::new(Box::new(FakeHubSpot::start()));
    let running = Running::start(&connected).await;
    let id = running.log().await;
    let link = async |deal: u64| {
        let path = format!("/crm/v4/objects/calls/{id}/associations/default/deals/{deal}");
        let url = format!("{}{path}", connected.proxy().base_url());
        reqwest::Client::new().put(url).bearer_auth(API_KEY).send().await.unwrap();
    };
    for (chosen, linked, shown) in [
        (Some(412), None, json!(412)),
        (None, Some(413), json!([412, 413])),
        (Some(414), None, json!([413, 414])),
        (Some(414), None, json!([413, 414])),
        // A person's link that is chosen is ours then.
        (Some(413), None, json!(413)),
        (Some(412), None, json!(412)),
    ] {
        if let Some(deal) = chosen {
            running.choose(json!({ "deals": deal })).await;
        }
        if let Some(deal) = linked {
            link(deal).await;
        }
        assert_eq!(running.read(&id).await.choices["deals"], shown, "{chosen:?} {linked:?}");
    }
}

#[tokio::test]
async fn a_call_whose_start_is_learned_later_moves_on_the_timeline() {
    for edited in [None, Some("2025-03-13T09:30:00.000Z")] {
        let connected = Connected::<dyn FakeCrm>::new(Box::new(FakeHubSpot::start()));
        let running = Running::start(&connected).await;
        let create = json!({
            "logInfo": { "sessionId": "1", "direction": "Inbound", "result": "Accepted", "duration": 65 },
            "contactId": BOB.to_string(), "contactType": "contact", "contactName": "Bob Client",
        });
        let created = running.request("POST", &create).await;
        let id = CallLogId::new(created.log_id().unwrap_or_else(|| panic!("{created:?}"))).unwrap();
        let first = running.read(&id).await.fields["hs_timestamp"].clone();
        assert!(!first.is_empty(), "HubSpot requires a start");
        if let Some(edited) = edited {
            let fields = [("hs_timestamp", edited.to_owned())].into();
            let change = CallLogChange { fields, ..CallLogChange::default() };
            connected.crm.update_record(&connected.access(), &id, &change).await.unwrap();
        }
        running.patch(&json!({ "startTime": START })).await;
        let expected = edited.unwrap_or("2025-03-12T15:45:25.000Z");
        assert_eq!(running.read(&id).await.fields["hs_timestamp"], expected, "{edited:?}");
    }
}
