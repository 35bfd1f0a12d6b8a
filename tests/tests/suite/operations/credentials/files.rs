//! A data key in a file, for deployments without KMS.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_key_file_encrypts_and_the_previous_one_still_decrypts() {
    let (test, directory) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (old, new) = (path("old.key"), path("new.key"));
    for file in [&old, &new] {
        call_log::startup::data_keys::create_key_file(Path::new(file)).unwrap();
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_ne!(fs::read(&old).unwrap(), fs::read(&new).unwrap());
    let before = fs::read(&old).unwrap();
    assert!(
        call_log::startup::data_keys::create_key_file(Path::new(&old)).is_err(),
        "an existing file is not overwritten"
    );
    assert_eq!(fs::read(&old).unwrap(), before);

    let with_old = test.app_with(&[("CREDENTIALS_KEY_FILE", &old)]).await.unwrap();
    with_old.store.put_user(&test.user).await.unwrap();
    let both = [("CREDENTIALS_KEY_FILE", new.as_str()), ("CREDENTIALS_KEY_FILE_PREVIOUS", &old)];
    let with_both = test.app_with(&both).await.unwrap();
    assert_eq!(test.send(&with_both, "POST", &call("1")).await.message(), LOGGED);
    let only_new = test.app_with(&both[..1]).await.unwrap();
    assert_eq!(
        test.send(&only_new, "POST", &call("2")).await.status,
        500,
        "the new key alone cannot decrypt it"
    );
    with_both.store.put_user(&test.user).await.unwrap();
    assert_eq!(
        test.send(&only_new, "POST", &call("2")).await.message(),
        LOGGED,
        "encrypted with the new key"
    );
}

#[tokio::test]
async fn an_unusable_key_file_stops_the_start_with_the_reason() {
    let (test, directory) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let path = directory.path().join("credentials.key");
    let shown = path.display();
    let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let wrong_length =
        "it is not 32 bytes in base64; create one with `call-log credentials new-key-file`".to_owned();
    let accessible = |mode: &str| {
        format!(
            "other users may access it (mode {mode}); take away their permissions with `chmod 600 {shown}`"
        )
    };
    for (text, mode, problem) in [
        (good, 0o640, Some(accessible("640"))),
        (good, 0o604, Some(accessible("604"))),
        (good, 0o660, Some(accessible("660"))),
        ("", 0o600, Some(wrong_length.clone())),
        ("AAECAwQFBgcICQoLDA0ODw==", 0o600, Some(wrong_length.clone())),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISI=", 0o600, Some(wrong_length.clone())),
        ("not base64, and thirty-two bytes", 0o600, Some(wrong_length)),
        (good, 0o600, None),
        (good, 0o400, None),
    ] {
        write(&path, text, mode);
        let started = test.app_with(&[("CREDENTIALS_KEY_FILE", &shown.to_string())]).await;
        let message = started.err().map(|error| error.to_string());
        let expected = problem.map(|problem| format!("the data key in {shown} cannot be used: {problem}"));
        assert_eq!(message, expected, "{text:?} {mode:o}");
        fs::remove_file(&path).unwrap();
    }
    let missing =
        test.app_with(&[("CREDENTIALS_KEY_FILE", &shown.to_string())]).await.unwrap_err().to_string();
    assert_eq!(
        missing,
        format!(
            "the data key in {shown} cannot be used: No such file or directory (os error 2); set the path of a file \
             that `call-log credentials new-key-file` has created"
        )
    );
}
