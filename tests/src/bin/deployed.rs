//! Runs the functions behind an emulated HTTP API, with the embedded DynamoDB and the fakes of two CRMs, until it is ended. For
//! tests of whole programs. Prints the API's base URL.

#![allow(clippy::print_stdout, reason = "the program prints its address")]

use std::thread;

use tests::{
    dynamodb::DynamoDb,
    example_crm::FakeExampleCrm,
    fake_crm::FakeCrm,
    http_api::HttpApi,
    pipedrive::{COMPANY, FakePipedrive},
    test_app::{create_table, environment},
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (dynamodb, crm, example) = (DynamoDb::start(), FakePipedrive::start(), FakeExampleCrm::start());
    crm.prepare_day();
    let allowed = format!("pipedrive:{COMPANY},example:{}", example.account());
    let example = example.proxy().base_url();
    let own = [
        ("PIPEDRIVE_CLIENT_ID", "id"),
        ("PIPEDRIVE_CLIENT_SECRET", "secret"),
        ("CRM_BASE_URL_EXAMPLE", &*example),
        ("ALLOWED_TENANTS", &*allowed),
    ];
    create_table(&environment(&dynamodb, &crm, &own)).await;
    let api = HttpApi::start(|url| {
        // The browser reaches the emulated API without TLS, so its address is configured, as behind another domain.
        environment(&dynamodb, &crm, &[own.as_slice(), &[("PUBLIC_URL", url)]].concat())
    });
    println!("{}", api.url);
    thread::park();
}
