//! The attributes of the table: all names, and constructors of values.
//!
//! Names are short because DynamoDB bills an item by the bytes of its names and values. Times are in milliseconds
//! since 1970-01-01T00:00:00Z unless the constant says otherwise. *Encrypted*: bytes made by
//! [`Keyring::encrypt`](super::Keyring::encrypt) for this attribute of this item.

use aws_sdk_dynamodb::types::AttributeValue;

// Every item.

/// Text, the partition key: see [`super::keys`].
pub(super) const PK: &str = "pk";
/// Text, the sort key: see [`super::keys`].
pub(super) const SK: &str = "sk";
/// Number, **seconds** since 1970: DynamoDB deletes the item some time after it. Set by every write of a call's or
/// breaker's item that extends its life.
pub(super) const TTL: &str = "ttl";

// A call's item.

/// Text, [`State::name`](super::State::name). Written by every transition.
pub(super) const STATE: &str = "state";
/// Text, the invocation that holds the lease: the only one that may send requests to the CRM for this call. Written by
/// a claim, removed when the lease is given back.
pub(super) const HOLDER: &str = "holder";
/// Number, the end of the lease. Until then no other invocation may claim the call, even if there is no holder: a
/// request that the last holder sent may still take effect. Written by a claim and when the lease is given back.
pub(super) const LEASE_UNTIL: &str = "lease_until";
/// Number, the count of claims. Written by a claim.
pub(super) const FENCE: &str = "fence";
/// Text, the CRM's id of the record. Written once the record is known to exist.
pub(super) const LOG_ID: &str = "log_id";
/// Text, the tenant and the CRM's id of the record, the key of the index [`RECORD_INDEX`]: see [`super::keys`]. Written with
/// [`LOG_ID`] where a CRM's records have no call tag.
pub(super) const RECORD: &str = "record";
/// Boolean, an attempt to create the record may have taken effect without our knowing. A claim to create sets it,
/// because its holder may die; the end of the attempt says what is known.
pub(super) const OUTCOME_UNKNOWN: &str = "unknown";
/// Boolean, the value of [`OUTCOME_UNKNOWN`] before the present claim. Written by a claim to create.
pub(super) const PREVIOUS_OUTCOME_UNKNOWN: &str = "prev_unknown";
/// Encrypted JSON, a list of [`RecoveryCriteria`](super::RecoveryCriteria): how to find the records of attempts whose
/// outcome is unknown. Written by a claim to create and before a differing attempt; removed when the call is logged, or
/// after the duplicate sweep.
pub(super) const RECOVERY_CRITERIA: &str = "criteria";
/// Number, the time of the first attempt to create. Written by the first claim to create.
pub(super) const FIRST_AT: &str = "first_at";
/// Text, the hash of the extension whose log this is: [`ExtensionIdentity`](crate::model::ExtensionIdentity). Written by the
/// first write that brings it.
pub(super) const EXTENSION_HASH: &str = "hash";
/// Text, the number of the extension whose log this is. Written by each write that brings another one.
pub(super) const EXTENSION_NUMBER: &str = "number";
/// Text, the id of the user whose create made the log. Written with the first [`PAYLOAD`].
pub(super) const CREATOR: &str = "creator";
/// Boolean, the create of [`CREATOR`] has a note, which may be empty. Written with [`CREATOR`], removed when the call is logged.
pub(super) const HAS_NOTE: &str = "has_note";
/// Text, the id of the user who owns the record, if that is not the creator. Written with [`LOG_ID`].
pub(super) const OWNER: &str = "owner";
/// Text, the [`RecordPart`](crate::model::RecordPart)s that the record lacks, because the CRM did not accept them, with spaces
/// between. Written with [`LOG_ID`].
pub(super) const LEFT_OUT: &str = "left_out";
/// JSON, a list of [`KnownLog`](crate::model::KnownLog): the further logs of the call. Only in the item of the first log.
/// Written when a log is added or learns an identity.
pub(super) const OTHER_LOGS: &str = "logs";
/// Number, the slot of the next further log. Only in the item of the first log; absent: 1. Written when a log is added.
pub(super) const NEXT_SLOT: &str = "next_slot";
/// List of encrypted JSON, the [`QueuedUpdate`](super::QueuedUpdate)s that are not known to be in the CRM. Added to by the
/// caller that brings details, removed by the lease holder that wrote them to the CRM. The item of the first log also has
/// the updates of logs that do not exist yet.
pub(super) const QUEUE: &str = "queue";
/// Number, the count of queued updates. Written with [`QUEUE`].
pub(super) const QUEUED_VERSION: &str = "queued";
/// Set of texts, the names of the details that creates and updates have brought, and hashes of the notes. Added to by each
/// of them.
pub(super) const BROUGHT: &str = "brought";
/// Text, the id of the user whose note is in the record, if that is not [`CREATOR`]. Written by the lease holder that wrote
/// it.
pub(super) const NOTE_USER: &str = "note_user";
/// Number, the value of [`QUEUED_VERSION`] up to which all queued details are in the CRM. Written by the lease holder
/// at the end.
pub(super) const APPLIED_VERSION: &str = "applied";
/// Set of texts, fingerprints of details that a lease holder may have written to the CRM before it died: of sections, and,
/// with a dot before their names, of the CRM's own fields. Added to with each queued update, removed when the lease holder
/// confirms what it wrote.
pub(super) const UNCONFIRMED: &str = "unconfirmed";
/// Map of texts, fingerprints of the note's sections as the lease holder last wrote them: the base of the merge.
pub(super) const BASE: &str = "base";
/// Text, the fingerprint of the subject as the lease holder last wrote it, and a space and a mark if it was generated.
pub(super) const BASE_SUBJECT: &str = "base_subject";
/// Map of texts, fingerprints of the CRM's own fields as the lease holder last wrote them, or the fingerprints, separated
/// by spaces, of what attempts may have sent.
pub(super) const BASE_FIELDS: &str = "base_fields";
/// Boolean, the record may have to be completed by a further request of the lease holder. Written with [`LOG_ID`] or before
/// a change of the record, removed when the record is complete. Only for CRMs that have such a step.
pub(super) const FINISH_PENDING: &str = "finish";
/// Number, the duration of the call in **seconds** with which the record was last completed. Written when the lease is
/// given back.
pub(super) const FINISHED_SECONDS: &str = "finished";
/// Text, why the last attempt failed. Written when the lease is given back without success, removed by success.
pub(super) const REASON: &str = "reason";
/// Encrypted, packed JSON of a [`Payload`](crate::model::Payload): what a request to create brought. Written by its
/// claim, removed once it is in the CRM.
pub(super) const PAYLOAD: &str = "payload";
/// Text, the partition of the index [`DUE_INDEX`]. Present while the call has unfinished work.
pub(super) const DUE_SHARD: &str = "due_shard";
/// Number, when the redrive takes the call up, the sort key of the index [`DUE_INDEX`]. A claim sets it to the end of
/// the lease, so that a dead holder's call is not forgotten; the end of the attempt sets the next try or removes it.
pub(super) const DUE_AT: &str = "due_at";
/// Text, the id of the user whose credential the redrive uses, as long as it is valid. Written by a claim.
pub(super) const DUE_USER: &str = "due_user";
/// Number, since when something waits to be in the CRM. Written by the first claim or by a rearm, removed when nothing
/// waits any more.
pub(super) const WAITING_SINCE: &str = "waiting_since";
/// Number, since when attempts have failed because the CRM did not accept the work: the 72 hours of the retry policy count
/// from then. An attempt that fails so writes it if it is absent. An attempt that fails because a daily quota is used up,
/// because the user's session has ended, or because the record keeps changing removes it, so that this time does not count.
/// Also removed with [`WAITING_SINCE`].
pub(super) const FAILING_SINCE: &str = "failing_since";
/// Number, the count of failed attempts since [`WAITING_SINCE`]. Written when the lease is given back.
pub(super) const TRIES: &str = "tries";
/// Number, when to look for a duplicate that an attempt with unknown outcome may have made. Written when the record is
/// known to exist after such an attempt, removed when the sweep is done.
pub(super) const SWEEP_AT: &str = "sweep_at";
/// List of texts `<time> <event>`, the last events of the call for the operator. Written when the lease is given back.
pub(super) const HISTORY: &str = "history";

