//! The handlers that say something about this server. They need no token.

use std::pin::pin;

use bytes::Bytes;
use http::Request;
use serde_json::{Map, Value, json};

use crate::api::{
    Api,
    answer::Answer,
    manifest::{VERSION, manifest},
    route::{self, Callers, HandlerFuture, Invocation, Route},
    wire::read_hashed_ids,
};

/// `GET /crmManifest`: the CRMs, as the extension shows them.
pub const SHOW_MANIFEST: Route = open("/crmManifest", show_manifest);

/// `GET /userInfoHash`: the hashes of RingCentral ids, which the extension sends in place of the ids.
pub const HASH_IDS: Route = open("/userInfoHash", hash_ids);

/// `GET /isAlive`: says that the server answers.
pub const SHOW_LIFE: Route = open("/isAlive", show_life);

/// `GET /serverVersionInfo`: the version of the server.
pub const SHOW_VERSION: Route = open("/serverVersionInfo", show_version);

/// `GET /releaseNotes`: the news of each version, of which there are none.
pub const SHOW_NEWS: Route = open("/releaseNotes", show_nothing);

/// `GET /user/preloadSettings`: the settings of a company before anyone has connected, of which there are none.
pub const SHOW_PRELOADED_SETTINGS: Route = open("/user/preloadSettings", show_nothing);

const fn open(path: &'static str, handler: route::Handler) -> Route {
    Route { method: "GET", path, callers: Callers::All, handler }
}

fn show_manifest<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async { Ok(Answer::json(&manifest(&api.services, &api.url(invocation)?).await)) });
        route::respond_to_anyone(api, "manifest", request.headers(), invocation, result).await
    })
}

fn hash_ids<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let ids = read_hashed_ids(request.uri().query().unwrap_or_default())?;
            let key = api.hash_key();
            let hashed: Map<_, _> =
                ids.into_iter().map(|(name, id)| (name.to_owned(), Value::from(key.hash(&id)))).collect();
            Ok(Answer::json(&hashed))
        });
        route::respond_to_anyone(api, "hash", request.headers(), invocation, result).await
    })
}

fn show_life<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async { Ok(Answer::text("OK".to_owned())) });
        route::respond_to_anyone(api, "alive", request.headers(), invocation, result).await
    })
}

fn show_version<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async { Ok(Answer::json(&json!({ "version": VERSION }))) });
        route::respond_to_anyone(api, "version", request.headers(), invocation, result).await
    })
}

fn show_nothing<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async { Ok(Answer::json(&json!({}))) });
        route::respond_to_anyone(api, "nothing", request.headers(), invocation, result).await
    })
}
