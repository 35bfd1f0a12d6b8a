//! The cause of an error, and what to do about it.

/// The documentation of one error: `docs/errors.md` is generated from these.
///
/// An enum of errors returns it from `explain`, an exhaustive `match`: a variant without an explanation does not
/// compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Why the error occurs, in full sentences.
    pub cause: &'static str,
    /// The steps that a person can take, in full sentences.
    pub action: &'static str,
}
