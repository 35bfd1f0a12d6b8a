//! Runs the fake of Pipedrive until it is ended, for tests of whole programs. Prints its base URL.

#![allow(clippy::print_stdout, reason = "the program prints its address")]

use std::thread;

use tests::pipedrive::{BOB, FakePipedrive};

/// The code that the page of Pipedrive would issue: a test plays the page.
const CODE: &str = "an-oauth-code";

fn main() {
    let crm = FakePipedrive::start();
    crm.accept_code(CODE);
    let john = crm.add_person("John Smith", "+16504445566", None);
    crm.add_deal(412, john, "Roof", "open");
    crm.add_deal(413, BOB, "Gutter", "open");
    println!("{}", crm.base_url());
    thread::park();
}
