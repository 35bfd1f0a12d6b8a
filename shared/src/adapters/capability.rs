//! The declarations of an adapter about its CRM: its capabilities, and how its requests are authorized.

use std::{fmt, time::Duration};

use crate::note::{Format, Limits};

/// The capabilities of a CRM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capabilities {
    /// The format in which the CRM shows the body of a call log.
    pub format: Format,
    /// The ways to find the record of an attempt whose response was lost, the best first. The others are used if the CRM
    /// refuses the way before them with [`ErrorKind::KeyRefused`](super::ErrorKind::KeyRefused).
    pub recovery: &'static [Recovery],
    /// The condition under which the CRM changes a record.
    pub compare_and_set: CompareAndSet,
    /// The further request that completes a record.
    pub finish: Finish,
    /// The longest texts that the CRM accepts.
    pub limits: Limits,
    /// Whose requests the CRM's rate limits count together.
    pub limit_scope: LimitScope,
    /// `true` if a record's version or time of change shows each change by a person or by us, and no automation of the CRM
    /// moves it. Only then does an unchanged record prove anything, so that the duplicate sweep may delete a record that it
    /// has recognised by its content.
    pub shows_edits: bool,
}

impl Capabilities {
    /// Returns the longest time after which the CRM's searches show a record.
    pub fn search_lag(&self) -> Duration {
        let lags = self.recovery.iter().map(|recovery| match recovery {
            Recovery::LaggingSearch(lag) | Recovery::TagSearch(lag) => *lag,
            Recovery::ByKey | Recovery::ConsistentList | Recovery::None => Duration::ZERO,
        });
        lags.max().unwrap_or_default()
    }

    /// Returns `true` if the CRM may have records that can be recognised only by their content.
    pub fn recovers_by_content(&self) -> bool {
        self.recovery.iter().any(|recovery| recovery.is_by_content())
    }
}

/// The meaning of a user's host for the CRM account that the user belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAccount {
    /// None: users of several accounts have the same host.
    Shared,
    /// A host belongs to one account. Only the CRM knows the account's id.
    One,
    /// The host is of the account with this id.
    Named(String),
}

/// A way to find the record of an attempt whose response was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The call tag is a unique key of the record, so the record can be read by it as soon as it was created. Creating it
    /// again fails with [`ErrorKind::AlreadyExists`](super::ErrorKind::AlreadyExists).
    ByKey,
    /// The call tag is a field of the record that is not unique. A search by it shows a record after this delay.
    TagSearch(Duration),
    /// The record has no call tag. A list shows every record as soon as it was created.
    ConsistentList,
    /// The record has no call tag. A search shows a record after this delay.
    LaggingSearch(Duration),
    /// There is none. A create whose outcome is unknown is sent again after the grace period, and may make a second
    /// record.
    None,
}

impl Recovery {
    /// Returns `true` if a record that is found has the call tag, so that it is certainly the call's.
    pub fn is_by_tag(self) -> bool {
        matches!(self, Recovery::ByKey | Recovery::TagSearch(_))
    }

    /// Returns `true` if a record that is found has no call tag. It may resemble the call's record and be another call's.
    pub fn is_by_content(self) -> bool {
        matches!(self, Recovery::ConsistentList | Recovery::LaggingSearch(_))
    }

    /// The name of this way in the table. It never changes.
    pub fn name(self) -> &'static str {
        match self {
            Recovery::ByKey => "key",
            Recovery::TagSearch(_) => "tag",
            Recovery::ConsistentList => "list",
            Recovery::LaggingSearch(_) => "search",
            Recovery::None => "none",
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recovery::ByKey => out.write_str("by key"),
            Recovery::TagSearch(lag) => write!(out, "by tag after {} s", lag.as_secs()),
            Recovery::ConsistentList => out.write_str("consistent list"),
            Recovery::LaggingSearch(lag) => write!(out, "search after {} s", lag.as_secs()),
            Recovery::None => out.write_str("none"),
        }
    }
}

/// The condition under which a CRM changes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareAndSet {
    /// The record still has the version that was read. A change in between fails with
    /// [`ErrorKind::Conflict`](super::ErrorKind::Conflict).
    Exact,
    /// The same, but the version is a time in whole seconds, so that a change in the same second goes unnoticed.
    OneSecond,
    /// None: the last write wins.
    None,
}

impl fmt::Display for CompareAndSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CompareAndSet::Exact => "exact",
            CompareAndSet::OneSecond => "one second",
            CompareAndSet::None => "none",
        })
    }
}

/// The further request that completes a record, such as a time entry, or closing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// None.
    None,
    /// Once, when the duration of the call is known, and again if the duration is corrected.
    WithDuration,
    /// After the create and after each change, because a change reopens the record.
    AfterEachChange,
}

/// Whose requests a CRM counts together in its rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// All users of one CRM account.
    Account,
    /// Each user alone.
    User,
}

/// The way in which a request carries a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// `Authorization: <scheme> <secret>` (RFC 9110, section 11.6.2).
    Scheme(&'static str),
    /// A header of the CRM's own, whose whole value is the secret. In lower case.
    Header(&'static str),
    /// `Authorization: Basic`, with the secret as the user name and without a password (RFC 7617).
    Basic,
}

impl Authentication {
    /// `Authorization: Bearer <secret>` (RFC 6750, section 2.1).
    pub const BEARER: Authentication = Authentication::Scheme("Bearer");
}
