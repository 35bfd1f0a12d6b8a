//! The handlers that say something about this server. They need no token.

use bytes::Bytes;
use http::Request;
use serde_json::{Map, Value, json};

use crate::api::{
    Api,
    answer::Answer,
    manifest::{VERSION, manifest},
    route::{HandlerFuture, Invocation, Route},
    wire::read_hashed_ids,
};

/// `GET /crmManifest`: the CRMs, as the extension shows them.
pub const SHOW_MANIFEST: Route = Route::open("GET", "/crmManifest", "manifest", show_manifest);

/// `GET /userInfoHash`: the hashes of RingCentral ids, which the extension sends in place of the ids.
pub const HASH_IDS: Route = Route::open("GET", "/userInfoHash", "hash", hash_ids);

/// `GET /isAlive`: says that the server is running.
pub const SHOW_LIFE: Route = Route::open("GET", "/isAlive", "alive", show_life);

/// `GET /serverVersionInfo`: the version of the server.
pub const SHOW_VERSION: Route = Route::open("GET", "/serverVersionInfo", "version", show_version);

/// `GET /releaseNotes`: the news of each version, of which there are none.
pub const SHOW_NEWS: Route = Route::open("GET", "/releaseNotes", "nothing", show_nothing);

/// `GET /user/preloadSettings`: the settings of a company before anyone has connected, of which there are none.
pub const SHOW_PRELOADED_SETTINGS: Route =
    Route::open("GET", "/user/preloadSettings", "nothing", show_nothing);

fn show_manifest<'a>(api: &'a Api, _: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move { Ok(Answer::json(&manifest(&api.services, &api.url(invocation)?).await)) })
}

fn hash_ids<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let ids = read_hashed_ids(request.uri().query().unwrap_or_default())?;
        let key = api.hash_key();
        let hashed: Map<_, _> =
            ids.into_iter().map(|(name, id)| (name.to_owned(), Value::from(key.hash(&id)))).collect();
        Ok(Answer::json(&hashed))
    })
}

fn show_life<'a>(_: &'a Api, _: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move { Ok(Answer::text("OK".to_owned())) })
}

fn show_version<'a>(_: &'a Api, _: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move { Ok(Answer::json(&json!({ "version": VERSION }))) })
}

fn show_nothing<'a>(_: &'a Api, _: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move { Ok(Answer::json(&json!({}))) })
}
