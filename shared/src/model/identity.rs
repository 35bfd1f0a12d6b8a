//! Which log of a call a request is about.
//!
//! Several extensions can log one call, and each sender knows another part of an extension's identity: server-side logging
//! sends its id or number, the extension of the browser sends a hash of the id. One rule decides which log is meant, for
//! creates, updates and queued updates alike.

use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ExtensionHash, ExtensionNumber, Secret, UserId, hash::hex};

/// A RingCentral extension, as far as a request or a call log knows it: nothing, its hash, its number, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExtensionIdentity {
    /// The hash of the extension's id: [`HashKey::hash`].
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<ExtensionHash>,
    /// The number by which colleagues dial the extension.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub number: Option<ExtensionNumber>,
}

impl ExtensionIdentity {
    /// Returns `true` if neither hash nor number is known.
    pub fn is_none(&self) -> bool {
        self.hash.is_none() && self.number.is_none()
    }

    /// Returns this identity with what the other one adds. A newer number replaces an older one.
    pub fn taught(&self, newer: &ExtensionIdentity) -> ExtensionIdentity {
        ExtensionIdentity {
            hash: self.hash.clone().or_else(|| newer.hash.clone()),
            number: newer.number.clone().or_else(|| self.number.clone()),
        }
    }
}

/// The extension that the body of a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedExtension {
    /// `hashedExtensionId`
    pub hash: Option<String>,
    /// `rcExtensionId`, of which the hash is made.
    pub id: Option<String>,
    /// `extensionNumber`
    pub number: Option<String>,
}

/// The key of the hashes of extension ids. Senders make the same hashes, so they have the same key.
#[derive(Clone, Debug)]
pub struct HashKey(Secret);

impl HashKey {
    /// Returns the key with this secret.
    pub fn new(secret: Secret) -> HashKey {
        HashKey(secret)
    }

    /// Returns the hash of a RingCentral id, as App Connect makes it: SHA-256 of `<id>:<key>`, in hexadecimal digits.
    pub fn hash(&self, id: &str) -> String {
        let mut hash = Sha256::new();
        for part in [id, ":", self.0.expose()] {
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }

    /// Returns the message authentication code of these texts (HMAC with SHA-256, RFC 2104), in hexadecimal. It names what must
    /// not stand in a table key, such as a telephone number.
    pub fn code(&self, texts: &[&str]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        for text in texts {
            // The length keeps two lists of texts apart that are equal when joined.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        hex(context.sign().as_ref())
    }

    /// Returns the identity of the extension that a request names. A sender that does not know the extension sends the hash
    /// of nothing, which is no identity.
    pub fn identity(&self, named: &NamedExtension) -> ExtensionIdentity {
        const NOTHING: [&str; 3] = ["undefined", "null", ""];
        let is_known = |id: &&String| !NOTHING.contains(&id.trim());
        let is_of_known = |hash: &String| NOTHING.iter().all(|nothing| *hash != self.hash(nothing));
        let named_hash = named.hash.clone().filter(|hash| is_known(&hash)).filter(is_of_known);
        let hash = named_hash.or_else(|| Some(self.hash(named.id.as_ref().filter(is_known)?)));
        let number = named.number.clone().filter(|number| is_known(&number));
        ExtensionIdentity {
            hash: hash.and_then(ExtensionHash::new),
            number: number.and_then(ExtensionNumber::new),
        }
    }
}

/// A log of a call, as far as requests are matched with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLog {
    /// The number of the log within its call. It is never given twice.
    #[serde(rename = "s")]
    pub slot: u32,
    /// The extension whose log it is, as far as it is known.
    #[serde(flatten)]
    pub identity: ExtensionIdentity,
    /// The user whose create made the log.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserId>,
    /// The user who owns the record, if that is not the creator.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
}

/// The log that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The log with this slot.
    Log(u32),
    /// The call has no such log.
    NoLog,
    /// The request names no extension, and several logs could be meant. The number is the slot of the oldest one.
    Several(u32),
}

