//! The text that `--help` shows below the options of each command.

use crate::error::EXIT_STATUSES;

/// Returns the text below the options of `call-log --help`.
pub(crate) fn program() -> String {
    let statuses: String =
        EXIT_STATUSES.iter().map(|status| format!("  {:<3}  {}\n", status.code, status.meaning)).collect();
    format!(
        "\
Examples:
  call-log                                   start everything on this machine, with a demo user
  call-log user put user.json                store a user
  call-log token 12345-example               print a token to send calls with
  call-log show 12345-example 4503991004     show the state and history of a call

Exit status:
{statuses}
docs/errors.md lists every error with its cause and what to do.
NO_COLOR=1 switches colours off. They are also off if the output is not a terminal."
    )
}

pub(crate) const SERVE: &str = "\
Examples:
  call-log serve --in-memory                      keep no data
  call-log serve --port 0 --dynamodb-port 0       use free ports, and print them
  JWT_SECRET=... call-log serve                   accept tokens that are signed with this secret

The data directory contains the table, the data of the Example CRM, the token secret, the key that hashes extension ids
and the key that encrypts credentials. CREDENTIALS_KEY_FILE names another key file. With --in-memory, the key file is a
temporary file.";

pub(crate) const DEMO: &str = "\
Examples:
  call-log demo                              needs no set-up and keeps no data";

pub(crate) const USER: &str = "\
Examples:
  call-log user put user.json
  call-log user show 12345-example
  call-log user list
  call-log user check 12345-example
  call-log user remove 12345-example
  call-log user erase 12345-example --dry-run";

pub(crate) const USER_PUT: &str = r#"Examples:
  call-log user put user.json
  echo '{"id": "12345-example", "platform": "example", "hostname": "crm.example",
    "credentials": {"type": "apiKey", "apiKey": "..."}}' | call-log user put -

The file has "id", "platform", "hostname", "timezone" or "timezoneOffset", "userSettings", and "credentials":
{"type": "apiKey", "apiKey"} or {"type": "oauth", "accessToken", "refreshToken", "expiresAt"}. Some CRMs also need
"apiHost", "loginHost", "crmUserId" or "ownerId". "account" (or "tenant") is the CRM's id of the account; without it, the
CRM is asked."#;

pub(crate) const USER_SHOW: &str = "\
Examples:
  call-log user show 12345-example
  call-log user show 12345-example | jq .userSettings";

pub(crate) const USER_REMOVE: &str = "\
Examples:
  call-log user remove 12345-example";

pub(crate) const USER_ERASE: &str = "\
Examples:
  call-log user erase 12345-example --dry-run    count what would be erased
  call-log user erase 12345-example

The table is read as a whole. A call of the user that is reported again later is logged again.";

pub(crate) const CREDENTIALS: &str = "\
Examples:
  call-log credentials status
  call-log credentials status --json | jq '.keys[].users'
  call-log credentials rotate --dry-run
  call-log credentials new-key-file credentials.key";

pub(crate) const CONNECT: &str = "\
Examples:
  call-log connect example
  call-log connect example --url https://calls.example.com --no-browser
  call-log connect example --api-token 0123456789abcdef
  call-log connect example --api-token 0123456789abcdef --set-up

It prints the user and a token. Without a key, it opens the page /connect of the API in a browser, and waits until the person
has connected there. People can also open that page by themselves. Some CRMs need a field that identifies calls; --set-up
creates it, once for each account.";

pub(crate) const TENANT: &str = "\
Examples:
  call-log tenant allow example:3151823
  call-log tenant list

A tenant is a CRM and the CRM's id of the account. ALLOWED_TENANTS of the functions can name others.";

pub(crate) const RINGCENTRAL: &str = "\
Examples:
  call-log ringcentral bind example:3151823 37439510
  call-log ringcentral list

RingCentral says with each request if the person is an administrator of the account. The refusal of a request names the
account. `call-log user admin` makes one user an administrator without RingCentral.";

pub(crate) const USER_ADMIN: &str = "\
Examples:
  call-log user admin 12345-example
  call-log user admin 12345-example --remove

An administrator locks settings, and says which extension belongs to which user of the CRM. A user who moves to another CRM
account is no administrator there.";

pub(crate) const MANIFEST: &str = "\
Examples:
  call-log manifest >manifest.json
  call-log manifest --url https://calls.example.com >manifest.json

