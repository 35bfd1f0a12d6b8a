//! Mutants: rules of the protocol that are broken on purpose. A harmful mutant that no property detects is a gap in the
//! properties.

use call_log::adapters::Finish;

use super::{
    explore::{Until, explore},
    property::Problem,
    scope::{LateWrites, Scope},
    step::Model,
    trace::Trace,
};

macro_rules! mutants {
    ($($name:ident: $sentence:literal,)*) => {
        /// One broken rule of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $sentence] $name,)*
        }

        const ALL: &[Mutant] = &[$(Mutant::$name,)*];

        impl Mutant {
            /// Returns a sentence that says what is broken.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Mutant::$name => $sentence,)*
                }
            }
        }
    };
}

mutants! {
    NoGrace: "a claim waits for the lease holder's deadline, but not for the grace after it",
    ClaimIgnoresLease: "a claim does not check the lease",
    NoFence: "a write after the claim does not check that its invocation still holds the lease",
    NoDeadlineCheck: "the deadline is not checked before a write is sent",
    PostWithoutFind: "after an unknown outcome a POST is sent without a search for the record",
    UnansweredPostIsFailure: "a POST without a response counts as a failure without effect",
    UnknownNotSetAtClaim: "a claim does not store that the outcome of its attempt is unknown",
    FailureForgetsUnknown: "a failure without effect forgets that an earlier outcome is unknown",
    UnansweredForgetsUnknown: "an attempt without a response stores the outcome of the attempt before it",
    GiveUpForgetsUnknown: "giving up forgets that an outcome is unknown",
    UnansweredPatchFreesLease: "a PATCH without a response frees the lease at once",
    UnansweredPatchIsDone: "a PATCH without a response counts as done",
    PatchWithoutRead: "a record is changed without having been read",
    FinishUnconditionally: "a finish does not check whether more is queued",
    FinishForgetsQueued: "a finish does not check whether more is queued, and removes it",
    QueuedLeftOut: "a create does not write the queued details, and finishes as if it had",
    AdoptedAsComplete: "a recovered record counts as complete",
    KeepAppliesQueued: "keeping the lease stores that every queued detail is written",
    KeepDropsLease: "keeping the lease clears `lease_expires_at`",
    EnqueueLost: "an update whose claim is refused answers that its detail is queued, and does not queue it",
    EnqueueWithoutHolder: "details are queued for a lease holder where there is none",
    EnqueueFirstOverwrites: "queueing in a new item does not check whether there is an item by then",
    UpdateClaimsWhileCreating: "an update claims a call whose record is being created",
    RedriveWithoutClaim: "a redrive starts without a claim",
    DueRemovedAtClaim: "a claim removes the call from the index of due items",
    NotDueAfterFailure: "a failure without effect leaves nothing due",
    NotDueWhenUnknown: "an unknown outcome leaves nothing due",
    FailureForgetsArrivals: "a failure is due again only if its lease holder knew of queued details",
    SettleWithWork: "a redrive settles an item that has queued details",
    FailureDropsPayload: "a failure removes the payload of the create request",
    DeletedRecreated: "a record that a person deleted is created again",
    SweepNeverFlagged: "no duplicate sweep follows an unknown outcome",
    KeepForgetsSweep: "keeping the lease does not store that a duplicate sweep is to follow",
    SweepFlagClearedAtClaim: "the flag of the duplicate sweep is cleared before the sweep",
    SweepTooEarly: "the duplicate sweep does not wait until everything has landed",
    SweepKeepsFirst: "the duplicate sweep keeps the first record even if the item names another",
    SweepRenamesFirst: "the duplicate sweep keeps the first record and stores its id in the item",
    OnlyLastCriteria: "the record of an unknown outcome is searched only by the criteria of the present request",
    OnlyFirstCriteria: "the record of an unknown outcome is searched only by the criteria of the first request",
    QueuedAgain: "an update that was left queues its detail again, in place of a newer one",
    ArrivalsGivenUp: "giving up includes the details that were queued during the attempt",
    RejectedTogether: "details that the CRM rejects are removed together with those that were queued beside them",
    RejectionForgetsQueued: "details that the CRM rejects are removed together with those queued during the attempt",
    RearmForgetsUnknown: "trying again forgets that an outcome is unknown",
    PendingForgotten: "a crash forgets that the completion of the record is pending",
    ReleasedBeforeCompletion: "the lease is given back before the record is completed",
    CompletionWithoutClaim: "a redrive completes a record without a claim",
    UnansweredCompletionIsDone: "a completion without a response counts as done",
    ReopenedUnnoticed: "a change reopens a record before its completion is stored as pending",
    FailureForgetsPending: "a failure leaves nothing due if only the completion of the record is pending",
    LostLeaseContinues: "an invocation that has lost the lease continues and changes the record",
    DeleteWithoutDeadlineCheck: "the deadline is not checked before a DELETE",
    UnknownStays: "an attempt without effect stores that its outcome is unknown",
    AdoptsTheLast: "of several records that are found the last is adopted",
}

/// The number of harmless mutants at the end of the list.
const HARMLESS: usize = 4;

/// Returns the mutants that break the protocol.
pub fn harmful() -> &'static [Mutant] {
    &ALL[..ALL.len() - HARMLESS]
}

/// Returns the mutants that another rule makes harmless:
///
/// - an invocation that has lost the lease is past its deadline, so it sends nothing;
/// - no sweep deletes the record that the item names, so the order of deletions does not matter;
/// - an unnecessary search costs one list;
/// - any of several records may become the one that the item names.
pub fn harmless() -> &'static [Mutant] {
    &ALL[ALL.len() - HARMLESS..]
}

/// The scopes that are explored with a mutant, in this order, until one detects it.
pub const SCOPES: [Scope; 14] = [
    Scope::new(1, 1, 1, 0),
    Scope::new(1, 1, 1, 0).giving_up(),
    Scope::new(1, 1, 1, 0).one_deletion(),
    Scope::new(1, 1, 1, 0).one_late(LateWrites::Posts),
    Scope::new(1, 1, 0, 1),
    Scope::new(1, 2, 1, 0),
    Scope::new(1, 2, 0, 0).giving_up(),
    Scope::new(1, 2, 0, 0).one_detail(),
    Scope::new(1, 2, 1, 0).rejecting(1),
    Scope::new(3, 0, 1, 0).two_contacts(),
    Scope::new(1, 0, 1, 0).completing(Finish::WithDuration),
    Scope::new(1, 0, 1, 1).completing(Finish::WithDuration),
    Scope::new(1, 1, 1, 0).completing(Finish::AfterEachChange),
    Scope::new(2, 1, 1, 1),
];

/// The problem by which a mutant was detected.
#[derive(Debug)]
pub struct Detection {
    /// The scope in which the problem appeared.
    pub scope: Scope,
    /// The problem.
    pub problem: Problem,
    /// The number of states explored until then, over all scopes.
    pub states: usize,
    /// The shortest trace to the problem.
    pub trace: Trace,
}

/// Explores the scopes until one detects the mutant. Returns `None` if the mutant survives.
pub fn detect(mutant: Mutant) -> Option<Detection> {
    let mut states = 0;
    SCOPES.into_iter().find_map(|scope| {
        let explored = explore(Model { scope, mutant: Some(mutant) }, Until::FirstProblem);
        states += explored.state_count();
        let (problem, at) = explored.problem?;
        Some(Detection { scope, problem, states, trace: explored.trace(at) })
    })
}
