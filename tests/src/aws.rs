//! Fakes of the two AWS services that a process calls when it starts: Parameter Store and KMS.
//!
//! Each accepts only what the real service accepts: its own operation, in JSON 1.1, with a valid signature (AWS
//! Signature Version 4, which the fake computes independently and compares).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_types::base64;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::{
    proxy::{Proxy, Target},
    test_app::JWT_SECRET,
};

/// The target of every request to either service.
pub const REQUEST: Target = Target { method: "POST", path: "/" };
const SECRET_ACCESS_KEY: &str = "test";
const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/";

/// Both running services. They stop when this is dropped.
#[derive(Debug)]
pub struct Aws {
    pub ssm: Proxy,
    pub kms: Proxy,
    state: Shared,
}

type Shared = Arc<Mutex<Services>>;

#[derive(Debug, Default)]
struct Services {
    parameters: BTreeMap<String, String>,
    /// The error with which KMS rejects ciphertexts of a key, by the key's id.
    refusals: BTreeMap<String, &'static str>,
    /// Plaintexts by their ciphertext blobs in base64.
    encrypted: BTreeMap<String, Encrypted>,
}

#[derive(Debug)]
struct Encrypted {
    key: String,
    context: Value,
    plaintext: Vec<u8>,
}

impl Aws {
    /// Starts both services. The only parameter is `/jwt`, with the token secret of the tests.
    pub fn start() -> Aws {
        let state = Shared::default();
        let router = |service: Service| {
            Proxy::around(Router::new().route("/", post(serve)).with_state((service, state.clone())))
        };
        let aws = Aws { ssm: router(Service::Ssm), kms: router(Service::Kms), state: state.clone() };
        aws.put("/jwt", JWT_SECRET);
        aws
    }

    /// Returns the environment variables that point a process to both services and to the parameter `/jwt`.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL_SSM", self.ssm.base_url()),
            ("AWS_ENDPOINT_URL_KMS", self.kms.base_url()),
            ("JWT_SECRET", String::new()),
            ("JWT_SECRET_PARAMETER", "/jwt".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets a parameter.
    pub fn put(&self, name: &str, value: &str) {
        self.services().parameters.insert(name.to_owned(), value.to_owned());
    }

    /// Does what `aws kms generate-data-key-without-plaintext --key-spec AES_256` does with the documented encryption
    /// context. Returns the ciphertext blob in base64.
    pub fn data_key(&self, key: &str) -> String {
        let mut plaintext = vec![0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut plaintext).expect("randomness");
        self.encrypt(key, &json!({"purpose": "call-log credentials"}), plaintext)
    }

    /// Does what `aws kms encrypt` does. Returns the ciphertext blob in base64.
    pub fn encrypt(&self, key: &str, context: &Value, plaintext: Vec<u8>) -> String {
        let mut services = self.services();
        let blob = format!("a ciphertext of {key}, number {}", services.encrypted.len());
        let blob = base64::encode(blob);
        let encrypted = Encrypted { key: key.to_owned(), context: context.clone(), plaintext };
        services.encrypted.insert(blob.clone(), encrypted);
        blob
    }

    /// Makes KMS reject every ciphertext of this key with an error code, or accept them again (`None`).
    pub fn refuse(&self, key: &str, code: Option<&'static str>) {
        let mut services = self.services();
        match code {
            Some(code) => drop(services.refusals.insert(key.to_owned(), code)),
            None => drop(services.refusals.remove(key)),
        }
    }

    /// Returns the number of requests to KMS.
    pub fn decryptions(&self) -> usize {
        self.kms.count(REQUEST)
    }

    fn services(&self) -> MutexGuard<'_, Services> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug)]
enum Service {
    Ssm,
    Kms,
}

async fn serve(
    State((service, state)): State<(Service, Shared)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let (name, target) = match service {
        Service::Ssm => ("ssm", "AmazonSSM.GetParameters"),
        Service::Kms => ("kms", "TrentService.Decrypt"),
    };
    let services = state.lock().unwrap_or_else(PoisonError::into_inner);
    let response = if header(&headers, "content-type") != "application/x-amz-json-1.1"
        || header(&headers, "x-amz-target") != target
    {
        Err("UnknownOperationException")
    } else if signature(&headers, &body, name).as_deref() != Some(header(&headers, "authorization")) {
        Err("InvalidSignatureException")
    } else {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        match service {
            Service::Ssm => services.get_parameters(&request),
            Service::Kms => services.decrypt(&request),
        }
    };
    match response {
        Ok(response) => (StatusCode::OK, response.to_string()),
        Err(code) => {
            (StatusCode::BAD_REQUEST, json!({"__type": code, "message": "Rejected by the fake"}).to_string())
        }
    }
}

impl Services {
    /// `GetParameters` (Systems Manager API reference): at most ten names, each once.
    fn get_parameters(&self, request: &Value) -> Result<Value, &'static str> {
        let names: Vec<&str> =
            request["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if names.is_empty()
            || names.len() > 10
            || distinct.len() < names.len()
            || request["WithDecryption"] != true
        {
            return Err("ValidationException");
        }
        let (known, missing): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| self.parameters.contains_key(*name));
        let parameter = |name| json!({"Name": name, "Type": "SecureString", "Value": self.parameters[name], "Version": 1});
        let found: Vec<_> = known.into_iter().map(parameter).collect();
        Ok(json!({"Parameters": found, "InvalidParameters": missing}))
    }

    /// `Decrypt` (KMS API reference): the encryption context must be the same as at the encryption.
    fn decrypt(&self, request: &Value) -> Result<Value, &'static str> {
        let blob = request["CiphertextBlob"].as_str().unwrap_or_default();
        let encrypted = self.encrypted.get(blob).ok_or("InvalidCiphertextException")?;
        if let Some(refusal) = self.refusals.get(&encrypted.key) {
            return Err(refusal);
        }
        if request["EncryptionContext"] != encrypted.context {
            return Err("InvalidCiphertextException");
        }
        Ok(json!({
            "KeyId": format!("{KEY_ARN}{}", encrypted.key), "Plaintext": base64::encode(&encrypted.plaintext),
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns the `Authorization` header that this request must have (AWS general reference, "Create a signed AWS API
/// request"), or `None` if a header that must be signed is not.
fn signature(headers: &HeaderMap, body: &[u8], service: &str) -> Option<String> {
    let given = header(headers, "authorization");
    let signed = given.split("SignedHeaders=").nth(1)?.split(',').next()?;
    let names: Vec<&str> = signed.split(';').collect();
    if !["host", "x-amz-date", "x-amz-target"].iter().all(|name| names.contains(name)) {
        return None;
    }
    let canonical: String =
        names.iter().map(|name| format!("{name}:{}\n", header(headers, name).trim())).collect();
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    let request = format!("POST\n/\n\n{canonical}\n{signed}\n{}", hash(body));
    let time = header(headers, "x-amz-date");
    let date = time.split('T').next()?;
    let scope = format!("{date}/us-east-1/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(request.as_bytes()));
    let mac = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let key = [date, "us-east-1", service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET_ACCESS_KEY}").into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    Some(format!("AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders={signed}, Signature={signature}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
