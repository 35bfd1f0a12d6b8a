//! Messages that many tests expect (`docs/http.md`). The tests of the HTTP contract spell them out.

pub const LOGGED: &str = "Call logged";
pub const ALREADY_LOGGED: &str = "Call already logged";
/// Another invocation holds the lease.
pub const BEING_LOGGED: &str = "The call is being logged.";
pub const UPDATED: &str = "Call log updated.";
/// The update is queued; the lease holder writes it.
pub const QUEUED: &str = "The update will be added in a moment.";
/// The update is queued until the call is logged.
pub const QUEUED_UNTIL_LOGGED: &str = "The update will be added when the call is logged.";
pub const DELETED: &str = "The call log was deleted in Pipedrive.";
pub const NOT_CONNECTED: &str = "User not found. Please connect to your CRM.";
pub const SESSION_ENDED: &str = "User session expired. Please connect again.";
pub const NOT_ANSWERING: &str = "Pipedrive is not answering";
pub const REJECTED: &str = "Pipedrive refused the call log";
pub const RATE_LIMITED: &str = "Rate limit exceeded";
pub const UNAUTHORIZED: &str = "Authorization error";