/// Returns the log of a call that a request with this identity, sent by this user, is about.
///
/// 1. The log with an equal hash; else
/// 2. if the request or the log has no hash, the log with an equal number; else
/// 3. if the request or the log has no identity at all, the call's only log.
/// 4. A request without identity, where there are several logs: the log that the user owns, else the one that the user
///    made, if that is exactly one.
pub fn match_log(logs: &[KnownLog], request: &ExtensionIdentity, user: Option<&UserId>) -> Match {
    let found = |log: Option<&KnownLog>| log.map(|log| Match::Log(log.slot));
    let by_hash = logs.iter().find(|log| request.hash.is_some() && log.identity.hash == request.hash);
    let by_number = || {
        logs.iter().find(|log| {
            (request.hash.is_none() || log.identity.hash.is_none())
                && request.number.is_some()
                && log.identity.number == request.number
        })
    };
    if let Some(matched) = found(by_hash).or_else(|| found(by_number())) {
        return matched;
    }
    match logs {
        [] => Match::NoLog,
        [only] if request.is_none() || only.identity.is_none() => Match::Log(only.slot),
        [oldest, ..] if request.is_none() => {
            let is_users = |of: fn(&KnownLog) -> Option<&UserId>| {
                let mut own = logs.iter().filter(move |log| user.is_some() && of(log) == user);
                own.next().filter(|_| own.next().is_none())
            };
            let owned = is_users(|log| log.owner.as_ref().or(log.creator.as_ref()));
            found(owned)
                .or_else(|| found(is_users(|log| log.creator.as_ref())))
                .unwrap_or(Match::Several(oldest.slot))
        }
        _ => Match::NoLog,
    }
}

