//! Seals what must not lie open in the table: credentials, and what people said and wrote.
//!
//! AES-256-GCM. The place of a text (key and attribute) is authenticated with it, so that a sealed text moved to
//! another user's item does not open. The name of the key stands before it, so that keys can be rotated.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf,
    rand::{SecureRandom, SystemRandom},
};

use crate::model::Secret;

const KEY_NAME_LEN: usize = 4;

/// The keys that seal and open.
#[derive(Debug)]
pub struct Vault {
    /// The first seals; all open.
    keys: Vec<Key>,
    random: SystemRandom,
}

#[derive(Debug)]
struct Key {
    /// The first bytes of the key's SHA-256.
    name: [u8; KEY_NAME_LEN],
    key: LessSafeKey,
}

/// A sealed text that none of our keys opens in this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened with the present keys")]
pub struct Unopened;

impl Vault {
    /// Keys derived (HKDF-SHA256, RFC 5869) from each of these secrets; the first one seals.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Vault {
        let keys = secrets.into_iter().filter_map(|secret| Key::derive(secret.expose().as_bytes())).collect();
        Vault { keys, random: SystemRandom::new() }
    }

    /// Seals a text for its place.
    pub fn seal(&self, place: &str, text: &[u8]) -> Result<Vec<u8>, Unopened> {
        let key = self.keys.first().ok_or(Unopened)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Unopened)?;
        let mut sealed = text.to_vec();
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed)
            .map_err(|_| Unopened)?;
        Ok([key.name.as_slice(), nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (name, rest) = sealed.split_at_checked(KEY_NAME_LEN).ok_or(Unopened)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(Unopened)?;
        let key = self.keys.iter().find(|key| key.name == name).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let mut text = text.to_vec();
        let opened = key.key.open_in_place(nonce, Aad::from(place), &mut text).map_err(|_| Unopened)?;
        Ok(opened.to_vec())
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Option<Key> {
        let mut bytes = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"call-log")
            .extract(secret)
            .expand(&[b"values at rest"], &AES_256_GCM)
            .and_then(|output| output.fill(&mut bytes))
            .ok()?;
        let mut name = [0; KEY_NAME_LEN];
        name.copy_from_slice(&digest::digest(&digest::SHA256, &bytes).as_ref()[..KEY_NAME_LEN]);
        Some(Key { name, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(secrets: &[&str]) -> Vault {
        Vault::new(&secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>())
    }

    #[test]
    fn opens_in_its_place_with_its_key_and_nowhere_else() {
        let sealed = vault(&["one"]).seal("user|credentials", "τέστ".as_bytes()).unwrap();
        for (secrets, place, opened) in [
            (&["one"][..], "user|credentials", Some("τέστ")),
            (&["two", "one"], "user|credentials", Some("τέστ")),
            (&["two"], "user|credentials", None),
            (&["one"], "other|credentials", None),
        ] {
            assert_eq!(
                vault(secrets).open(place, &sealed).ok(),
                opened.map(Vec::from),
                "{secrets:?} {place}"
            );
        }
    }

    #[test]
    fn damage_is_noticed() {
        let sealed = vault(&["one"]).seal("p", b"text").unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(vault(&["one"]).open("p", &damaged), Err(Unopened), "byte {at}");
            assert_eq!(vault(&["one"]).open("p", &sealed[..at]), Err(Unopened), "cut at {at}");
        }
    }
}
