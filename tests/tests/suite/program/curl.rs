//! A `curl` command as a person copies it, taken apart as a shell does and sent, so that neither needs to be installed.

use serde_json::Value;

/// What the server answers to the command, in JSON. `variables`: those of the shell.
pub(super) async fn run(command: &str, variables: &[(&str, &str)]) -> Value {
    let mut words = split(command, variables).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
    let (mut method, mut url, mut headers, mut body) = (None, None, Vec::new(), None);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} has no value in {command}"));
        match word.as_str() {
            "-s" => {}
            "-X" => method = Some(value()),
            "-H" => headers.push(value()),
            "-d" => body = Some(value()),
            option if option.starts_with('-') => panic!("{option} is not known here: {command}"),
            _ => assert_eq!(url.replace(word), None, "two addresses: {command}"),
        }
    }
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let client = shared::transport::client().unwrap();
    let mut request = client.request(method.parse().unwrap(), url.expect("an address"));
    for header in &headers {
        let (name, value) = header.split_once(": ").expect("a name and a value");
        request = request.header(name, value);
    }
    request.body(body.unwrap_or_default()).send().await.unwrap().json().await.unwrap()
}

/// The words of a command, as POSIX shells find them.
fn split(command: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match rest.next().expect("the quote ends") {
                        '\'' => break,
                        c => quoted.push(c),
                    }
                }
            }
            '"' => {
                let quoted = word.get_or_insert_default();
                let mut text = String::new();
                loop {
                    match rest.next().expect("the quote ends") {
                        '"' => break,
                        '\\' => text.extend(rest.next()),
                        c => text.push(c),
                    }
                }
                for (name, value) in variables {
                    text = text.replace(&format!("${name}"), value);
                }
                assert!(!text.contains('$'), "an unknown variable: {text}");
                quoted.push_str(&text);
            }
            '\\' if rest.peek() == Some(&'\n') => {
                rest.next();
            }
            c if c.is_whitespace() => words.extend(word.take()),
            c => {
                assert!(!"$`;&|<>()*?~\\".contains(c), "{c} means something to a shell: {command}");
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    words
}

#[test]
fn a_command_is_split_as_a_shell_does() {
    let check = |command: &str, words: &[&str]| {
        assert_eq!(split(command, &[("A", "x y")]), words, "{command}");
    };
    check("curl  -s 'a b'\n", &["curl", "-s", "a b"]);
    check("a\\\n  \"b $A\"c ''", &["a", "b x yc", ""]);
    check("'$A \"' \"\\\"q\\\"\"", &["$A \"", "\"q\""]);
}
