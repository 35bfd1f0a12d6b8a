//! The data keys that credentials are sealed with: 256 random bits that KMS has encrypted, or that lie in a file.
//!
//! KMS keeps the key that encrypts a data key; we keep the encrypted data key, and have it decrypted when the process
//! starts. So whoever reads the table and the configuration reads no credentials, and KMS has a record of each start.

use std::{collections::BTreeMap, fs, io, path::Path};

use aws_smithy_types::base64;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    model::{Clock, Secret},
    startup::{
        aws::{self, Failure, Operation},
        config::Config,
    },
    store::EncryptionKey,
};

/// What KMS authenticates with a data key, so that an encrypted key of something else is not taken for one of ours.
const CONTEXT: (&str, &str) = ("purpose", "call-log credentials");
const LENGTH: usize = 32;

/// A data key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the data key in {place} cannot be used: {problem}")]
pub struct Unusable {
    pub place: String,
    pub problem: String,
}

/// An encrypted data key, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    /// The name of a parameter or of a variable.
    pub(crate) place: String,
    pub(crate) blob: Secret,
    pub(crate) source: &'static str,
}

/// What KMS has decrypted before, by its encrypted form: it is not asked twice.
pub(crate) type Decrypted = BTreeMap<String, EncryptionKey>;

/// The data keys of a configuration.
#[derive(Debug)]
pub(crate) struct DataKeys {
    current: Option<EncryptionKey>,
    others: Vec<EncryptionKey>,
    pub(crate) decrypted: Decrypted,
    /// One that only opens is missing: KMS did not decrypt it.
    pub(crate) incomplete: bool,
}

impl DataKeys {
    /// All keys, those of files too; the first one seals.
    pub(crate) fn with_files(self, config: &Config) -> Result<Vec<EncryptionKey>, Unusable> {
        let mut keys: Vec<EncryptionKey> = self.current.into_iter().collect();
        if let Some(path) = &config.key_file {
            keys.push(read_file(path, "CREDENTIALS_KEY_FILE")?);
        }
        keys.extend(self.others);
        for path in &config.other_key_files {
            keys.push(read_file(path, "CREDENTIALS_KEY_FILE_PREVIOUS")?);
        }
        Ok(keys)
    }
}

/// Has KMS decrypt data keys, all at once. Without the current one there is nothing to seal with, so that it must be
/// there; without another only what that one has sealed stays shut.
pub(crate) async fn decrypt_all(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    current: Option<&Encrypted>,
    others: &[Encrypted],
    known: &Decrypted,
) -> Result<DataKeys, Unusable> {
    let one = async |encrypted: &Encrypted| match known.get(encrypted.blob.expose()) {
        Some(key) => Ok(key.clone().with_source(encrypted.source)),
        None => decrypt(http, config, clock, encrypted).await,
    };
    let mut results = join_all(current.into_iter().chain(others).map(one)).await.into_iter();
    let mut keys =
        DataKeys { current: None, others: Vec::new(), decrypted: Decrypted::new(), incomplete: false };
    if let (Some(encrypted), Some(result)) = (current, current.and_then(|_| results.next())) {
        let key = result?;
        keys.decrypted.insert(encrypted.blob.expose().to_owned(), key.clone());
        keys.current = Some(key);
    }
    for (encrypted, result) in others.iter().zip(results) {
        match result {
            Ok(key) => {
                keys.decrypted.insert(encrypted.blob.expose().to_owned(), key.clone());
                keys.others.push(key);
            }
            Err(error) => {
                tracing::error!(%error, "what this key has sealed cannot be opened");
                keys.incomplete = true;
            }
        }
    }
    Ok(keys)
}

