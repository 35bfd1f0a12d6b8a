//! The keys that encrypt values in the table: data keys that KMS has encrypted, and key files.
//!
//! A data key is 256 random bits. We store it encrypted, and KMS decrypts it when the process starts. So access to the
//! table and to the configuration is not enough to read the values, and CloudTrail records each start. A key file is
//! the alternative for machines without KMS.

use std::{collections::BTreeMap, fs, io, path::Path};

use aws_smithy_types::base64;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    model::{Clock, Secret},
    startup::{
        aws::{self, AwsError, Operation},
        config::Config,
    },
    store::EncryptionKey,
};

/// The encryption context that KMS authenticates with a data key, so that an encrypted key that was made for another
/// purpose is rejected.
const CONTEXT: (&str, &str) = ("purpose", "call-log credentials");
/// The length of a key, in bytes.
const LENGTH: usize = 32;

/// A data key or a key file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the data key in {location} cannot be used: {problem}")]
pub struct DataKeyError {
    /// The name of a parameter or of a variable, or the path of a file.
    pub location: String,
    /// The problem, and the way to fix it.
    pub problem: String,
}

/// An encrypted data key.
#[derive(Clone, Debug)]
pub(crate) struct EncryptedDataKey {
    /// The name of a parameter or of a variable.
    pub(crate) location: String,
    pub(crate) ciphertext: Secret,
    /// The variable that configures the key.
    pub(crate) source: &'static str,
}

/// Data keys by their ciphertext. KMS decrypts each only once in the life of a process.
pub(crate) type DecryptedKeys = BTreeMap<String, EncryptionKey>;

/// The data keys of a configuration.
#[derive(Debug)]
pub(crate) struct DataKeys {
    current: Option<EncryptionKey>,
    previous: Vec<EncryptionKey>,
    /// All keys that KMS has decrypted.
    pub(crate) decrypted: DecryptedKeys,
    /// `true` if KMS did not decrypt one of the previous keys.
    pub(crate) is_incomplete: bool,
}

impl DataKeys {
    /// Returns these keys and those of the key files. The first one encrypts.
    ///
    /// # Errors
    ///
    /// If a key file is missing or invalid, or if other users may access it.
    pub(crate) fn with_files(self, config: &Config) -> Result<Vec<EncryptionKey>, DataKeyError> {
        let mut keys: Vec<EncryptionKey> = self.current.into_iter().collect();
        if let Some(path) = &config.key_file {
            keys.push(read_key_file(path, "CREDENTIALS_KEY_FILE")?);
        }
        keys.extend(self.previous);
        for path in &config.previous_key_files {
            keys.push(read_key_file(path, "CREDENTIALS_KEY_FILE_PREVIOUS")?);
        }
        Ok(keys)
    }
}

