//! Runs the fake of Pipedrive until it is ended, for tests of whole programs. Prints its base URL.

#![allow(clippy::print_stdout, reason = "the program prints its address")]

use std::thread;

use tests::pipedrive::FakePipedrive;

fn main() {
    let crm = FakePipedrive::start();
    crm.prepare_day();
    println!("{}", crm.base_url());
    thread::park();
}
