//! Encryption of what must not be readable in the table: credentials, and what people said and wrote.
//!
//! The cipher is AES-256-GCM with a random nonce (NIST SP 800-38D). The item's key and the attribute's name are
//! authenticated with the ciphertext, so that one copied to another user's item does not decrypt. A ciphertext begins
//! with the name of its key, so that keys can be rotated.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use crate::model::hash::hex;

const KEY_NAME_LEN: usize = 4;

/// The keys that encrypt and decrypt.
#[derive(Debug)]
pub struct Keyring {
    /// The first one encrypts; all decrypt.
    keys: Vec<EncryptionKey>,
}

/// A key of 256 bits.
#[derive(Clone, Debug)]
pub struct EncryptionKey {
    name: KeyName,
    key: LessSafeKey,
    /// The environment variable that the key came from, for the operator.
    source: &'static str,
}

/// The name of a key: the first bytes of its SHA-256. It is not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName([u8; KEY_NAME_LEN]);

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

/// The text cannot be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The keyring is empty.
    #[error("cannot encrypt: no encryption key is configured")]
    NoKey,
    /// The system has no random bytes for a nonce, or the text is longer than AES-GCM allows.
    #[error("cannot encrypt: the system has no random bytes, or the text is too long")]
    Failed,
}

/// No key of the keyring decrypts the ciphertext for this associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the encryption keys decrypts the value")]
pub struct DecryptError;

impl Keyring {
    /// A keyring whose first key encrypts. All keys decrypt.
    pub fn new(keys: impl IntoIterator<Item = EncryptionKey>) -> Keyring {
        Keyring { keys: keys.into_iter().collect() }
    }

    /// Returns the keys with the environment variables that they came from. The first one encrypts.
    pub fn keys(&self) -> impl Iterator<Item = (KeyName, &'static str)> {
        self.keys.iter().map(|key| (key.name, key.source))
    }

    /// Returns the name of the key that encrypts, if there is one.
    pub fn current_key(&self) -> Option<KeyName> {
        self.keys.first().map(|key| key.name)
    }

    /// Returns the name of the key that a ciphertext was made with. It need not be a key of any keyring. Returns `None`
    /// if the bytes are too short for a ciphertext.
    pub fn key_name_in(ciphertext: &[u8]) -> Option<KeyName> {
        ciphertext.first_chunk().map(|name| KeyName(*name))
    }

    /// Encrypts a text. `associated_data` is authenticated with it and is needed to decrypt it.
    ///
    /// # Errors
    /// See [`EncryptError`].
    pub fn encrypt(&self, associated_data: &str, plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
        let key = self.keys.first().ok_or(EncryptError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| EncryptError::Failed)?;
        let mut encrypted = plaintext.to_vec();
        key.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data),
                &mut encrypted,
            )
            .map_err(|_| EncryptError::Failed)?;
        Ok([key.name.0.as_slice(), nonce.as_slice(), encrypted.as_slice()].concat())
    }

    /// Decrypts a ciphertext made with the same associated data.
    ///
    /// # Errors
    /// Fails if no key decrypts it: its key is missing, it is damaged, or it belongs to another item or attribute.
    pub fn decrypt(&self, associated_data: &str, ciphertext: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let (name, remainder) = ciphertext.split_at_checked(KEY_NAME_LEN).ok_or(DecryptError)?;
        let (nonce, encrypted) = remainder.split_at_checked(NONCE_LEN).ok_or(DecryptError)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| DecryptError)?;
        // All keys of that name are tried: once in four thousand million, two keys have the same name.
        let plaintext = self.keys.iter().filter(|key| key.name.0 == name).find_map(|key| {
            let mut buffer = encrypted.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let plaintext = key.key.open_in_place(nonce, Aad::from(associated_data), &mut buffer).ok()?;
            Some(plaintext.to_vec())
        });
        plaintext.ok_or(DecryptError)
    }
}

