//! The command line.

/// The arguments of the benchmark.
pub(crate) struct Arguments {
    /// Cold starts of each program.
    pub(crate) starts: usize,
    /// Warm invocations of each program.
    pub(crate) warm: usize,
    /// Commands of other Lambda bootstraps to compare with. They receive the events of creates.
    pub(crate) peers: Vec<String>,
    /// `true` to print only the tables of cold starts and warm invocations.
    pub(crate) only_ratios: bool,
    /// `true` to print only the table of two companies of which one has a CRM that hangs.
    pub(crate) only_tenants: bool,
}

const HELP: &str = "cargo bench -p benches --bench functions -- [--starts 21] [--warm 2000] [--ratios] [--tenants] [--peer COMMAND]...";

impl Arguments {
    pub(crate) fn read() -> Arguments {
        let mut arguments =
            Arguments { starts: 21, warm: 2_000, peers: Vec::new(), only_ratios: false, only_tenants: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value: {HELP}"));
            match word.as_str() {
                // Cargo adds this argument.
                "--bench" => {}
                "--starts" => arguments.starts = number(&value()),
                "--warm" => arguments.warm = number(&value()),
                "--peer" => arguments.peers.push(value()),
                "--tenants" => arguments.only_tenants = true,
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
