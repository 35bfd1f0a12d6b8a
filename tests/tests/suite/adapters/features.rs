//! Features that only some CRMs have: keys, a search that lags, a step that completes a record, and an authorization
//! server.

use std::slice;

use call_log::{
    adapters::{
        Access, Authorization, CallFacts, Effect, ErrorKind, HostAccount, OAuth, Recovery, hosts,
        oauth::{GrantError, renew_grant},
    },
    model::{CallDuration, CallLogId, Credentials, Secret, User},
};
use tests::{
    fake_crm::FakeCrm,
    proxy::{Fault, Proxy, Target},
};

use super::{
    body,
    connected::{Connected, Feature, START},
    each, each_recovery, each_with, kind_and_effect,
};

#[tokio::test]
async fn the_account_is_the_one_of_each_credential_or_of_the_host() {
    each(async |connected| {
        let (crm, account, name) = (connected.crm, connected.fake.account(), connected.name());
        if let HostAccount::Named(named) = crm.host_account(&connected.user) {
            return assert_eq!(named, account, "{name}");
        }
        for credentials in connected.fake.credentials() {
            let authorization = Authorization::Stored(credentials);
            let access = Access { authorization, ..connected.access() };
            let profile = crm.identify(&access).await.unwrap();
            assert_eq!(profile.account.as_ref(), Some(&account), "{name}");
            if crm.identity_url().is_some() {
                assert!(profile.user_id.is_some() && profile.name.is_some(), "{name}: {profile:?}");
                let user = profile.applied_to(User { hostname: None, ..connected.user.clone() });
                assert!(hosts::base_url(crm, &user).is_some(), "{name}: {profile:?}");
            }
        }
        let authorization = Authorization::Stored(Credentials::ApiKey(Secret::new("wrong")));
        let error = crm.identify(&Access { authorization, ..connected.access() }).await.unwrap_err();
        assert_eq!(kind_and_effect(error), (ErrorKind::Unauthorized, Effect::None), "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_second_create_with_a_key_returns_the_record_and_does_not_change_it() {
    each_with(Feature::Keys, async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        connected.crm.update_record(&connected.access(), &id, &body("an edit")).await.unwrap();
        let before = connected.read(&id).await;
        let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
        let expected = (ErrorKind::AlreadyExists(Some(id.clone())), Effect::None);
        assert_eq!(kind_and_effect(error), expected, "{}", connected.name());
        assert_eq!(connected.read(&id).await, before, "{}", connected.name());
        assert_eq!(connected.find(&log).await, slice::from_ref(&id), "{}", connected.name());
        assert_eq!(connected.fake.record_count(), 1, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_key_makes_one_record_even_if_two_creates_run_at_once() {
    each_with(Feature::Keys, async |connected| {
        let log = connected.log(START);
        connected.proxy().gather(2);
        let ids = tokio::join!(connected.create_again(&log), connected.create_again(&log));
        assert_eq!(ids.0, ids.1, "{}", connected.name());
        assert_eq!(connected.fake.record_count(), 1, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_refused_key_creates_nothing_and_the_next_way_does() {
    each_with(Feature::Keys, async |connected| {
        let ways = connected.crm.capabilities().recovery;
        connected.fake.refuse_keys(true);
        let log = connected.log(START);
        let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
        assert_eq!(
            kind_and_effect(error),
            (ErrorKind::KeyRefused, Effect::None),
            "{}: `refuse_keys` is for CRMs whose keys can be refused",
            connected.name()
        );
        assert_eq!(connected.fake.record_count(), 0, "{}", connected.name());
        let next = ways.iter().skip_while(|way| **way != Recovery::ByKey).nth(1);
        let recovery = *next.expect("a key that can be refused is not the only way");
        let log = call_log::adapters::NewCallLog { recovery, ..log };
        let id = connected.create(&log).await;
        assert_eq!(connected.find(&log).await, [id], "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_search_that_lags_shows_a_record_after_the_declared_time() {
    each_recovery(async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        let shown = connected.find_now(&log).await;
        match connected.recovery {
            Recovery::LaggingSearch(lag) | Recovery::TagSearch(lag) => {
                assert_eq!(shown, [], "{}: the fake's search lags", connected.name());
                connected.fake.advance(lag);
                assert_eq!(connected.find_now(&log).await, [id], "{}: after {lag:?}", connected.name());
            }
            _ => assert_eq!(shown, [id], "{}: at once", connected.name()),
        }
    })
    .await;
}

/// Completes a record for a call of this duration.
async fn finish(connected: &Connected, id: &CallLogId, duration: CallDuration) {
    let facts = CallFacts { duration: Some(duration), ..CallFacts::default() };
    let finished = connected.crm.finish_record(&connected.access(), id, &facts).await;
    assert_eq!(finished, Ok(()), "{}", connected.name());
}

#[tokio::test]
async fn a_record_is_completed_once_and_corrected() {
    each_with(Feature::Finish, async |connected| {
        let id = connected.create(&connected.log(START)).await;
        let completions = || connected.fake.completions(&id);
        finish(connected, &id, CallDuration::Pending).await;
        assert_eq!(completions().len(), 0, "{}: the duration is not known", connected.name());
        finish(connected, &id, CallDuration::Seconds(65)).await;
        let first = completions();
        assert_eq!(first.len(), 1, "{}", connected.name());
        let before = connected.proxy().exchanges().len();
        finish(connected, &id, CallDuration::Seconds(65)).await;
        let requests = connected.proxy().exchanges().split_off(before);
        assert!(requests.iter().all(|request| request.method == "GET"), "{}", connected.name());
        assert_eq!(completions(), first, "{}: repeated", connected.name());
        finish(connected, &id, CallDuration::Seconds(70)).await;
        let corrected = completions();
        assert!(corrected.len() == 1 && corrected != first, "{}: {corrected:?}", connected.name());
        finish(connected, &id, CallDuration::Seconds(75)).await;
        assert_ne!(completions(), corrected, "{}: our own correction is no edit", connected.name());
        connected.fake.edit_completion(&id);
        let edited = completions();
        finish(connected, &id, CallDuration::Seconds(80)).await;
        assert_eq!(completions(), edited, "{}: a person's change stays", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_record_is_completed_once_although_the_response_was_lost() {
    each_with(Feature::Finish, async |connected| {
        let target = connected.routes.finish.expect("an adapter with a finish step has a route for it");
        for fault in [Fault::DropBeforeAnswer, Fault::Truncated, Fault::Status(500)] {
            let log = connected.log(START);
            let id = connected.create(&log).await;
            connected.proxy().next(target, fault.clone());
            let lost = connected.crm.finish_record(&connected.access(), &id, &log.facts).await.unwrap_err();
            assert_eq!(lost.effect, Effect::Unknown, "{} {fault:?}", connected.name());
            connected.crm.finish_record(&connected.access(), &id, &log.facts).await.unwrap();
            assert_eq!(connected.fake.completions(&id).len(), 1, "{} {fault:?}", connected.name());
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_gone_cannot_be_completed() {
    each_with(Feature::Finish, async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        if connected.crm.delete_record(&connected.access(), &id).await.unwrap() {
            let error = connected.crm.finish_record(&connected.access(), &id, &log.facts).await.unwrap_err();
            assert_eq!(kind_and_effect(error), (ErrorKind::NotFound, Effect::None), "{}", connected.name());
        }
    })
    .await;
}

/// The authorization server, as the fake has it, and its target at the proxy.
fn oauth(connected: &Connected) -> (OAuth, Target) {
    let oauth = connected.crm.oauth(&connected.user).expect("an authorization server");
    let url = reqwest::Url::parse(&oauth.token_url).unwrap();
    let target = Target { method: "POST", path: url.path().to_owned().leak() };
    (OAuth { token_url: format!("{}{}", connected.proxy().base_url(), url.path()), ..oauth }, target)
}

fn refresh_token(fake: &dyn FakeCrm) -> Secret {
    let token = fake.credentials().into_iter().find_map(|credentials| match credentials {
        Credentials::OAuth { refresh_token, .. } => refresh_token,
        Credentials::ApiKey(_) => None,
    });
    token.expect("a CRM with an authorization server accepts a refresh token")
}

#[tokio::test]
async fn a_renewed_grant_opens_what_the_ended_one_did() {
    each_with(Feature::OAuth, async |connected| {
        let (oauth, _) = oauth(connected);
        let client = connected.fake.oauth_client();
        let renew = async |token: &Secret| {
            renew_grant(&connected.http, connected.crm, &oauth, Some(&client), token).await
        };
        let first = refresh_token(&*connected.fake);
        connected.fake.end_access();
        let grant = renew(&first).await.unwrap_or_else(|error| panic!("{}: {error:?}", connected.name()));
        assert!(grant.expires_in.is_some_and(|seconds| seconds > 0), "{}", connected.name());
        let login = Access { authorization: Authorization::None, ..connected.access() };
        let session = connected.crm.open_session(&login, &grant.access_token).await.unwrap();
        let access_token = session.map_or(grant.access_token, |session| session.token);
        let renewed = Credentials::OAuth { access_token, refresh_token: None, expires_at: None };
        let access = Access { authorization: Authorization::Stored(renewed), ..connected.access() };
        connected.crm.create_record(&access, &connected.log(START)).await.unwrap();
        if let Some(second) = grant.refresh_token.filter(|second| *second != first) {
            let again = renew(&first).await.unwrap_err();
            assert!(matches!(again, GrantError::Rejected), "{}: {again:?}", connected.name());
            renew(&second).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_refresh_token_is_refused_and_other_failures_are_no_refusal() {
    each_with(Feature::OAuth, async |connected| {
        let (oauth, target) = oauth(connected);
        let client = connected.fake.oauth_client();
        let renew = async |token: &Secret| {
            renew_grant(&connected.http, connected.crm, &oauth, Some(&client), token).await
        };
        let refused = renew(&Secret::new("unknown")).await.unwrap_err();
        assert!(matches!(refused, GrantError::Rejected), "{}: {refused:?}", connected.name());
        let other = Proxy::around(axum::Router::new());
        for (fault, is_unknown) in [
            (Fault::Status(500), true),
            (Fault::DropBeforeEffect, true),
            (Fault::Html, true),
            (Fault::NoId, true),
            (Fault::Status(429), false),
            (Fault::Redirect(other.base_url()), false),
        ] {
            connected.proxy().next(target, fault.clone());
            let error = renew(&Secret::new("unknown")).await.unwrap_err();
            let is_expected = match error {
                GrantError::OutcomeUnknown => is_unknown,
                GrantError::Failed(_) => !is_unknown,
                GrantError::Rejected | GrantError::NotSent => false,
            };
            assert!(is_expected, "{} {fault:?}: {error:?}", connected.name());
        }
        assert_eq!(other.exchanges().len(), 0, "{}: the secret was sent elsewhere", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_session_is_refused_once_it_has_ended() {
    each_with(Feature::OAuth, async |connected| {
        let session = connected
            .fake
            .credentials()
            .into_iter()
            .find(|credentials| matches!(credentials, Credentials::OAuth { .. }));
        let authorization = Authorization::Stored(session.expect("a session"));
        let access = Access { authorization, ..connected.access() };
        let create = async || connected.crm.create_record(&access, &connected.log(START)).await;
        create().await.unwrap();
        connected.fake.end_access();
        let error = create().await.unwrap_err();
        let expected = (ErrorKind::Unauthorized, Effect::None);
        assert_eq!(kind_and_effect(error), expected, "{}", connected.name());
    })
    .await;
}
