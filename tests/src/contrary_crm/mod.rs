//! The Contrary CRM: an [`adapter`] and a [`fake`] of a CRM that does everything otherwise than Pipedrive does.
//!
//! It exists in tests and in the simulation of `verification/` only, to show that the port fits CRMs of every kind. What it does, real CRMs do too: records have
//! keys that the client chooses (Dynamics 365, NetSuite), a search lags (HubSpot), changes are conditional (Clio,
//! Dynamics 365), a time entry completes a call (Clio), errors have status 200 (Zoho), updates are sent with `POST`
//! and requests need a session (Bullhorn).

pub mod adapter;
pub mod fake;
pub mod memory;
pub mod records;
mod server;

pub use adapter::ContraryCrm;
pub use fake::FakeContraryCrm;
pub use memory::MemoryContraryCrm;
