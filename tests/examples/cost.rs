//! Prints the cost of a million operations of each case, for docs/cost.md: `cargo run -p tests --example cost`.

#![allow(clippy::print_stdout, reason = "this program prints a report")]

use tests::{
    cost::{US_EAST_1, Use, per_million, total},
    metered,
};

/// Runs of the redrive in 30 days, one a minute.
const REDRIVES_A_MONTH: f64 = 30.0 * 24.0 * 60.0;
/// The columns of the table of use. An asterisk marks a column with assumptions.
const USED: [&str; 8] =
    ["requests", "invocations", "writes", "reads", "KMS", "log bytes*", "bytes out*", "ms*"];
const BILL: [&str; 9] =
    ["HTTP API", "Lambda", "GB-s*", "writes", "reads", "logs*", "egress*", "KMS", "total"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cases = metered::cases().await;
    println!("Use of one operation\n");
    print(&USED, cases.iter().map(|(name, used)| (*name, amounts(used))));
    println!("\nDollars for a million operations (us-east-1, arm64, on demand, no free tier)\n");
    print(&BILL, cases.iter().map(|(name, used)| (*name, dollars(used, 1.0))));
    println!("\nDollars for 30 days without a call\n");
    let idle = cases.iter().filter(|(_, used)| used.api_requests == 0.0 && used.lambda_requests > 0.0);
    print(&BILL, idle.map(|(_, used)| ("the redrive, once a minute", dollars(used, REDRIVES_A_MONTH / 1e6))));
    println!(
        "\n* with assumptions: {} MB; {} ms for an invocation, {} ms for a request to the CRM, {} ms for a start;\n  \
         {} more bytes in each log line; {} bytes of log from the API for each request;\n  \
         {} more bytes in each response",
        metered::MEMORY_MB,
        metered::INVOCATION_ELSE_MS,
        metered::CRM_REQUEST_MS,
        metered::START_MS,
        metered::LINE_MORE_BYTES,
        metered::API_LOG_BYTES,
        metered::API_RESPONSE_BYTES
    );
}

fn amounts(used: &Use) -> Vec<String> {
    let whole = [used.api_requests, used.lambda_requests];
    let units = [used.write_units, used.read_units];
    let rest = [used.kms_requests, used.log_bytes, used.egress_bytes, used.billed_ms];
    let whole = whole.iter().map(|amount| format!("{amount:.0}"));
    let units = units.iter().map(|amount| format!("{amount:.1}"));
    whole.chain(units).chain(rest.iter().map(|amount| format!("{amount:.0}"))).collect()
}

fn dollars(used: &Use, millions: f64) -> Vec<String> {
    let bill = per_million(used, &US_EAST_1);
    let positions = bill.iter().map(|position| position.per_million);
    positions.chain([total(&bill)]).map(|dollars| format!("{:.2}", dollars * millions)).collect()
}

/// Prints the rows in aligned columns.
fn print<'a>(head: &[&str], rows: impl Iterator<Item = (&'a str, Vec<String>)>) {
    let head = ("", head.iter().map(|name| (*name).to_owned()).collect());
    let lines: Vec<(&str, Vec<String>)> = std::iter::once(head).chain(rows).collect();
    let first = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..lines[0].1.len())
        .map(|at| lines.iter().map(|(_, cells)| cells[at].len()).max().unwrap_or_default())
        .collect();
    for (name, cells) in lines {
        let cells: String =
            cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}")).collect();
        println!("{name:<first$}{cells}");
    }
}
