//! The steps of `docs/add-a-crm.md`, followed word for word.