impl EncryptionKey {
    /// A key of 256 random bits, used as it is. `source`: the environment variable that it came from.
    pub fn data(bytes: &[u8; 32], source: &'static str) -> EncryptionKey {
        let [first, second, third, fourth, ..]: [u8; 32] = Sha256::digest(bytes).into();
        EncryptionKey { name: KeyName([first, second, third, fourth]), key: aes_key(bytes), source }
    }

    /// Returns the same key with another source.
    pub(crate) fn with_source(self, source: &'static str) -> EncryptionKey {
        EncryptionKey { source, ..self }
    }
}

fn aes_key(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("an AES-256 key has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 32] = [
        249, 143, 41, 113, 124, 9, 165, 242, 100, 122, 108, 17, 161, 245, 48, 26, 83, 74, 140, 46, 56, 189,
        73, 42, 161, 22, 224, 143, 231, 152, 32, 38,
    ];
    const TWO: [u8; 32] = [2; 32];

    fn keyring(keys: &[[u8; 32]]) -> Keyring {
        Keyring::new(keys.iter().map(|key| EncryptionKey::data(key, "test")))
    }

    #[test]
    fn a_ciphertext_of_an_earlier_version_decrypts() {
        let ciphertext = [
            20, 220, 181, 240, 54, 45, 49, 170, 51, 73, 102, 167, 23, 210, 17, 176, 128, 163, 61, 208, 113,
            14, 67, 183, 167, 150, 103, 35, 166, 56, 192, 20, 126, 7, 152, 60,
        ];
        assert_eq!(keyring(&[ONE]).decrypt("p", &ciphertext).as_deref(), Ok(&b"text"[..]));
        let name = Keyring::key_name_in(&ciphertext).map(|name| name.to_string());
        assert_eq!(name.as_deref(), Some("14dcb5f0"));
    }

    /// NIST's test vector (GCM, test case 14): key and nonce of zeros, one block of zeros.
    #[test]
    fn a_data_key_is_the_aes_key_itself() {
        let key = EncryptionKey::data(&[0; 32], "test");
        let mut text = vec![0; 16];
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        key.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).unwrap();
        assert_eq!(hex(&text), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
        assert_eq!(key.name.to_string(), "66687aad");
    }

    #[test]
    fn a_ciphertext_decrypts_only_with_its_key_and_its_associated_data() {
        let ciphertext = keyring(&[ONE]).encrypt("user|credentials", "τέστ".as_bytes()).unwrap();
        for (keys, associated_data, plaintext) in [
            (&[ONE][..], "user|credentials", Some("τέστ")),
            (&[TWO, ONE], "user|credentials", Some("τέστ")),
            (&[TWO], "user|credentials", None),
            (&[ONE], "other|credentials", None),
        ] {
            assert_eq!(
                keyring(keys).decrypt(associated_data, &ciphertext).ok(),
                plaintext.map(Vec::from),
                "{} keys, {associated_data}",
                keys.len()
            );
        }
    }

    #[test]
    fn equal_texts_have_different_ciphertexts() {
        let keyring = keyring(&[ONE]);
        assert_ne!(keyring.encrypt("p", b"text").unwrap(), keyring.encrypt("p", b"text").unwrap());
    }

    #[test]
    fn a_keyring_without_keys_encrypts_nothing() {
        assert_eq!(keyring(&[]).encrypt("p", b"text"), Err(EncryptError::NoKey));
    }

    #[test]
    fn a_damaged_ciphertext_does_not_decrypt() {
        let ciphertext = keyring(&[ONE]).encrypt("p", b"text").unwrap();
        for at in 0..ciphertext.len() {
            let mut damaged = ciphertext.clone();
            damaged[at] ^= 1;
            assert_eq!(keyring(&[ONE]).decrypt("p", &damaged), Err(DecryptError), "byte {at}");
            assert_eq!(keyring(&[ONE]).decrypt("p", &ciphertext[..at]), Err(DecryptError), "cut at {at}");
        }
    }
}
