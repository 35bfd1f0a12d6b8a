//! The speed of the note engine, and that its time is linear in the length of long and hostile notes.

mod sample;

use call_log::note::{Format, compose, merge, parse};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const KB: usize = 1_000;
const MIB: usize = 1 << 20;

fn composing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compose");
    for format in Format::ALL {
        for bytes in [KB, 10 * KB, 100 * KB, 1_000 * KB] {
            let content = sample::content(bytes);
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(id(format, bytes), |bencher| bencher.iter(|| compose(format, &content)));
        }
    }
}

/// Measures one update of a note: parse, merge and render.
fn merging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse, merge, render");
    for format in Format::ALL {
        for bytes in [KB, 10 * KB, 100 * KB, 1_000 * KB] {
            let (note, update) = (sample::note(format, bytes), sample::update(bytes));
            group.throughput(Throughput::Bytes(note.body.len() as u64));
            group.bench_function(id(format, bytes), |bencher| {
                bencher.iter(|| merge(format, &note.body, &note.base, &update));
            });
        }
    }
}

/// Measures bodies for which a parser that backtracks takes quadratic time, of a quarter of a mebibyte and of one
/// mebibyte. The longer one should take four times as long.
fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hostile");
    let update = sample::update(100);
    for format in Format::ALL {
        let label = if format == Format::Html { "<b>Agent notes</b>: " } else { "- Note: " };
        for (name, piece) in [
            ("open tags", "<b>"),
            ("nested lists", "<ul><li>"),
            ("angles", "<"),
            ("entities", "&amp"),
            ("stars", "**"),
            ("dashes", "- "),
            ("empty lines", "\n"),
            ("carriage returns", "\r"),
            ("spaces", " "),
            ("labels", label),
            ("label lines", "- Note: \n"),
            ("comments", "<!--"),
            ("quotes", "\"'"),
            ("nonsense", "\u{202e}\u{0}é"),
        ] {
            for bytes in [MIB / 4, MIB] {
                let body = piece.repeat(bytes / piece.len());
                group.throughput(Throughput::Bytes(body.len() as u64));
                let id = BenchmarkId::new(format!("{format:?}, {name}"), bytes);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        (parse(format, &body).render(), merge(format, &body, &Default::default(), &update))
                    });
                });
            }
        }
    }
}

fn id(format: Format, bytes: usize) -> BenchmarkId {
    BenchmarkId::new(format!("{format:?}"), format!("{} kB", bytes / KB))
}

criterion_group! {
    name = note;
    config = Criterion::default().without_plots().sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(600));
    targets = composing, merging, hostile
}
criterion_main!(note);
