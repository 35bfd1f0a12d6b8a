//! Hashing and hexadecimal text for the whole crate.

/// Returns a 64-bit hash of `parts` that is the same in every version of this program, so it may be stored.
///
/// The function is FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>). It spreads keys evenly; it hides nothing.
pub fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    /// Ends each part. The byte never occurs in UTF-8, so `ab` + `c` and `a` + `bc` differ.
    const SEPARATOR: u8 = 0xff;
    let bytes = parts.into_iter().flat_map(|part| part.iter().copied().chain([SEPARATOR]));
    let hash = bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    // The low bits of FNV-1a depend only on the low bits of the input.
    hash ^ (hash >> 32)
}

/// Returns the bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stable_hash_never_changes_and_separates_its_parts() {
        assert_eq!(stable_hash([b"7-example".as_slice(), b"4503991004"]), 5_484_790_743_412_559_715);
        assert_ne!(stable_hash([b"ab".as_slice(), b"c"]), stable_hash([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn hexadecimal_text_has_two_lower_case_digits_for_each_byte() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }
}
