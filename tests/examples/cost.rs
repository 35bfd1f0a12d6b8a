//! What a million calls cost: counted operations, and the price list. `docs/cost.md` explains it.

#![allow(clippy::print_stdout, reason = "this is its output")]

use serde_json::json;
use shared::store::AUDIT_AFTER_MS;
use tests::{
    cost::{US_EAST_1, Use, per_million, total},
    fault_proxy::Fault,
    metered::Metered,
    pipedrive::Route,
    world::call,
};

/// How many looks a month has.
const LOOKS: f64 = 30.0 * 24.0 * 60.0;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let metered = Metered::warm().await;
    let update =
        json!({"sessionId": "2", "recordingLink": "https://media.example/2", "note": "Wants two quotes"});
    let early = json!({"sessionId": "3", "aiNote": "Bob asked"});
    let create = metered.used("POST", &call("2")).await;
    let again = metered.used("POST", &call("2")).await;
    let change = metered.used("PATCH", &update).await;
    let parked = metered.used("PATCH", &early).await;
    let deferred = deferred().await;
    // No API and no answer are paid for where nobody asks.
    let look = Use { billed_ms: 200.0, egress_bytes: 0.0, ..metered.redrive().await };

    let cases = [
        ("create", create),
        ("create again", again),
        ("update", change),
        ("update before its call", parked),
        ("create, delivered later", deferred),
    ];
    println!("{:<24}{}", "dollars per million", cases.map(|(name, _)| format!("{name:>24}")).concat());
    let bills = cases.map(|(_, used)| per_million(&used, &US_EAST_1));
    for (at, position) in bills[0].iter().enumerate() {
        let row: String = bills.iter().map(|bill| format!("{:>24.2}", bill[at].per_million)).collect();
        println!("{:<24}{row}", position.name);
    }
    println!(
        "{:<24}{}",
        "total",
        bills.iter().map(|bill| format!("{:>24.2}", total(bill))).collect::<String>()
    );
    for (name, unit) in [("write units", true), ("read units", false)] {
        let row =
            cases.map(|(_, used)| format!("{:>24}", if unit { used.write_units } else { used.read_units }));
        println!("{name:<24}{}", row.concat());
    }
    let month =
        per_million(&look, &US_EAST_1).iter().skip(1).map(|position| position.per_million).sum::<f64>()
            * LOOKS
            / 1e6;
    println!(
        "\nA month of looks with nothing due: {month:.2} dollars ({} read units a look)",
        look.read_units
    );
}

/// A create whose answer is lost, and what the redrive then does, the audit included.
async fn deferred() -> Use {
    let metered = Metered::warm().await;
    metered.world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    metered.world.crm.next(Route::ListActivities, Fault::Status(500));
    metered.dynamodb.gather(2);
    metered.world.send(&metered.app, "POST", &call("2")).await;
    metered.world.pass(60_000);
    let later = metered.redrive().await;
    metered.world.pass(AUDIT_AFTER_MS + 60_000);
    let audit = metered.redrive().await;
    let both = |of: fn(&Use) -> f64| of(&later) + of(&audit);
    Use {
        write_units: both(|used| used.write_units),
        read_units: both(|used| used.read_units),
        billed_ms: both(|used| used.billed_ms),
        log_bytes: both(|used| used.log_bytes),
        egress_bytes: both(|used| used.egress_bytes),
        ..later
    }
}