/// Returns the identity that a log has after a request. It learns nothing that another log of the call has.
pub fn teach(logs: &[KnownLog], slot: u32, request: &ExtensionIdentity) -> ExtensionIdentity {
    let is_free = |is_taken: &dyn Fn(&ExtensionIdentity) -> bool| {
        !logs.iter().any(|log| log.slot != slot && is_taken(&log.identity))
    };
    let learned = ExtensionIdentity {
        hash: request.hash.clone().filter(|hash| is_free(&|other| other.hash.as_ref() == Some(hash))),
        number: request
            .number
            .clone()
            .filter(|number| is_free(&|other| other.number.as_ref() == Some(number))),
    };
    let own = logs.iter().find(|log| log.slot == slot);
    own.map_or(learned.clone(), |own| own.identity.taught(&learned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `h`, `n`, `hn` or nothing; with other letters in upper case for another extension.
    fn identity(text: &str) -> ExtensionIdentity {
        let part = |letters: [char; 2]| {
            letters.into_iter().find(|letter| text.contains(*letter)).map(|letter| letter.to_string())
        };
        ExtensionIdentity {
            hash: part(['h', 'H']).and_then(ExtensionHash::new),
            number: part(['n', 'N']).and_then(ExtensionNumber::new),
        }
    }

    fn log(slot: u32, (text, creator, owner): (&str, &str, &str)) -> KnownLog {
        KnownLog { slot, identity: identity(text), creator: UserId::new(creator), owner: UserId::new(owner) }
    }

    #[test]
    fn a_request_is_about_the_log_of_its_extension() {
        let check = |logs: &[(&str, &str, &str)], request: &str, user: &str, expected: Match| {
            let known: Vec<_> = (0..).zip(logs).map(|(slot, of)| log(slot, *of)).collect();
            let user = UserId::new(user);
            assert_eq!(
                match_log(&known, &identity(request), user.as_ref()),
                expected,
                "{logs:?} {request:?}"
            );
        };
        let (none, log) = (Match::NoLog, Match::Log);
        for request in ["", "h", "n", "hn"] {
            check(&[], request, "1", none);
            check(&[("", "1", "")], request, "2", log(0));
            check(&[("hn", "1", "")], request, "2", log(0));
        }
        check(&[("h", "1", "")], "h", "2", log(0));
        check(&[("h", "1", "")], "n", "2", none);
        check(&[("h", "1", "")], "hn", "2", log(0));
        check(&[("h", "1", "")], "", "2", log(0));
        check(&[("n", "1", "")], "h", "2", none);
        check(&[("n", "1", "")], "n", "2", log(0));
        check(&[("n", "1", "")], "hn", "2", log(0));
        check(&[("n", "1", "")], "", "2", log(0));
        check(&[("hn", "1", "")], "Hn", "1", none);
        check(&[("hn", "1", "")], "hN", "1", log(0));
        check(&[("hn", "1", "")], "N", "1", none);
        // The hash takes precedence over the number.
        check(&[("n", "1", ""), ("h", "1", "")], "hn", "1", log(1));
        // Among several logs, one without identity is matched with nothing that has one.
        check(&[("", "1", ""), ("h", "1", "")], "n", "1", none);
        check(&[("", "1", ""), ("h", "1", "")], "h", "1", log(1));
        // A request without identity is about the log that the user owns, else about the one that the user made.
        check(&[("h", "1", ""), ("H", "2", "")], "", "2", log(1));
        check(&[("h", "1", "2"), ("H", "1", "")], "", "2", log(0));
        check(&[("h", "1", "2"), ("H", "1", "")], "", "1", log(1));
        check(&[("h", "1", "2"), ("H", "1", "2")], "", "2", Match::Several(0));
        check(&[("h", "1", ""), ("H", "1", "")], "", "1", Match::Several(0));
        check(&[("h", "1", ""), ("H", "2", "")], "", "3", Match::Several(0));
        check(&[("h", "1", ""), ("H", "2", "")], "", "", Match::Several(0));
    }

    #[test]
    fn a_log_learns_what_no_other_log_has() {
        let check = |logs: &[&str], slot: u32, request: &str, expected: &str| {
            let known: Vec<_> = (0..).zip(logs).map(|(slot, text)| log(slot, (text, "", ""))).collect();
            assert_eq!(teach(&known, slot, &identity(request)), identity(expected), "{logs:?} {request:?}");
        };
        check(&[], 0, "hn", "hn");
        check(&[""], 0, "hn", "hn");
        check(&["n"], 0, "hn", "hn");
        check(&["hn"], 0, "hN", "hN");
        check(&["hn"], 0, "", "hn");
        check(&["h", "Hn"], 0, "hn", "h");
        check(&["n", "h"], 0, "hn", "n");
        check(&["n", "H"], 2, "Hn", "");
        check(&["n", "H"], 2, "hN", "hN");
    }

    #[test]
    fn a_hash_of_an_id_is_the_one_that_senders_send_and_the_hash_of_nothing_is_no_identity() {
        let key = HashKey::new(Secret::new("key"));
        let named = |hash: Option<&str>, id: Option<&str>, number: Option<&str>| {
            let [hash, id, number] = [hash, id, number].map(|text| text.map(str::to_owned));
            let identity = key.identity(&NamedExtension { hash, id, number });
            (identity.hash.map(String::from), identity.number.map(String::from))
        };
        // printf '%s' '62264425:key' | sha256sum
        let known = "e4ff4050984942784f8b149f8636013a0d88c6667c10ae07674ef84046b13074";
        for (hash, id, number, expected) in [
            (None, None, None, (None, None)),
            (Some("ab12"), None, None, (Some("ab12"), None)),
            (None, Some("62264425"), None, (Some(known), None)),
            (Some("ab12"), Some("62264425"), Some("101"), (Some("ab12"), Some("101"))),
            (Some("undefined"), Some("62264425"), None, (Some(known), None)),
            (Some(&*key.hash("undefined")), None, Some("101"), (None, Some("101"))),
            (Some(&*key.hash("")), Some("undefined"), Some("undefined"), (None, None)),
            (None, Some(" "), Some(""), (None, None)),
        ] {
            let expected = (expected.0.map(str::to_owned), expected.1.map(str::to_owned));
            assert_eq!(named(hash, id, number), expected, "{hash:?} {id:?} {number:?}");
        }
    }
}
