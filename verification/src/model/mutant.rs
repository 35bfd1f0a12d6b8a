//! Faults put into the protocol on purpose: each must be found, or the properties have a hole.

use super::{
    explore::{Until, explore},
    property::Problem,
    scope::{Late, Scope},
    step::Model,
    trace::Trace,
};

macro_rules! mutants {
    ($($name:ident: $sentence:literal,)*) => {
        /// A fault in the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $sentence] $name,)*
        }

        const ALL: &[Mutant] = &[$(Mutant::$name,)*];

        impl Mutant {
            /// What is broken.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Mutant::$name => $sentence,)*
                }
            }
        }
    };
}

mutants! {
    NoGrace: "a claim waits for the owner's deadline, not for the grace after it",
    TakeoverBeforeBusy: "a claim does not look whether somebody is at it",
    NoFence: "a write after the claim does not ask whether its writer still owns the item",
    NoDeadlineCheck: "the deadline is not checked before a write is sent",
    RepostBlindly: "after an attempt that may have landed it is made without having been looked for",
    AmbiguousPostIsFailure: "a POST without an answer counts as without effect",
    AmbiguityNotSetAtClaim: "a claim does not say that its attempt may land unseen",
    AmbiguityLostOnFailure: "an attempt without effect says that no earlier one may have landed either",
    AmbiguityLostWhenUnanswered: "an attempt without an answer says what was so before it",
    AmbiguityLostWhenGivenUp: "what is given up is no longer said to have perhaps landed",
    AmbiguousPatchLetsGo: "a PATCH without an answer gives the lease back at once",
    UnansweredPatchIsDone: "a PATCH without an answer counts as done",
    PatchWithoutGet: "a log is changed without having been read",
    ReleaseIgnoresNewWants: "a finish does not look whether more is wanted",
    FinishForgetsAll: "a finish does not look whether more is wanted, and forgets that too",
    ParkedLeftOut: "a create does not write what was parked, and finishes as if it had",
    AdoptedAsComplete: "a log that is found is taken to have everything in it",
    DoneTooFar: "keeping the lease says that everything noted is written",
    KeepDropsLease: "keeping the lease sets `busy` to nothing",
    EnqueueLost: "an update that is refused the claim is answered as noted, and is not",
    EnqueueWhenFree: "facts are noted for an owner where there is none",
    ParkOverwrites: "parking does not look whether there is an item by now",
    UpdateClaimsWhilePosting: "an update claims a call that is being created",
    RedriveWithoutClaim: "a redrive begins without a claim",
    DueRemovedAtClaim: "a claim takes the call out of what is due",
    DueMissingAfterFailure: "a failure without effect leaves nothing due",
    DueMissingWhenUnanswered: "a lost answer leaves nothing due",
    ForgottenWhatCame: "a failure is due again only if its owner knew of something that waits",
    SetAsideUnseen: "a redrive sets aside what waits",
    PayloadDroppedOnFailure: "a failure forgets what the request brought",
    GoneRecreated: "a log that a person deleted is made again",
    AuditNeverFlagged: "no audit follows an attempt that may have landed unseen",
    KeepForgetsAudit: "keeping the lease does not say that an audit is to follow",
    AuditFlagClearedAtStart: "the audit's flag is taken away before the audit",
    AuditTooEarly: "the audit does not wait until everything has landed",
    AuditKeepsSmallest: "the audit keeps the first log, also when the item names another",
    AuditMovesToSmallest: "the audit keeps the first log, and has the item name that one",
    SoughtForgotten: "an attempt that may have landed is looked for by what the present request says",
    SoughtIsTheFirst: "attempts that may have landed are looked for by what the first of them was told",
    NotedAgain: "an update that was left notes its fact again, in a newer one's place",
    GivenUpWithWhatCame: "what is given up is given up with what came meanwhile",
    RefusedTogether: "facts that the CRM refuses are forgotten with those that waited beside them",
    RefusalForgetsAll: "facts that the CRM refuses are forgotten with what came meanwhile",
    RearmForgetsAmbiguity: "what is tried again is no longer said to have perhaps landed",
    LostLeaseGoesOn: "an owner whose lease is lost goes on to change the log",
    DeleteUnchecked: "the deadline is not checked before a DELETE",
    AmbiguityStays: "an attempt without effect says that it may have landed",
    AdoptsTheLast: "of several logs that are found the last is taken",
}

/// How many of the last do no harm.
const HARMLESS: usize = 4;

/// Those that break the protocol.
pub fn harmful() -> &'static [Mutant] {
    &ALL[..ALL.len() - HARMLESS]
}

/// Those that another rule makes good, so that nothing comes of them: the deadline has passed for whoever has lost its
/// lease; nobody deletes the log that the item names, so that deletions commute; looking once more costs a list; and
/// what counts is the log that the item names, not which of several that is.
pub fn harmless() -> &'static [Mutant] {
    &ALL[ALL.len() - HARMLESS..]
}

/// The explorations in which a mutant is looked for, until one finds it.
pub const HUNTS: [Scope; 11] = [
    Scope::new(1, 1, 1, 0),
    Scope::new(1, 1, 1, 0).giving_up(),
    Scope::new(1, 1, 1, 0).one_deletion(),
    Scope::new(1, 1, 1, 0).one_late(Late::Posts),
    Scope::new(1, 1, 0, 1),
    Scope::new(1, 2, 1, 0),
    Scope::new(1, 2, 0, 0).giving_up(),
    Scope::new(1, 2, 0, 0).one_fact(),
    Scope::new(1, 2, 1, 0).refusing(1),
    Scope::new(3, 0, 1, 0).two_contacts(),
    Scope::new(2, 1, 1, 1),
];

/// What found a mutant.
#[derive(Debug)]
pub struct Kill {
    pub scope: Scope,
    pub problem: Problem,
    /// How many states were seen until then, in all hunts.
    pub states: usize,
    /// The shortest way to it.
    pub trace: Trace,
}

/// Looks for what a mutant breaks; `None`: it survives.
pub fn hunt(mutant: Mutant) -> Option<Kill> {
    let mut states = 0;
    HUNTS.into_iter().find_map(|scope| {
        let explored = explore(Model { scope, mutant: Some(mutant) }, Until::Wrong);
        states += explored.states();
        let (problem, at) = explored.problem?;
        Some(Kill { scope, problem, states, trace: explored.trace(at) })
    })
}
