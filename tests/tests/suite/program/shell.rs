//! Runs the program, and reads its output.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tests::{
    dynamodb::DynamoDb,
    runtime_api::binary,
    test_app::{HASH_KEY, JWT_SECRET, key_file},
};

/// The time limit for the program to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time limit for a command. A command that should fail, but serves, would run until it is stopped.
const COMMAND_TIME: Duration = Duration::from_secs(120);

/// The exit status and the output of a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Finished {
    /// Returns the standard output of a command that succeeded without errors.
    pub(crate) fn out(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Returns the standard error of a command that failed without output.
    pub(crate) fn error(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.error);
        self.error
    }
}

/// A directory and an environment to run the program in.
pub(crate) struct Shell {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Shell {
    /// Returns a shell with an empty directory, which is also the directory for temporary files.
    pub(crate) fn new() -> Shell {
        let directory = tempfile::tempdir().expect("a directory");
        let temporary = ("TMPDIR".to_owned(), directory.path().to_string_lossy().into_owned());
        // No command leaves this machine.
        let nowhere = (tests::pipedrive::BASE_URL_VARIABLE.to_owned(), "http://127.0.0.1:1".to_owned());
        Shell { directory, environment: [temporary, nowhere].into() }
    }

    /// Returns a shell with the environment of a table, which is not created yet.
    pub(crate) fn with_table(dynamodb: &DynamoDb) -> Shell {
        let mut shell = Shell::new();
        shell.set("TABLE_NAME", "calls");
        shell.set("JWT_SECRET", JWT_SECRET);
        shell.set("HASH_KEY", HASH_KEY);
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

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, "")
    }

    /// Runs the program with this standard input, and kills it after `COMMAND_TIME`: it then has no exit status.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Finished {
        let mut process = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let (end, ended) = mpsc::channel::<()>();
        let id = Pid::from_child(&process);
        let limit = thread::spawn(move || {
            if ended.recv_timeout(COMMAND_TIME) == Err(RecvTimeoutError::Timeout) {
                // It may have ended just now.
                let _ = kill_process(id, Signal::KILL);
            }
        });
        // A program that has ended does not read its input.
        let _ = process.stdin.take().expect("the input is piped").write_all(input.as_bytes());
        let output = process.wait_with_output().expect("the program ends");
        drop(end);
        limit.join().expect("the thread ends");
        finished(output)
    }

    /// Starts `call-log serve` on free ports, and waits until it announces itself.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with(&[&["serve", "--port", "0", "--dynamodb-port", "0"], arguments].concat())
    }

    /// Starts `call-log serve` with these arguments, and waits until it announces itself.
    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Server {
        let mut process = self.command(arguments).stdin(Stdio::null()).spawn().expect("the program starts");
        let mut out = BufReader::new(process.stdout.take().expect("the output is piped"));
        let mut announcement = String::new();
        while !announcement.ends_with("Press Ctrl-C to stop.\n") {
            let read = out.read_line(&mut announcement).expect("the output is text");
            assert!(read > 0, "it ended: {:?}", process.wait_with_output());
        }
        Server { process, announcement }
    }

    /// Returns the program with these arguments, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("call-log"));
        command.args(arguments).current_dir(self.path()).env_clear().envs(&self.environment);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Returns the exit status and the output of a process that has ended.
pub(crate) fn finished(output: Output) -> Finished {
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Finished { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// A running `call-log serve`. It is killed when this value is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) announcement: String,
}

impl Server {
    /// Returns the first word after this label in the announcement.
    pub(crate) fn announced(&self, label: &str) -> &str {
        let rest = self.announcement.split_once(label).expect("it is announced").1;
        rest.split([' ', '\n', ',']).find(|word| !word.is_empty()).expect("a word")
    }

    pub(crate) fn url(&self) -> &str {
        self.announced("\nPage").trim_end_matches('/')
    }

    pub(crate) fn token(&self) -> &str {
        self.announced("\nToken")
    }

    /// Returns the variables that the announcement exports.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let exports = self.announcement.lines().filter_map(|line| line.strip_prefix("export "));
        let words = exports.flat_map(|line| shell_words::split(line).expect("a shell can read it"));
        let pair = |word: String| {
            let (name, value) = word.split_once('=')?;
            let file = value.strip_prefix("$(cat '").and_then(|rest| rest.strip_suffix("')"));
            let value = file.map_or_else(
                || value.to_owned(),
                |file| std::fs::read_to_string(file).expect("the secret's file"),
            );
            Some((name.to_owned(), value))
        };
        words.filter_map(pair).collect()
    }

    /// Ends the program like Ctrl-C.
    pub(crate) fn interrupt(mut self) -> Finished {
        let process = Pid::from_child(&self.process);
        kill_process(process, Signal::INT).expect("the process is running");
        let patience = Instant::now() + PATIENCE;
        let status = loop {
            match self.process.try_wait().expect("the process has a status") {
                Some(status) => break status,
                None => assert!(Instant::now() < patience, "the program is still running"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        let mut error = String::new();
        let mut stream = self.process.stderr.take().expect("the errors are piped");
        std::io::Read::read_to_string(&mut stream, &mut error).expect("the errors are text");
        Finished { code: status.code(), out: String::new(), error }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