/// Has KMS decrypt a data key.
async fn decrypt(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    encrypted: &Encrypted,
) -> Result<EncryptionKey, Unusable> {
    let unusable = |problem: String| Unusable { place: encrypted.place.clone(), problem };
    let blob = encrypted.blob.expose().trim();
    if blob.is_empty() || base64::decode(blob).is_err() {
        return Err(unusable(
            "it is not base64; store what `aws kms generate-data-key-without-plaintext --query CiphertextBlob \
             --output text` prints"
                .to_owned(),
        ));
    }
    let operation = Operation {
        service: "kms",
        target: "TrentService.Decrypt",
        endpoint: config.kms_endpoint.as_deref(),
    };
    let body = json!({"CiphertextBlob": blob, "EncryptionContext": {CONTEXT.0: CONTEXT.1}});
    let answer = aws::call(http, config, clock, operation, &body)
        .await
        .map_err(|failure| unusable(explain(&failure, config)))?;
    let plaintext =
        answer.get("Plaintext").and_then(Value::as_str).and_then(|text| base64::decode(text).ok());
    let plaintext =
        plaintext.ok_or_else(|| unusable("KMS's answer has no key in it; try again".to_owned()))?;
    let bytes: &[u8; LENGTH] = plaintext.as_slice().try_into().map_err(|_| {
        unusable(format!(
            "it has {} bytes instead of {LENGTH}; make one with `--key-spec AES_256`",
            plaintext.len()
        ))
    })?;
    Ok(EncryptionKey::data(bytes, encrypted.source))
}

/// What is wrong, and what to do about it.
fn explain(failure: &Failure, config: &Config) -> String {
    let region = &config.region;
    let (name, value) = CONTEXT;
    let Failure::Refused { code, .. } = failure else {
        let place = config.kms_endpoint.clone().unwrap_or_else(|| format!("in {region}"));
        return format!(
            "KMS {place} gave no answer that can be read ({failure}); check AWS_REGION and the network, and try again"
        );
    };
    match code.as_str() {
        "AccessDeniedException" => format!(
            "KMS denies kms:Decrypt with the key that it belongs to; allow it in this role's policy and in the key's, \
             and check that the key is one of {region}"
        ),
        "InvalidCiphertextException" | "IncorrectKeyException" => format!(
            "KMS in {region} did not make it so; make it there with `--encryption-context \
             '{{\"{name}\": \"{value}\"}}'`, and store it whole"
        ),
        "DisabledException" => {
            "the KMS key that it belongs to is disabled; enable it with `aws kms enable-key`".to_owned()
        }
        "KMSInvalidStateException" => {
            "the KMS key that it belongs to is not in use; if it waits to be deleted, stop \
                                       that with `aws kms cancel-key-deletion`, then enable it"
                .to_owned()
        }
        "NotFoundException" => format!("the KMS key that it belongs to is not in {region}; check AWS_REGION"),
        _ => format!(
            "KMS in {region} refuses ({failure}); check this program's AWS credentials, and try again"
        ),
    }
}

/// Reads a key file: 32 random bytes in base64, for its owner's eyes only.
fn read_file(path: &Path, source: &'static str) -> Result<EncryptionKey, Unusable> {
    let unusable = |problem: String| Unusable { place: path.display().to_string(), problem };
    let unreadable = |error: io::Error| {
        unusable(format!("{error}; name a file that `call-log credentials new-key-file` has made"))
    };
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).map_err(unreadable)?.permissions());
        if mode & 0o077 != 0 {
            return Err(unusable(format!(
                "others than its owner have rights on it (mode {:o}); take them away with `chmod 600 {}`",
                mode & 0o777,
                path.display()
            )));
        }
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let bytes = base64::decode(text.trim()).ok();
    let bytes: Option<&[u8; LENGTH]> = bytes.as_deref().and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| {
        unusable(format!(
            "it is not {LENGTH} bytes in base64; make one with `call-log credentials new-key-file`"
        ))
    })?;
    Ok(EncryptionKey::data(bytes, source))
}

/// Makes a key file that only its owner can read. One that is there already is left as it is, and an error.
pub fn make_file(path: &Path) -> io::Result<()> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    io::Write::write_all(&mut file, format!("{}\n", base64::encode(bytes)).as_bytes())?;
    file.sync_all()
}