/// The sparse index of calls with unfinished work. Its keys are [`DUE_SHARD`] and [`DUE_AT`]; it holds
/// [`WAITING_SINCE`], [`DUE_USER`] and [`CREATOR`] too.
pub(super) const DUE_INDEX: &str = "due";

/// The sparse index of logged calls by their records. Its key is [`RECORD`]; it holds only keys.
pub(super) const RECORD_INDEX: &str = "by_record";

// A record's item. Only recovery and the duplicate sweep write it.

/// Text, the key of the item of the call log that owns the record: partition key, space, sort key.
pub(super) const OWNING_LOG: &str = "log";

// A user's item. The operator or a login writes it; renewals of the grant write the attributes named so.

/// Encrypted JSON, the user's [`Credentials`](crate::model::Credentials). Absent: not connected. Also written by a
/// renewal and by a rotation of the encryption keys.
pub(super) const CREDENTIALS: &str = "credentials";
/// Text, the host of the user's CRM.
pub(super) const HOSTNAME: &str = "hostname";
/// Text, the host of the CRM's API. Also written by a renewal that moves it.
pub(super) const API_HOST: &str = "api_host";
/// Text, the host of the CRM's authorization server.
pub(super) const LOGIN_HOST: &str = "login_host";
/// Text, the CRM's id of the account. Also the only attribute of a host's item: the account that the host belongs to.
pub(super) const ACCOUNT: &str = "account";
/// Text, the CRM's id of the user.
pub(super) const CRM_USER_ID: &str = "crm_user_id";
/// Text, the id by which the CRM knows the user as the owner of records.
pub(super) const OWNER_ID: &str = "owner_id";
/// Text, [`Zone::name`](crate::model::Zone::name).
pub(super) const ZONE: &str = "zone";
/// Map of texts, each setting as JSON. In the item of the extension's settings: encrypted JSON of an
/// [`ExtensionSettings`](super::ExtensionSettings).
pub(super) const SETTINGS: &str = "settings";
/// Number, the count of writes of the extension's settings. Written with each.
pub(super) const VERSION: &str = "version";
/// Number, seconds since 1970: tokens that were issued before are not accepted. Written when tokens are revoked.
pub(super) const VALID_FROM: &str = "valid_from";
/// Number, the count of stored grants. Written with each.
pub(super) const TOKEN_VERSION: &str = "token_version";
/// Text, the invocation that may renew the grant. Written by its claim, removed when it is done.
pub(super) const RENEWAL_HOLDER: &str = "renewal_holder";
/// Number, until when no other invocation may renew the grant. Written with [`RENEWAL_HOLDER`].
pub(super) const RENEWAL_UNTIL: &str = "renewal_until";
/// Text, the invocation that stored the last renewed grant. It recognises its own write if the response was lost.
pub(super) const LAST_RENEWAL: &str = "last_renewal";
/// Boolean, the CRM refused to renew the grant: the user must connect again. Written by a renewal.
pub(super) const SESSION_ENDED: &str = "session_ended";

