//! The reasons for which a token is not accepted.

use crate::model::Explanation;

/// A missing or invalid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The request has no token. [`TokenKeys::verify`](super::TokenKeys::verify) never returns this.
    #[error("the token is missing: send it as `Authorization: Bearer <token>`")]
    Missing,
    /// The text is not a JSON Web Token, or lacks a claim.
    #[error("the token is malformed: send an HS256 JSON Web Token with `id`, `platform` and `exp`")]
    Malformed,
    /// Another secret signed the token.
    #[error("the token's signature is invalid: connect again, or ask your administrator for a new token")]
    Signature,
    /// The time of the claim `nbf` has not come.
    #[error("the token is not valid yet: check the clock of the server that issued it")]
    NotYet,
    /// The time of the claim `exp` has passed.
    #[error("the token has expired: connect again, or ask your administrator for a new token")]
    Expired,
}

impl TokenError {
    /// Returns the cause of the rejection, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            TokenError::Missing => (
                "The request has no bearer token in `Authorization` and no `jwtToken` in its query.",
                "Send a token. `call-log token ID` prints one.",
            ),
            TokenError::Malformed => (
                "The token is truncated, uses another algorithm than HS256, or lacks `id`, `platform` or `exp`.",
                "Send the token unchanged, or issue another one with `call-log token ID`.",
            ),
            TokenError::Signature => (
                "Another secret signed the token, or JWT_SECRET has changed.",
                "Issue another token with `call-log token ID`, or set the earlier secret as JWT_SECRET_PREVIOUS.",
            ),
            TokenError::NotYet => (
                "The time in `nbf` has not come: the issuer's clock is ahead, or the token is for later.",
                "Correct the clock, or wait until then.",
            ),
            TokenError::Expired => {
                ("The time in `exp` has passed.", "Issue another token with `call-log token ID`.")
            }
        };
        Explanation { cause, action }
    }
}