The extension loads it from the address of its developer settings. A file can be loaded even while the API is down.";

pub(crate) const DOCTOR: &str = "\
Examples:
  call-log doctor
  call-log doctor --json | jq '.[] | select(.verdict == \"BAD\")'

It asks each CRM with each user's credential, and renews grants that have expired.";

pub(crate) const USER_LIST: &str = "\
Examples:
  call-log user list
  call-log user list --json | jq '.[].id'

The table is read as a whole.";

pub(crate) const USER_CHECK: &str = "\
Examples:
  call-log user check 12345-example";

pub(crate) const SETTINGS: &str = r#"Examples:
  call-log settings 12345-example
  call-log settings 12345-example addCallLogResult=false "logDateFormat=DD/MM/YYYY HH:mm:ss"
  call-log settings 12345-example addCallLogResult=       restore the default"#;

pub(crate) const TOKEN: &str = "\
Examples:
  call-log token 12345-example
  call-log token 12345-example --days 1 --json
  TOKEN=$(call-log token 12345-example)
  call-log token revoke 12345-example";

pub(crate) const TOKEN_REVOKE: &str = "\
Examples:
  call-log token revoke 12345-example             a token was lost, or a person has left
  call-log token revoke 12345-example --json";

pub(crate) const SHOW: &str = "\
Examples:
  call-log show 12345-example 4503991004
  call-log show 12345-example 4503991004 --json | jq '.[].state'";

pub(crate) const REDRIVE: &str = "\
Examples:
  call-log redrive                                deliver everything that is due now
  call-log redrive --json | jq .failed
  call-log redrive 12345-example 4503991004       schedule the dead letters of a call for delivery
  call-log redrive --since 2026-03-12T15:00:00Z   schedule all that was given up since then, as after an outage";

pub(crate) const STATUS: &str = "\
Examples:
  call-log status
  call-log status --watch
  call-log status --json | jq .givenUp

It reads the whole table, once and then once a minute, to find what was given up.";

pub(crate) const IMPORT: &str = "\
Examples:
  call-log import users users.csv --dry-run
  call-log import users users.csv
  call-log import call-logs callLogs.jsonl --keep-going

docs/migrate.md describes how to export the files.";

pub(crate) const IMPORT_USERS: &str = "\
Examples:
  call-log import users users.csv --dry-run
  call-log import users users.csv --replace          also overwrite existing users
  psql \"$DATABASE_URL\" -c 'COPY users TO STDOUT CSV HEADER' | call-log import users - --format csv

Columns: id, platform, hostname, timezoneName, timezoneOffset, accessToken, refreshToken, tokenExpiry, userSettings,
platformAdditionalInfo (companyId), and the fields apiHost, loginHost, account, tenant, crmUserId, ownerId of the user
file; other columns are ignored.";

pub(crate) const IMPORT_CALL_LOGS: &str = "\
Examples:
  call-log import call-logs callLogs.csv --dry-run
  call-log import call-logs callLogs.jsonl --keep-going --json
  psql \"$DATABASE_URL\" -c 'COPY \"callLogs\" TO STDOUT CSV HEADER' | call-log import call-logs - --format csv

Columns: userId, platform, sessionId, thirdPartyLogId, hashedExtensionId, extensionNumber; other columns are ignored.";

pub(crate) const COMPOSE: &str = r#"Examples:
  echo '{"note": "Wants a quote", "result": "Accepted"}' | call-log compose
  echo '{"existingBody": "- Result: Missed\n", "result": "Accepted"}' | call-log compose --format plain"#;

pub(crate) const CRMS: &str = "\
Examples:
  call-log crms
  call-log crms --json | jq '.[].platform'    the names of the platforms";

pub(crate) const TABLE: &str = "\
Examples:
  export JWT_SECRET=... HASH_KEY=... CREDENTIALS_KEY_FILE=credentials.key
  TABLE_NAME=call-log AWS_REGION=eu-central-1 call-log table create";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  call-log completions bash > ~/.local/share/bash-completion/completions/call-log
  call-log completions zsh > ~/.zfunc/_call-log                          with ~/.zfunc in $fpath
  call-log completions fish > ~/.config/fish/completions/call-log.fish
  call-log completions powershell >> $PROFILE";