/// Text, the tenant that the user administrates: see [`TenantKey`](crate::model::TenantKey). In another tenant, the user is no
/// administrator. Written by an operator.
pub(super) const ADMINISTRATES: &str = "administrates";
/// Text, the name of the user in the CRM. Written by a login.
pub(super) const NAME: &str = "name";
/// Number, when the user connected. Written by a login.
pub(super) const CONNECTED_AT: &str = "connected_at";
/// Number, when the user disconnected. Written with the removal of [`CREDENTIALS`]; removed by the next login.
pub(super) const DISCONNECTED_AT: &str = "disconnected_at";

// A tenant's item. An operator writes it.

/// Boolean, the people of the tenant may connect by themselves.
pub(super) const ALLOWED: &str = "allowed";
/// Set of texts, RingCentral's ids of the accounts whose administrators administrate the tenant.
pub(super) const RINGCENTRAL_ACCOUNTS: &str = "rc_accounts";

// The items of a tenant's administration. Requests of administrators write them; [`VERSION`] counts the writes. The item with
// the settings that notes and delivery read has them as [`SETTINGS`].

/// Encrypted packed JSON of a [`Versioned`](super::Versioned).
pub(super) const ADMINISTRATION: &str = "admin";

// The items of contacts. Requests about contacts write them.

/// Encrypted JSON, a list: the contacts that were found for a number. [`LEASE_UNTIL`] says until when they count.
pub(super) const CONTACTS: &str = "contacts";
/// Encrypted JSON: the contact that was created. Absent while it is created.
pub(super) const CONTACT: &str = "contact";

// Items of a person outside of the user's partition. A request of the person makes them.

/// The partition of the user whose request made the item, by which an erasure finds it. Set by the claim of a contact, and when
/// a login knows its user.
pub(super) const MAKER: &str = "maker";
/// Encrypted JSON: how a flow of a login ended that a command waits for.
pub(super) const REPORT: &str = "report";

// A breaker's item. The redrive writes it.

/// Number, [`BreakerState::open_until_ms`](super::BreakerState::open_until_ms).
pub(super) const OPEN_UNTIL: &str = "open_until";
/// Number, [`BreakerState::consecutive_failures`](super::BreakerState::consecutive_failures).
pub(super) const FAILURES: &str = "failures";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn boolean(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// A map of texts.
pub(super) fn texts<'n, 'v>(entries: impl IntoIterator<Item = (&'n str, &'v str)>) -> AttributeValue {
    AttributeValue::M(entries.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect())
}
