//! Composes and merges a 10 kB note in each format; the argument is the number of repetitions. `.ci/counts` runs it
//! under callgrind, which counts instructions: the count depends on the processor's architecture, but not on the load.

#[path = "../../../note/sample.rs"]
mod sample;

use std::hint::black_box;

use call_log::note::{Format, compose, merge};

fn main() {
    let number = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let inputs = Format::ALL.map(|format| (format, sample::note(format, 10_000)));
    let (content, update) = (sample::content(10_000), sample::update(10_000));
    for _ in 0..number.unwrap_or(1) {
        for (format, note) in &inputs {
            black_box(compose(*format, &content));
            black_box(merge(*format, &note.body, &note.base, &update));
        }
    }
}
