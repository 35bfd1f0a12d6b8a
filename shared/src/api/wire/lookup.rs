//! The query and the response of `GET /callLog`.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{InputError, ReturnMessage, query::Query, value};
use crate::{
    delivery::lookup::FoundLog,
    model::{NamedExtension, SessionId},
};

/// The most sessions of one request. The extension asks for all calls that its history shows.
const MOST_SESSIONS: usize = 300;
/// The most sessions of one request whose content is asked for: each is a request to the CRM.
const MOST_WITH_CONTENT: usize = 5;

/// A request for the logs of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct LogQuery {
    /// The ids as they were sent, each with its session; `None`: it can be no session's.
    pub sessions: Vec<(String, Option<SessionId>)>,
    /// The extension whose logs are meant.
    pub extension: NamedExtension,
    /// The content of the logs is asked for.
    pub with_content: bool,
}

/// Reads the query of `GET /callLog`: `sessionIds`, separated by commas, and `requireDetails`.
///
/// # Errors
///
/// If no session is named, or too many are.
pub fn read_log_query(query: &str) -> Result<LogQuery, InputError> {
    let query = Query::of(query);
    let Some(ids) = query.get("sessionIds") else {
        return Err(InputError::new(
            "`sessionIds` is missing: expected RingCentral's ids of calls, separated by commas",
        ));
    };
    let mut sessions: Vec<(String, Option<SessionId>)> = Vec::new();
    for id in ids.split(',') {
        if !sessions.iter().any(|(known, _)| known == id) {
            let session = (value::SESSION.read)(&Value::from(id)).ok().flatten();
            sessions.push((id.to_owned(), session));
        }
    }
    let with_content = query.is_true("requireDetails");
    let most = if with_content { MOST_WITH_CONTENT } else { MOST_SESSIONS };
    if sessions.len() > most {
        let what = if with_content { " with `requireDetails`" } else { "" };
        return Err(InputError::new(format!("`sessionIds` has too many ids: expected at most {most}{what}")));
    }
    let id = |name| query.get(name).map(str::to_owned);
    let extension = NamedExtension {
        hash: id("hashedExtensionId"),
        id: id("rcExtensionId"),
        number: id("extensionNumber"),
    };
    Ok(LogQuery { sessions, extension, with_content })
}

/// The response to a request for the logs of calls.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsBody<'a> {
    /// `true` unless there are no logs for this user.
    pub successful: bool,
    /// An entry for each id, in the order of the request.
    pub logs: Vec<LogEntry<'a>>,
    /// The message for the user. The extension shows it each time, so it is only there if the user has to know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_message: Option<ReturnMessage>,
}

/// The log of a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry<'a> {
    /// The id as it was sent.
    pub session_id: &'a str,
    /// The call has a log.
    pub matched: bool,
    /// The CRM record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<&'a str>,
    /// The content of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_data: Option<LogData<'a>>,
}

/// The content of a log.
#[derive(Debug, Serialize)]
pub struct LogData<'a> {
    /// The title of the record.
    pub subject: &'a str,
    /// The agent's note.
    pub note: &'a str,
    /// The choices of the form.
    pub dispositions: &'a Map<String, Value>,
}

impl<'a> LogsBody<'a> {
    /// Returns the response with these logs.
    pub fn new(query: &'a LogQuery, found: &'a HashMap<SessionId, FoundLog>) -> LogsBody<'a> {
        let entry = |(id, session): &'a (String, Option<SessionId>)| {
            let log = session.as_ref().and_then(|session| found.get(session));
            let content = log.and_then(|log| log.content.as_ref());
            LogEntry {
                session_id: id,
                matched: log.is_some(),
                log_id: log.and_then(|log| Some(log.record.as_ref()?.as_str())),
                log_data: content.map(|content| LogData {
                    subject: &content.subject,
                    note: &content.note,
                    dispositions: &content.choices,
                }),
            }
        };
        LogsBody { successful: true, logs: query.sessions.iter().map(entry).collect(), return_message: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_names_sessions() {
        type Sessions<'a> = (&'a [(&'a str, bool)], bool);
        let check = |query: &str, expected: Result<Sessions<'_>, &str>| {
            let read = read_log_query(query);
            let read = read.as_ref().map(|query| {
                let sessions = query.sessions.iter().map(|(id, session)| (id.as_str(), session.is_some()));
                (sessions.collect::<Vec<_>>(), query.with_content)
            });
            let read = read.as_ref().map(|(sessions, with)| (sessions.as_slice(), *with));
            assert_eq!(read.map_err(|error| error.message.as_str()), expected, "{query}");
        };
        check("sessionIds=1", Ok((&[("1", true)], false)));
        check("jwtToken=x&sessionIds=1,2,1&requireDetails=false", Ok((&[("1", true), ("2", true)], false)));
        check("sessionIds=1%2C2&requireDetails=true", Ok((&[("1", true), ("2", true)], true)));
        check("sessionIds=0,,%20,7", Ok((&[("0", false), ("", false), (" ", false), ("7", true)], false)));
        let long = "9".repeat(257);
        check(&format!("sessionIds={long}"), Ok((&[(&long, false)], false)));
        let missing = "`sessionIds` is missing: expected RingCentral's ids of calls, separated by commas";
        check("", Err(missing));
        check("sessionids=1", Err(missing));
        let ids = |count: usize| {
            let ids: Vec<_> = (1..=count).map(|id| id.to_string()).collect();
            format!("sessionIds={}", ids.join(","))
        };
        assert_eq!(read_log_query(&ids(300)).unwrap().sessions.len(), 300);
        check(&ids(301), Err("`sessionIds` has too many ids: expected at most 300"));
        let with = format!("{}&requireDetails=true", ids(6));
        check(&with, Err("`sessionIds` has too many ids: expected at most 5 with `requireDetails`"));
    }
}
