//! The command line.

/// What is asked for.
pub(crate) struct Arguments {
    /// Cold starts of each.
    pub(crate) starts: usize,
    /// Warm invocations of each.
    pub(crate) warm: usize,
    /// Commands of other bootstraps, which get the events of creates.
    pub(crate) peers: Vec<String>,
    /// Whether only the cold and the warm table are wanted.
    pub(crate) only_ratios: bool,
}

const HELP: &str =
    "cargo bench -p benches --bench functions -- [--starts 21] [--warm 2000] [--ratios] [--peer COMMAND]...";

impl Arguments {
    pub(crate) fn read() -> Arguments {
        let mut arguments = Arguments { starts: 21, warm: 2_000, peers: Vec::new(), only_ratios: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value: {HELP}"));
            match word.as_str() {
                // What cargo adds.
                "--bench" => {}
                "--starts" => arguments.starts = number(&value()),
                "--warm" => arguments.warm = number(&value()),
                "--peer" => arguments.peers.push(value()),
                "--ratios" => arguments.only_ratios = true,
                other => panic!("{other} is unknown: {HELP}"),
            }
        }
        arguments
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number: {HELP}"))
}
