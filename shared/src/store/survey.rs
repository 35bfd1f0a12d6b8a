//! A survey of what went wrong, for the operator's program: no function may scan the table.

use super::{
    BreakerState, CallItem, Error, State, Store,
    attributes::{DUE_SHARD, OPEN_UNTIL, PAYLOAD, QUEUED_VERSION, STATE, number, text},
    breakers::read_breaker,
    keys::TableKey,
    listing::Filter,
};
use crate::model::{BreakerKey, LogKey};

/// The failures in the table.
#[derive(Debug, Default)]
pub struct Survey {
    /// The calls that were given up.
    pub given_up: Vec<(LogKey, CallItem)>,
    /// The breakers that are open.
    pub open_breakers: Vec<(BreakerKey, BreakerState)>,
    /// The number of items that this version cannot read.
    pub unreadable: usize,
}

impl Store {
    /// Finds the calls that were given up, and the open breakers. DynamoDB reads, and bills, the whole table. `now_ms`:
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn survey(&self, now_ms: i64) -> Result<Survey, Error> {
        let has_work = format!("(attribute_exists(#{QUEUED_VERSION}) OR attribute_exists(#{PAYLOAD}))");
        let has_undelivered = format!("{has_work} AND attribute_not_exists(#{DUE_SHARD})");
        let filter = Filter {
            expression: format!(
                "#{OPEN_UNTIL} > :now OR #{STATE} = :dead OR (#{STATE} = :logged AND {has_undelivered})"
            ),
            names: &[OPEN_UNTIL, STATE, QUEUED_VERSION, PAYLOAD, DUE_SHARD],
            values: vec![
                ("now", number(now_ms)),
                ("dead", text(State::DeadLetter.name())),
                ("logged", text(State::Logged.name())),
            ],
        };
        let mut survey = Survey::default();
        for item in self.scan(filter).await? {
            let Some(key) = TableKey::of_item(&item) else { continue };
            if let Some(log) = key.log_key() {
                match self.read_call(&item) {
                    Ok(call) if call.is_given_up() => survey.given_up.push((log, call)),
                    Ok(_) => {}
                    Err(_) => survey.unreadable += 1,
                }
            } else if let Some(breaker) = key.breaker_key() {
                match read_breaker(&item) {
                    Ok(state) => survey.open_breakers.push((breaker, state)),
                    Err(_) => survey.unreadable += 1,
                }
            }
        }
        Ok(survey)
    }
}
