//! Running the program, and looking at what it says.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tests::{
    dynamodb::DynamoDb,
    runtime_api::binary,
    test_app::{JWT_SECRET, key_file},
};

/// How long the program may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a command said.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Said {
    /// What it printed; it succeeded, and had nothing to complain about.
    pub(crate) fn out(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Its complaint; it failed, and printed nothing.
    pub(crate) fn error(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.error);
        self.error
    }
}

/// A place to run the program in: a directory, and an environment.
pub(crate) struct Shell {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Shell {
    /// An empty directory and environment.
    pub(crate) fn new() -> Shell {
        Shell { directory: tempfile::tempdir().expect("a directory"), environment: BTreeMap::new() }
    }

    /// With the environment of a table, which is not there yet.
    pub(crate) fn with_table(dynamodb: &DynamoDb) -> Shell {
        let mut shell = Shell::new();
        shell.set("TABLE_NAME", "calls");
        shell.set("JWT_SECRET", JWT_SECRET);
        shell.set("CREDENTIALS_KEY_FILE", &key_file("credentials"));
        shell.set("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.url);
        shell
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut process = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        // Whoever does not read its input has ended.
        let _ = process.stdin.take().expect("the input is piped").write_all(input.as_bytes());
        said(process.wait_with_output().expect("the program ends"))
    }

    /// Starts `call-log serve` on any ports, and waits until it says that it is running.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let fixed = ["serve", "--port", "0", "--dynamodb-port", "0"];
        let mut process = self
            .command(&[&fixed, arguments].concat())
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(process.stdout.take().expect("the output is piped"));
        let mut announcement = String::new();
        while !announcement.contains("export JWT_SECRET=") {
            let read = out.read_line(&mut announcement).expect("the output is text");
            assert!(read > 0, "it ended: {:?}", process.wait_with_output());
        }
        Server { process, announcement }
    }

    /// The program with these arguments, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("call-log"));
        command.args(arguments).current_dir(self.path()).env_clear().envs(&self.environment);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// What a process that has ended said.
pub(crate) fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// A running `call-log serve`; it is killed when it is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) announcement: String,
}

impl Server {
    /// The first word after this one in the announcement.
    pub(crate) fn said(&self, label: &str) -> &str {
        let rest = self.announcement.split_once(label).expect("it is announced").1;
        rest.split([' ', '\n', ',']).find(|word| !word.is_empty()).expect("a word")
    }

    pub(crate) fn url(&self) -> &str {
        self.said("\nPage").trim_end_matches('/')
    }

    pub(crate) fn token(&self) -> &str {
        self.said("\nToken")
    }

    /// The environment that it names for others.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let exports = self.announcement.lines().filter_map(|line| line.strip_prefix("export "));
        let pairs = exports.flat_map(|line| line.split(' ')).filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> Said {
        let process = Pid::from_child(&self.process);
        kill_process(process, Signal::INT).expect("the process is there");
        let patience = Instant::now() + PATIENCE;
        let status = loop {
            match self.process.try_wait().expect("the process can be asked") {
                Some(status) => break status,
                None => assert!(Instant::now() < patience, "it goes on"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut error = String::new();
        let mut stream = self.process.stderr.take().expect("the errors are piped");
        std::io::Read::read_to_string(&mut stream, &mut error).expect("the errors are text");
        Said { code: status.code(), out: String::new(), error }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
