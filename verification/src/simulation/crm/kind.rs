//! The kinds of CRMs: what the fake CRM can do, and the defects that tests inject into it.

use std::{fmt, time::Duration};

use call_log::{
    adapters::{self, Capabilities, CompareAndSet, Crm, Finish, LimitScope, Recovery},
    note::{Format, Limits},
};

use tests::contrary_crm::ContraryCrm;

use super::GRACE_MS;

/// The way in which the CRM shows what a create without a response did, or the one CRM whose real adapter is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// The call tag is a unique key.
    Key,
    /// A list shows every record at once, and no record has a tag.
    List,
    /// A search shows every record after a lag, and no record has a tag.
    Search,
    /// Nothing shows it: the create is repeated.
    None,
    /// The Contrary CRM: a key, and a search while an administrator has switched keys off.
    Contrary,
}

const LIST: &[Recovery] = &[Recovery::ConsistentList];
/// The ways of each kind. A schedule draws one row; of the CRMs with a key, also those that a real adapter declares.
const KEYS: &[&[Recovery]] = &[
    &[Recovery::ByKey, tag_search(0)],
    &[Recovery::ByKey, tag_search(20)],
    &[Recovery::ByKey, tag_search(40)],
];
/// The lags are shorter and longer than the grace.
const SEARCHES: &[&[Recovery]] = &[&[search(5)], &[search(20)], &[search(40)]];

const fn search(seconds: u64) -> Recovery {
    Recovery::LaggingSearch(Duration::from_secs(seconds))
}

const fn tag_search(seconds: u64) -> Recovery {
    Recovery::TagSearch(Duration::from_secs(seconds))
}

const fn capabilities(
    format: Format,
    recovery: &'static [Recovery],
    compare_and_set: CompareAndSet,
    finish: Finish,
) -> Capabilities {
    Capabilities {
        format,
        recovery,
        compare_and_set,
        finish,
        limits: Limits::UNLIMITED,
        limit_scope: LimitScope::Account,
        shows_edits: true,
    }
}

/// A CRM with a list and without compare-and-set.
pub const PLAIN: Capabilities = capabilities(Format::Plain, LIST, CompareAndSet::None, Finish::None);
/// A CRM with a list and compare-and-set.
pub const CONDITIONAL: Capabilities = capabilities(Format::Html, LIST, CompareAndSet::Exact, Finish::None);
/// A CRM with a key that closes its records.
pub const CLOSING: Capabilities =
    capabilities(Format::Html, KEYS[1], CompareAndSet::Exact, Finish::AfterEachChange);
/// A CRM with a search and a time entry for each call.
pub const TIMED: Capabilities =
    capabilities(Format::Plain, SEARCHES[2], CompareAndSet::Exact, Finish::WithDuration);
/// A CRM without any way to find a record.
pub const BLIND: Capabilities =
    capabilities(Format::Plain, &[Recovery::None], CompareAndSet::None, Finish::None);

/// Returns what the Contrary CRM can do.
pub fn contrary() -> Capabilities {
    ContraryCrm.capabilities()
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Key, Kind::List, Kind::Search, Kind::None, Kind::Contrary];

    /// Returns the kind of the schedule with this seed. Any five seeds in a row have all kinds.
    pub fn of_seed(seed: u64) -> Kind {
        Kind::ALL[(seed % Kind::ALL.len() as u64) as usize]
    }

    /// Draws a CRM of this kind.
    pub(in crate::simulation) fn draw(self, rng: &mut fastrand::Rng) -> Capabilities {
        let mut ways = |all: &[&'static [Recovery]]| all[rng.usize(..all.len())];
        let declared = adapters::REGISTRY.iter().map(|crm| crm.capabilities().recovery);
        let declared = declared.filter(|ways| ways[0] == Recovery::ByKey);
        let recovery = match self {
            Kind::Key => ways(&KEYS.iter().copied().chain(declared).collect::<Vec<_>>()),
            Kind::List => LIST,
            Kind::Search => ways(SEARCHES),
            Kind::None => &[Recovery::None],
            Kind::Contrary => return contrary(),
        };
        capabilities(
            [Format::Plain, Format::Html][rng.usize(..2)],
            recovery,
            [CompareAndSet::Exact, CompareAndSet::OneSecond, CompareAndSet::None][rng.usize(..3)],
            [Finish::None, Finish::None, Finish::WithDuration, Finish::AfterEachChange][rng.usize(..4)],
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Key => "key",
            Kind::List => "list",
            Kind::Search => "search",
            Kind::None => "none",
            Kind::Contrary => "contrary",
        })
    }
}

/// A defect that tests of the oracle inject: records that are mistaken for others, or a broken rule of the protocol, as far
/// as the CRM and its adapter can break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A search returns the records of every call with the same contact.
    FindsOtherCalls,
    /// The response to a create names the record of another call.
    NamesOtherCall,
    /// A change or a deletion is applied to the record of another call.
    ChangesOtherCall,
    /// The lease covers the grace or the lag of the search, whichever is longer, and not both.
    LagNotAdded,
    /// After an unknown outcome, the record is not read by its key.
    KeyNotRead,
    /// After the CRM has refused the key, records that were sent with it are not looked for.
    EarlierWayForgotten,
    /// A record that exists already is changed by another create.
    CreateOverwrites,
    /// A record whose completion was sent is not completed again, although the response was lost.
    FinishNotRepeated,
    /// A record is completed without a look at what was completed before.
    FinishRepeatedBlindly,
    /// A change does not name the version that was read.
    VersionNotSent,
    /// The CRM's own fields are overwritten even if a person has changed them.
    FieldsOverwritten,
    /// No request names an extension.
    ExtensionIgnored,
    /// A sender who knows both halves of an extension's identity names only the number.
    HalvesNotJoined,
    /// The table does not learn that a user has moved to another account.
    MoveUnnoticed,
    /// The users of two accounts count as users of one.
    AccountsMixed,
}

impl Defect {
    /// Returns what the adapter declares of a CRM that can do this.
    pub(super) fn declared(self, real: Capabilities) -> Capabilities {
        const TEN_SECONDS: &[Recovery] = &[search(10)];
        let is_longer = real.search_lag().as_millis() as i64 > GRACE_MS;
        match self {
            // The protocol adds the grace, so that the sum is the real lag.
            Defect::LagNotAdded if is_longer => Capabilities { recovery: TEN_SECONDS, ..real },
            _ => real,
        }
    }

    /// Returns the kind of CRM whose schedules show the defect; `None`: any.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Defect::LagNotAdded => Some(Kind::Search),
            Defect::MoveUnnoticed | Defect::AccountsMixed => Some(Kind::List),
            Defect::KeyNotRead | Defect::EarlierWayForgotten | Defect::CreateOverwrites => Some(Kind::Key),
            _ => None,
        }
    }

    /// Every defect.
    pub const ALL: [Defect; 15] = [
        Defect::FindsOtherCalls,
        Defect::NamesOtherCall,
        Defect::ChangesOtherCall,
        Defect::LagNotAdded,
        Defect::KeyNotRead,
        Defect::EarlierWayForgotten,
        Defect::CreateOverwrites,
        Defect::FinishNotRepeated,
        Defect::FinishRepeatedBlindly,
        Defect::VersionNotSent,
        Defect::FieldsOverwritten,
        Defect::ExtensionIgnored,
        Defect::HalvesNotJoined,
        Defect::MoveUnnoticed,
        Defect::AccountsMixed,
    ];
}
