//! Random names, which cannot be guessed.

use super::hash::hex;

/// Returns a name that no other has: 128 random bits, in hexadecimal.
///
/// # Panics
///
/// If the system has no randomness: two invocations could then take each other's lease for their own.
pub fn random_name() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    hex(&bytes)
}
