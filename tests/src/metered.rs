//! What a request uses, counted on its way to DynamoDB and to the CRM.

use std::sync::Arc;

use serde_json::Value;
use shared::{app::App, metrics::Trace, model::Deadline};

use crate::{
    cost::Use,
    meter::{Meter, Passed},
    world::{REDRIVE_MS, World, call},
};

/// What a write takes whose condition does not hold: DynamoDB does not say. An item of up to 2 kB, assumed.
const REFUSED_UNITS: f64 = 2.0;
/// How long a request takes with a CRM that answers in a few hundred milliseconds: assumed.
pub const BILLED_MS: f64 = 500.0;
/// The functions' memory in `template.yaml`.
pub const MEMORY_MB: f64 = 256.0;
/// A line of ours of about 0.8 kB, Lambda's own and the API's: assumed.
pub const LOG_BYTES: f64 = 2_500.0;
/// The answer to the caller: assumed.
pub const ANSWER_BYTES: f64 = 1_000.0;

/// A world whose ways to DynamoDB and to the CRM are metered.
#[derive(Debug)]
pub struct Metered {
    pub world: World,
    pub app: Arc<App>,
    pub dynamodb: Meter,
    pub crm: Meter,
}

impl Metered {
    pub async fn start() -> Metered {
        let world = World::start().await;
        let (dynamodb, crm) = (Meter::before(&world.dynamodb.url), Meter::before(&world.crm.base_url()));
        let variables =
            [("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb.url()), ("CRM_BASE_URL_PIPEDRIVE", &*crm.url())];
        let app = world.app_with(&variables).await.expect("the app starts");
        Metered { world, app, dynamodb, crm }
    }

    /// One successful request; what passed to DynamoDB and to the CRM.
    pub async fn send(&self, method: &str, body: &Value) -> (Vec<Passed>, Vec<Passed>) {
        // The two requests that an invocation begins with are answered only when both are on their way: one after the
        // other they would wait for ever. So they are one round trip.
        self.dynamodb.gather(2);
        let answer = self.world.send(&self.app, method, body).await;
        assert_eq!(answer.body["successful"], true, "{answer:?}");
        (self.dynamodb.take(), self.crm.take())
    }

    /// One that has logged the call `1`.
    pub async fn warm() -> Metered {
        let metered = Metered::start().await;
        metered.send("POST", &call("1")).await;
        metered
    }

    /// What one successful request uses; what is not counted is taken high.
    pub async fn used(&self, method: &str, body: &Value) -> Use {
        let (dynamodb, crm) = self.send(method, body).await;
        used(&dynamodb, &crm)
    }

    /// What one look at what is due uses.
    pub async fn redrive(&self) -> Use {
        let deadline = Deadline(self.world.now_ms() + REDRIVE_MS);
        let trace = Trace::new("metered", None);
        shared::redrive::run(&self.app, deadline, trace).await.expect("the table is there");
        used(&self.dynamodb.take(), &self.crm.take())
    }
}

fn used(dynamodb: &[Passed], crm: &[Passed]) -> Use {
    let sent: usize = crm.iter().map(|one| one.request_bytes).sum();
    Use {
        write_units: units(dynamodb, false),
        read_units: units(dynamodb, true),
        billed_ms: BILLED_MS,
        memory_mb: MEMORY_MB,
        log_bytes: LOG_BYTES,
        egress_bytes: sent as f64 + ANSWER_BYTES,
    }
}

/// The units that DynamoDB took for the reads, or for the writes.
pub fn units(passed: &[Passed], reads: bool) -> f64 {
    let of_kind = passed.iter().filter(|one| (one.name != "UpdateItem") == reads);
    of_kind.map(|one| one.units.unwrap_or(REFUSED_UNITS)).sum()
}