/// Has KMS decrypt data keys, all at once, except those in `known`.
///
/// # Errors
///
/// If the current key cannot be decrypted, because without it nothing can be encrypted. A previous key that cannot be
/// decrypted is logged and left out.
pub(crate) async fn decrypt_all(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    current: Option<&EncryptedDataKey>,
    previous: &[EncryptedDataKey],
    known: &DecryptedKeys,
) -> Result<DataKeys, DataKeyError> {
    let decrypt_one = async |encrypted: &EncryptedDataKey| match known.get(encrypted.ciphertext.expose()) {
        Some(key) => Ok(key.clone().with_source(encrypted.source)),
        None => decrypt(http, config, clock, encrypted).await,
    };
    let mut results = join_all(current.into_iter().chain(previous).map(decrypt_one)).await.into_iter();
    let mut keys = DataKeys {
        current: None,
        previous: Vec::new(),
        decrypted: DecryptedKeys::new(),
        is_incomplete: false,
    };
    if let (Some(encrypted), Some(result)) = (current, current.and_then(|_| results.next())) {
        let key = result?;
        keys.decrypted.insert(encrypted.ciphertext.expose().to_owned(), key.clone());
        keys.current = Some(key);
    }
    for (encrypted, result) in previous.iter().zip(results) {
        match result {
            Ok(key) => {
                keys.decrypted.insert(encrypted.ciphertext.expose().to_owned(), key.clone());
                keys.previous.push(key);
            }
            Err(error) => {
                tracing::error!(%error, "a previous data key is not available; values that it encrypted cannot be decrypted");
                keys.is_incomplete = true;
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
    encrypted: &EncryptedDataKey,
) -> Result<EncryptionKey, DataKeyError> {
    let failed = |problem: String| DataKeyError { location: encrypted.location.clone(), problem };
    let ciphertext = encrypted.ciphertext.expose().trim();
    if ciphertext.is_empty() || base64::decode(ciphertext).is_err() {
        return Err(failed(
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
    let body = json!({"CiphertextBlob": ciphertext, "EncryptionContext": {CONTEXT.0: CONTEXT.1}});
    let response = aws::call(http, config, clock, operation, &body)
        .await
        .map_err(|error| failed(explain(&error, config)))?;
    let plaintext =
        response.get("Plaintext").and_then(Value::as_str).and_then(|text| base64::decode(text).ok());
    let plaintext =
        plaintext.ok_or_else(|| failed("KMS's response contains no key; try again".to_owned()))?;
    let bytes: &[u8; LENGTH] = plaintext.as_slice().try_into().map_err(|_| {
        failed(format!(
            "it has {} bytes instead of {LENGTH}; generate one with `--key-spec AES_256`",
            plaintext.len()
        ))
    })?;
    Ok(EncryptionKey::data(bytes, encrypted.source))
}

/// Returns the cause of KMS's error, and what to do.
fn explain(error: &AwsError, config: &Config) -> String {
    let region = &config.region;
    let (name, value) = CONTEXT;
    let AwsError::Rejected { code, .. } = error else {
        let endpoint = config.kms_endpoint.clone().unwrap_or_else(|| format!("in {region}"));
        return format!(
            "KMS {endpoint} returned no usable response ({error}); check AWS_REGION and the network, then try again"
        );
    };
    match code.as_str() {
        "AccessDeniedException" => format!(
            "KMS denies kms:Decrypt with its KMS key; allow it in this role's policy and in the key's policy, and \
             check that the key is in {region}"
        ),
        "InvalidCiphertextException" | "IncorrectKeyException" => format!(
            "KMS in {region} did not encrypt it for this purpose; generate it there with `--encryption-context \
             '{{\"{name}\": \"{value}\"}}'`, and store all of it"
        ),
        "DisabledException" => "its KMS key is disabled; enable it with `aws kms enable-key`".to_owned(),
        "KMSInvalidStateException" => {
            "its KMS key cannot be used; if its deletion is pending, cancel that with \
                                       `aws kms cancel-key-deletion`, then enable the key"
                .to_owned()
        }
        "NotFoundException" => format!("its KMS key is not in {region}; check AWS_REGION"),
        _ => {
            format!(
                "KMS in {region} rejected the request ({error}); check the AWS credentials, then try again"
            )
        }
    }
}

/// Reads a key file: 32 random bytes in base64, which only the file's owner may access.
fn read_key_file(path: &Path, source: &'static str) -> Result<EncryptionKey, DataKeyError> {
    let failed = |problem: String| DataKeyError { location: path.display().to_string(), problem };
    let unreadable = |error: io::Error| {
        failed(format!(
            "{error}; set the path of a file that `call-log credentials new-key-file` has created"
        ))
    };
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).map_err(unreadable)?.permissions());
        if mode & 0o077 != 0 {
            return Err(failed(format!(
                "other users may access it (mode {:o}); take away their permissions with `chmod 600 {}`",
                mode & 0o777,
                path.display()
            )));
        }
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let bytes = base64::decode(text.trim()).ok();
    let bytes: Option<&[u8; LENGTH]> = bytes.as_deref().and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| {
        failed(format!(
            "it is not {LENGTH} bytes in base64; create one with `call-log credentials new-key-file`"
        ))
    })?;
    Ok(EncryptionKey::data(bytes, source))
}

/// Creates a key file that only its owner can read.
///
/// # Errors
///
/// If the file exists already, which leaves it unchanged, or if it cannot be written.
pub fn create_key_file(path: &Path) -> io::Result<()> {
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
