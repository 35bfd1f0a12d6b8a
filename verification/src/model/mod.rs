//! The protocol of `docs/exactly-once.md` as a model that is small enough to be explored to the end.
//!
//! The model has one item, the invocations that work on it, a CRM, and the writes on their way to the CRM. Between two
//! steps of one invocation, every step of another invocation, a crash, a pause or a lost response can happen.
//!
//! The model is frozen: it is rewritten by hand only where the protocol's transitions change. It says nothing about how
//! the code recognises a call or a record; that is what [`crate::simulation`] checks. The one link to the code is the
//! table of transitions, [`call_log::store::TRANSITIONS`]: a test fails if the model takes a transition that the table
//! does not have, or does not take one that it has.
//!
//! | Module | Contents |
//! |---|---|
//! | [`state`], `pack` | one state of the model |
//! | [`step`] | the steps that can follow a state |
//! | `claims`, `lease_holder`, `sweep`, `release` | the protocol: how an attempt starts, what it does in the CRM, how it ends |
//! | `naive` | the protocol of most integrations, for contrast |
//! | `environment` | time, the network, crashes and people |
//! | [`property`] | what must hold in every state, and how everything must end |
//! | [`explore`], [`trace`] | exploration of all states, and the steps to one of them |
//! | [`scope`], [`run`], [`mutant`] | the bounds, the expected results, and the broken rules that must be detected |

mod claims;
mod environment;
pub mod explore;
mod lease_holder;
pub mod mutant;
mod naive;
mod pack;
pub mod property;
mod release;
pub mod run;
pub mod scope;
pub mod state;
pub mod step;
mod sweep;
pub mod trace;
