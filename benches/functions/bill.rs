//! The cost of a million invocations, from counted operations.

use tests::cost::{US_EAST_1, Use, per_million, total};

use crate::{figures, harness::Harness, hops::Hops, subject::Subject};

const INVOCATIONS: usize = 50;
/// The functions' memory, as in template.yaml.
const MEMORY_MB: f64 = 256.0;
/// The bytes that Lambda (platform.start, platform.report) and the API's access log write for each request.
const PLATFORM_LOG_BYTES: f64 = 1_100.0;
/// The duration of a hop to a CRM in another region.
const FAR_CRM_MS: f64 = 200.0;

pub(crate) fn print(harness: &mut Harness, subjects: &[&Subject], hops: &[Hops]) {
    let (mut bills, mut far_sums) = (Vec::new(), Vec::new());
    for (subject, hops) in subjects.iter().zip(hops) {
        let used = count(harness, subject, hops.p50_ms);
        println!(
            "\n{}: {:.2} write units, {:.2} read units, {:.0} ms billed, {:.0} MB, {:.0} bytes of logs, {:.0} bytes out",
            subject.name,
            used.write_units,
            used.read_units,
            used.billed_ms,
            used.memory_mb,
            used.log_bytes,
            used.egress_bytes
        );
        let far = Use { billed_ms: used.billed_ms + hops.crm * (FAR_CRM_MS - 20.0), ..used };
        bills.push(per_million(&used, &US_EAST_1));
        far_sums.push(total(&per_million(&far, &US_EAST_1)));
    }
    let row = |name: &str, dollars: Vec<f64>| -> Vec<String> {
        let cells = dollars.into_iter().map(|value| format!("{value:.2}"));
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    let positions = bills.first().map_or(0, Vec::len);
    let mut rows: Vec<Vec<String>> = (0..positions)
        .map(|at| row(bills[0][at].name, bills.iter().map(|bill| bill[at].per_million).collect()))
        .collect();
    rows.push(row("**Sum**, 20 ms a hop", bills.iter().map(|bill| total(bill)).collect()));
    rows.push(row("Sum, if a hop to the CRM takes 200 ms", far_sums));
    let head: Vec<&str> = std::iter::once("Dollars for a million")
        .chain(subjects.iter().map(|subject| subject.name.as_str()))
        .collect();
    figures::print("Cost: used × price (us-east-1, arm64, on demand, no free tier)", &head, &rows);
}

/// Returns the use of one warm invocation.
fn count(harness: &mut Harness, subject: &Subject, billed_ms: f64) -> Use {
    let mut events = subject.events(harness, INVOCATIONS + 5).into_iter();
    let mut environment = subject.start(harness);
    for event in events.by_ref().take(5) {
        environment.invoke(&event);
    }
    harness.dynamodb.take();
    harness.crm.take();
    let logged = environment.log_bytes();
    let response_bytes: usize = events.map(|event| environment.invoke(&event).1.len()).sum();
    environment.settle();
    let each = INVOCATIONS as f64;
    let operations = harness.dynamodb.take();
    let units = |reads: bool| -> f64 {
        let of_kind = operations.iter().filter(|passed| (passed.name().ends_with("GetItem")) == reads);
        of_kind.filter_map(|passed| passed.units).sum::<f64>() / each
    };
    let sent: usize = harness.crm.take().iter().map(|passed| passed.request_bytes).sum();
    Use {
        api_requests: 1.0,
        lambda_requests: 1.0,
        kms_requests: 0.0,
        write_units: units(false),
        read_units: units(true),
        billed_ms: billed_ms.ceil(),
        memory_mb: MEMORY_MB,
        log_bytes: (environment.log_bytes() - logged) as f64 / each + PLATFORM_LOG_BYTES,
        egress_bytes: (sent + response_bytes) as f64 / each,
    }
}
