//! Seals what must not lie open in the table: credentials, and what people said and wrote.
//!
//! AES-256-GCM. The place of a text (key and attribute) is authenticated with it, so that a sealed text moved to
//! another user's item does not open. The name of the key stands before it, so that keys can be rotated.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
    rand::{SecureRandom, SystemRandom},
};

const KEY_NAME_LEN: usize = 4;

/// The keys that seal and open.
#[derive(Debug)]
pub struct Keyring {
    /// The first seals; all open.
    keys: Vec<Key>,
    random: SystemRandom,
}

/// One key.
#[derive(Clone, Debug)]
pub struct Key {
    name: KeyName,
    key: LessSafeKey,
    /// Where it came from, for the operator: the name of a variable.
    source: &'static str,
}

/// What a key is told from others by: the first bytes of its SHA-256. It opens nothing and may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName([u8; KEY_NAME_LEN]);

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// A sealed text that none of our keys opens in this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened with the present keys")]
pub struct Unopened;

impl Keyring {
    /// All of these open; the first one seals.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Keyring {
        Keyring { keys: keys.into_iter().collect(), random: SystemRandom::new() }
    }

    /// The keys and where they came from; the first one seals.
    pub fn keys(&self) -> impl Iterator<Item = (KeyName, &'static str)> {
        self.keys.iter().map(|key| (key.name, key.source))
    }

    /// The key that seals.
    pub fn sealing_key(&self) -> Option<KeyName> {
        self.keys.first().map(|key| key.name)
    }

    /// The key that a value was sealed with, whether or not we have it; none: it is too short to be sealed.
    pub fn key_of(sealed: &[u8]) -> Option<KeyName> {
        sealed.first_chunk().map(|name| KeyName(*name))
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
        Ok([key.name.0.as_slice(), nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (name, rest) = sealed.split_at_checked(KEY_NAME_LEN).ok_or(Unopened)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(Unopened)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Unopened)?;
        // Two keys may have one name: once in four thousand million.
        let opened = self.keys.iter().filter(|key| key.name.0 == name).find_map(|key| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let opened = key.key.open_in_place(nonce, Aad::from(place), &mut text).ok()?;
            Some(opened.to_vec())
        });
        opened.ok_or(Unopened)
    }
}

impl Key {
    /// 256 random bits, used as they are.
    pub fn data(bytes: &[u8; 32], source: &'static str) -> Key {
        let hash = digest::digest(&digest::SHA256, bytes);
        let name = KeyName(*hash.as_ref().first_chunk().expect("a hash is longer than a name"));
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        Key { name, key: LessSafeKey::new(key), source }
    }

    /// The same, from elsewhere.
    pub(crate) fn with_source(self, source: &'static str) -> Key {
        Key { source, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 32] = [
        249, 143, 41, 113, 124, 9, 165, 242, 100, 122, 108, 17, 161, 245, 48, 26, 83, 74, 140, 46, 56, 189,
        73, 42, 161, 22, 224, 143, 231, 152, 32, 38,
    ];
    const TWO: [u8; 32] = [2; 32];

    fn vault(keys: &[[u8; 32]]) -> Keyring {
        Keyring::new(keys.iter().map(|key| Key::data(key, "test")))
    }

    /// What an earlier version sealed opens for good.
    #[test]
    fn the_format_stays() {
        let sealed = [
            20, 220, 181, 240, 54, 45, 49, 170, 51, 73, 102, 167, 23, 210, 17, 176, 128, 163, 61, 208, 113,
            14, 67, 183, 167, 150, 103, 35, 166, 56, 192, 20, 126, 7, 152, 60,
        ];
        assert_eq!(vault(&[ONE]).open("p", &sealed).as_deref(), Ok(&b"text"[..]));
        assert_eq!(Keyring::key_of(&sealed).map(|name| name.to_string()).as_deref(), Some("14dcb5f0"));
    }

    /// NIST's test vector (GCM, test case 14: key and nonce zero, one zero block): a data key is the AES key itself.
    #[test]
    fn a_data_key_is_used_as_it_is() {
        let key = Key::data(&[0; 32], "test");
        let mut text = vec![0; 16];
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        key.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).unwrap();
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
        assert_eq!(key.name.to_string(), "66687aad");
    }

    #[test]
    fn opens_in_its_place_with_its_key_and_nowhere_else() {
        let sealed = vault(&[ONE]).seal("user|credentials", "τέστ".as_bytes()).unwrap();
        for (keys, place, opened) in [
            (&[ONE][..], "user|credentials", Some("τέστ")),
            (&[TWO, ONE], "user|credentials", Some("τέστ")),
            (&[TWO], "user|credentials", None),
            (&[ONE], "other|credentials", None),
        ] {
            assert_eq!(
                vault(keys).open(place, &sealed).ok(),
                opened.map(Vec::from),
                "{} keys, {place}",
                keys.len()
            );
        }
    }

    #[test]
    fn damage_is_noticed() {
        let sealed = vault(&[ONE]).seal("p", b"text").unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(vault(&[ONE]).open("p", &damaged), Err(Unopened), "byte {at}");
            assert_eq!(vault(&[ONE]).open("p", &sealed[..at]), Err(Unopened), "cut at {at}");
        }
    }
}
