//! The simulation behind the page: a telephone system whose recordings come later, and a CRM in trouble. It also shows what waits.
//! Only for the user and the Example CRM of this program.

mod recordings;
mod waiting;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State, rejection::JsonRejection},
    http::{Response, StatusCode},
    response::IntoResponse,
    routing::{get, post, put},
};
use call_log::model::User;
use serde::Deserialize;
use serde_json::{Value, json};

use self::recordings::{NewRecording, Recordings};
use crate::{example_crm::Trouble, functions::Functions, server::reject};

/// The user of the page, the functions, and the recordings that are to come.
#[derive(Debug)]
pub(crate) struct Simulation {
    functions: Functions,
    user: User,
    crm_key: String,
    recordings: Recordings,
}

impl Simulation {
    pub(crate) fn new(functions: Functions, user: User, crm_key: String) -> Arc<Simulation> {
        Arc::new(Simulation { functions, user, crm_key, recordings: Recordings::default() })
    }

    /// Sends each recording when it is due. It never ends.
    pub(crate) async fn play_recordings(self: Arc<Simulation>) {
        self.recordings.play(&self.functions, &self.user).await;
    }

    fn now_ms(&self) -> i64 {
        self.functions.app.clock.now_ms()
    }
}

/// Returns the routes below `/demo`.
pub(crate) fn routes(simulation: Arc<Simulation>) -> Router {
    Router::new()
        .route("/demo/context", get(context))
        .route("/demo/state", get(state))
        .route("/demo/trouble", put(set_trouble))
        .route("/demo/recordings", post(add_recording))
        .route("/demo/recordings/{session}/hold", post(hold_recording))
        .route("/demo/recordings/{session}/send", post(send_recording))
        .with_state(simulation)
}

type Simulated = State<Arc<Simulation>>;

/// `GET /demo/context`: the demo user's token, and the key of the Example CRM, for the page.
async fn context(State(simulation): Simulated) -> Response<Body> {
    let token = simulation.functions.app.issue_token(&simulation.user, 14);
    let user = simulation.user.id.as_str();
    Json(json!({"token": token, "userId": user, "crmKey": simulation.crm_key})).into_response()
}

/// `GET /demo/state`: the CRM's trouble, what waits, and the recordings. The page reads it once a second.
async fn state(State(simulation): Simulated) -> Response<Body> {
    let now_ms = simulation.now_ms();
    let app = &simulation.functions.app;
    match waiting::find(&app.store, now_ms).await {
        Ok(waiting) => Json(json!({
            "now": now_ms,
            "trouble": simulation.functions.crm.trouble(),
            "waiting": waiting,
            "recordings": simulation.recordings.coming(),
            "results": simulation.recordings.results(),
        }))
        .into_response(),
        Err(error) => reject(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[derive(Deserialize)]
struct NewTrouble {
    trouble: Trouble,
}

/// `PUT /demo/trouble`: from now on the Example CRM treats requests of call-log in this way.
async fn set_trouble(
    State(simulation): Simulated,
    body: Result<Json<NewTrouble>, JsonRejection>,
) -> Response<Body> {
    match body {
        Ok(Json(NewTrouble { trouble })) => {
            simulation.functions.crm.set_trouble(trouble);
            Json(json!({"trouble": trouble})).into_response()
        }
        Err(rejection) => reject(rejection.status(), &rejection.body_text()),
    }
}

/// `POST /demo/recordings`: the recording of a call comes after a while, also if the page is closed.
async fn add_recording(
    State(simulation): Simulated,
    body: Result<Json<NewRecording>, JsonRejection>,
) -> Response<Body> {
    match body.map_err(|rejection| (rejection.status(), rejection.body_text())) {
        Ok(Json(new)) => match simulation.recordings.add(new, simulation.now_ms()) {
            Ok(()) => (StatusCode::CREATED, Json(Value::Object(Default::default()))).into_response(),
            Err(problem) => reject(StatusCode::BAD_REQUEST, problem),
        },
        Err((status, problem)) => reject(status, &problem),
    }
}

/// `POST /demo/recordings/{session}/hold`: a recording that is to come waits three seconds more, because a person edits the
/// note. The page repeats it during the edit.
async fn hold_recording(State(simulation): Simulated, Path(session): Path<String>) -> StatusCode {
    simulation.recordings.hold(&session, simulation.now_ms());
    StatusCode::NO_CONTENT
}

/// `POST /demo/recordings/{session}/send`: a recording that is to come, or failed, comes now.
async fn send_recording(State(simulation): Simulated, Path(session): Path<String>) -> Response<Body> {
    match simulation.recordings.send_now(&session, simulation.now_ms()) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => reject(StatusCode::NOT_FOUND, "No recording of this call is to come."),
    }
}
