//! The table of all CRMs: what each adapter declares, and what of it is not tested.

use call_log::adapters::{Authentication, Capabilities, ClientAuthentication, Recovery};
use tests::fake_crm::FAKES;

use super::{connected::Connected, print};

/// The columns of the table of all CRMs.
const COLUMNS: [&str; 11] = [
    "CRM",
    "format",
    "recovery",
    "compare-and-set",
    "finish",
    "longest texts",
    "limits per",
    "shows edits",
    "credentials",
    "OAuth client",
    "not tested, because",
];

/// Returns the row of a CRM in the table: what its adapter declares, in the order of [`COLUMNS`].
pub(super) fn row(connected: &Connected) -> [String; 11] {
    let crm = connected.crm;
    // Without `..`, so that a new capability gets a column.
    let Capabilities { format, recovery, compare_and_set, finish, limits, limit_scope, shows_edits } =
        crm.capabilities();
    let ways: Vec<_> = recovery.iter().map(Recovery::to_string).collect();
    let credentials: Vec<_> = connected
        .fake
        .credentials()
        .iter()
        .map(|credentials| match crm.authentication(credentials) {
            Authentication::Scheme(name) | Authentication::Header(name) => name,
            Authentication::Basic => "Basic",
        })
        .collect();
    let oauth = crm.oauth(&connected.user).map(|oauth| match oauth.client_authentication {
        ClientAuthentication::Basic => "Basic",
        ClientAuthentication::Form => "form",
    });
    [
        connected.name().to_owned(),
        format!("{format:?}"),
        ways.join(", "),
        compare_and_set.to_string(),
        format!("{finish:?}"),
        limits.to_string(),
        format!("{limit_scope:?}"),
        if shows_edits { "yes" } else { "no" }.to_owned(),
        credentials.join(", "),
        oauth.unwrap_or("-").to_owned(),
        connected.fake.keeps_records().map_or("-".to_owned(), |reason| format!("DeleteRecord: {reason}")),
    ]
}

/// Returns the table of these rows, with its columns aligned.
pub(super) fn table(rows: &[[String; 11]]) -> String {
    let rows: Vec<_> = [COLUMNS.map(str::to_owned)].into_iter().chain(rows.iter().cloned()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let line = |row: &[String; 11]| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}  ", width(column)));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

#[test]
fn every_crm_without_a_feature_says_why() {
    let mut rows = Vec::new();
    for start in FAKES {
        let connected = Connected::new(start());
        if let Some(reason) = connected.fake.keeps_records() {
            assert!(!reason.trim().is_empty(), "{}: say why it keeps records", connected.name());
        }
        rows.push(row(&connected));
    }
    print(&format!("\n{}", table(&rows)));
}
