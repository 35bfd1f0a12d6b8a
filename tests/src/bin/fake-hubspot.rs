//! Runs the fake of HubSpot until it is ended, for tests of whole programs. Prints its base URL.

#![allow(clippy::print_stdout, reason = "the program prints its address")]

use std::thread;

use chrono::TimeDelta;
use tests::hubspot::{BOB, FakeHubSpot};

/// The code that the page of HubSpot would issue: a test plays the page.
const CODE: &str = "an-oauth-code";

fn main() {
    let crm = FakeHubSpot::start();
    crm.accept_code(CODE);
    // The player of the day does not wait.
    crm.lag(TimeDelta::zero());
    let john = crm.add_contact("John Smith", "+16504445566");
    crm.add_deal(413, john, "Gutter", false);
    crm.add_deal(414, BOB, "Porch", false);
    println!("{}", crm.base_url());
    thread::park();
}
