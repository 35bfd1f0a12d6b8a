//! Fuzzing: random and mutated inputs where inputs arrive, and what must hold for each of them.
//!
//! `cargo test` runs a few hundred inputs of each kind. For longer runs:
//!
//! ```sh
//! FUZZ_SECONDS=60 cargo test --workspace --test fuzz -- --nocapture
//! ```
//!
//! It divides the time among the kinds, and prints the number of executions of each. A failure prints the smallest input
//! that fails. The inputs are the same in each run; `FUZZ_SEED=$RANDOM` chooses others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run prints its counts, with --nocapture")]
#![allow(clippy::disallowed_methods, reason = "a variable sets the time, which is measured")]

mod events;
mod hosts;
mod inputs;
mod notes;
mod responses;
mod routes;
mod tokens;

use std::time::{Duration, Instant};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

/// The number of kinds of input, which share the time.
const KINDS: u32 = 6;
/// The number of inputs between two looks at the time.
const ROUND: u32 = 100;

/// Runs `check` with inputs of a strategy: a round of them, or rounds until this kind's share of the time has passed.
fn fuzz<S: Strategy>(kind: &str, inputs: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let time = variable("FUZZ_SECONDS").map(|seconds| Duration::from_secs(seconds.into()) / KINDS);
    let seed = variable("FUZZ_SEED").unwrap_or(0);
    let begun = Instant::now();
    let mut executions: u32 = 0;
    loop {
        let config = Config { cases: ROUND, failure_persistence: None, ..Config::default() };
        let mut numbers = [0; 32];
        numbers[..4].copy_from_slice(&seed.to_le_bytes());
        numbers[4..8].copy_from_slice(&executions.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &numbers);
        if let Err(failure) = TestRunner::new_with_rng(config, random).run(inputs, &check) {
            panic!("{kind}: {failure}");
        }
        executions += ROUND;
        if time.is_none_or(|time| begun.elapsed() >= time) {
            break;
        }
    }
    println!("{executions} executions of {kind}");
}

/// Returns a runtime for checks that wait.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
