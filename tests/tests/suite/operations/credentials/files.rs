//! Data keys in files, for installations without KMS.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn credentials_are_encrypted_with_the_new_key_file_and_decrypted_with_either() {
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
        "an existing key file is not replaced"
    );
    assert_eq!(fs::read(&old).unwrap(), before);

    let old_app = test.app_with(&[("CREDENTIALS_KEY_FILE", &old)]).await.unwrap();
    old_app.store.put_user(&test.user).await.unwrap();
    let both = [("CREDENTIALS_KEY_FILE", new.as_str()), ("CREDENTIALS_KEY_FILE_PREVIOUS", &old)];
    let app = test.app_with(&both).await.unwrap();
    assert_eq!(test.send(&app, "POST", &call("1")).await.message(), LOGGED);
    let only_new = test.app_with(&both[..1]).await.unwrap();
    assert_eq!(
        test.send(&only_new, "POST", &call("2")).await.status,
        500,
        "credentials encrypted with the old key, without that key"
    );
    app.store.put_user(&test.user).await.unwrap();
    assert_eq!(
        test.send(&only_new, "POST", &call("2")).await.message(),
        LOGGED,
        "credentials encrypted with the new key"
    );
}

#[tokio::test]
async fn the_error_for_an_unusable_key_file_says_how_to_fix_it() {
    let (test, directory) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let path = directory.path().join("credentials.key");
    let shown = path.display();
    let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let not_a_key =
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
        ("", 0o600, Some(not_a_key.clone())),
        ("AAECAwQFBgcICQoLDA0ODw==", 0o600, Some(not_a_key.clone())),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISI=", 0o600, Some(not_a_key.clone())),
        ("not base64, and thirty-two bytes", 0o600, Some(not_a_key)),
        (good, 0o600, None),
        (good, 0o400, None),
    ] {
        write(&path, text, mode);
        let started = test.app_with(&[("CREDENTIALS_KEY_FILE", &shown.to_string())]).await;
        let error = started.err().map(|error| error.to_string());
        let expected = problem.map(|problem| format!("the data key in {shown} cannot be used: {problem}"));
        assert_eq!(error, expected, "{text:?} {mode:o}");
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
