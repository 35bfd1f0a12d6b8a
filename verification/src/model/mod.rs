//! The protocol, small enough to be explored to the end.
//!
//! One item, the invocations that come to it, a CRM, and the writes that are on their way to it. Every place between
//! two steps of an invocation is one at which another's step, a death, a pause or a lost answer can come.
//!
//! | Module | Has |
//! |---|---|
//! | [`state`], [`pack`] | what there is at one moment |
//! | [`step`] | what can follow, in words |
//! | [`claims`], [`lease_holder`], [`sweep`], [`release`] | the protocol: how an attempt begins, what it does in the CRM, how it ends |
//! | [`naive`] | another one, for contrast |
//! | [`environment`] | time, the network, death and people |
//! | [`property`] | what must never be, and how everything must end |
//! | [`explore`], [`trace`] | going everywhere, and telling the way |
//! | [`scope`], [`run`], [`mutant`] | what is explored, what it has to show, and the faults that must be found |

pub mod claims;
pub mod environment;
pub mod explore;
pub mod lease_holder;
pub mod mutant;
pub mod naive;
pub mod pack;
pub mod property;
pub mod release;
pub mod run;
pub mod scope;
pub mod state;
pub mod step;
pub mod sweep;
pub mod trace;
