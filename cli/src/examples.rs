//! What `--help` shows below the options of each command.

pub(crate) const PROGRAM: &str = "\
Examples:
  call-log                                   everything on this machine, with a demo user
  call-log user put user.json                connect a user
  call-log token 12345-pipedrive             a token to send calls with
  call-log show 12345-pipedrive 4503991004   what became of a call

Exit status:
  0  done
  1  it failed; standard error says why, and what to do
  2  it was asked for in a wrong way; nothing was done

NO_COLOR=1 switches colours off; where the output is no terminal there are none.";

pub(crate) const SERVE: &str = "\
Examples:
  call-log serve --in-memory                      leaves nothing behind
  call-log serve --port 0 --dynamodb-port 0       on any ports; it prints which
  JWT_SECRET=... call-log serve                   takes tokens that are signed with this secret";

pub(crate) const DEMO: &str = "\
Examples:
  call-log demo                              needs nothing, leaves nothing behind";

pub(crate) const USER: &str = "\
Examples:
  call-log user put user.json
  call-log user show 12345-pipedrive
  call-log user remove 12345-pipedrive";

pub(crate) const USER_PUT: &str = r#"Examples:
  call-log user put user.json
  echo '{"id": "12345-pipedrive", "platform": "pipedrive", "hostname": "acme.pipedrive.com",
    "credentials": {"type": "apiKey", "apiKey": "..."}}' | call-log user put -

The file has "id", "platform", "hostname", "timezone" or "timezoneOffset", "userSettings", and "credentials":
{"type": "apiKey", "apiKey"} or {"type": "oauth", "accessToken", "refreshToken", "expiresAt"}."#;

pub(crate) const USER_SHOW: &str = "\
Examples:
  call-log user show 12345-pipedrive
  call-log user show 12345-pipedrive | jq .userSettings";

pub(crate) const USER_REMOVE: &str = "\
Examples:
  call-log user remove 12345-pipedrive";

pub(crate) const CREDENTIALS: &str = "\
Examples:
  call-log credentials status
  call-log credentials status --json | jq '.keys[].users'
  call-log credentials rotate --dry-run
  call-log credentials new-key-file credentials.key";

pub(crate) const SETTINGS: &str = r#"Examples:
  call-log settings 12345-pipedrive
  call-log settings 12345-pipedrive addCallLogResult=false "logDateFormat=DD/MM/YYYY HH:mm:ss"
  call-log settings 12345-pipedrive addCallLogResult=     back to the default"#;

pub(crate) const TOKEN: &str = "\
Examples:
  call-log token 12345-pipedrive
  call-log token 12345-pipedrive --days 1 --json
  TOKEN=$(call-log token 12345-pipedrive)";

pub(crate) const SHOW: &str = "\
Examples:
  call-log show 12345-pipedrive 4503991004
  call-log show 12345-pipedrive 4503991004 --json | jq '.[].state'";

pub(crate) const REDRIVE: &str = "\
Examples:
  call-log redrive                                one look at everything that is due
  call-log redrive --json | jq .failed
  call-log redrive 12345-pipedrive 4503991004     tries a call again that was given up";

pub(crate) const IMPORT: &str = "\
Examples:
  call-log import users users.csv --dry-run
  call-log import users users.csv
  call-log import call-logs callLogs.jsonl --keep-going

docs/migrate.md tells how the files are made.";

pub(crate) const IMPORT_USERS: &str = "\
Examples:
  call-log import users users.csv --dry-run
  call-log import users users.csv --replace          also those who are here already
  psql \"$DATABASE_URL\" -c 'COPY users TO STDOUT CSV HEADER' | call-log import users - --format csv

Columns: id, platform, hostname, timezoneName, timezoneOffset, accessToken, refreshToken, tokenExpiry, userSettings;
all others are ignored.";

pub(crate) const IMPORT_CALL_LOGS: &str = "\
Examples:
  call-log import call-logs callLogs.csv --dry-run
  call-log import call-logs callLogs.jsonl --keep-going --json
  psql \"$DATABASE_URL\" -c 'COPY \"callLogs\" TO STDOUT CSV HEADER' | call-log import call-logs - --format csv

Columns: userId, platform, sessionId, thirdPartyLogId, hashedExtensionId, extensionNumber; all others are ignored.";

pub(crate) const COMPOSE: &str = r#"Examples:
  echo '{"note": "Wants a quote", "result": "Accepted"}' | call-log compose
  echo '{"existingBody": "- Result: Missed\n", "result": "Accepted"}' | call-log compose --format plain"#;

pub(crate) const TABLE: &str = "\
Examples:
  TABLE_NAME=call-log AWS_REGION=eu-central-1 JWT_SECRET=... call-log table create";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  call-log completions bash > ~/.local/share/bash-completion/completions/call-log
  call-log completions zsh > ~/.zfunc/_call-log                          with ~/.zfunc in $fpath
  call-log completions fish > ~/.config/fish/completions/call-log.fish
  call-log completions powershell >> $PROFILE";
