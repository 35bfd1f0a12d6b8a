//! `call-log table`: creates the table.

use serde_json::json;

use crate::{arguments::Table, environment, error::CommandError, output};

pub(super) async fn run(command: Table) -> Result<(), CommandError> {
    let app = environment::app().await?;
    match command {
        Table::Create { output } => {
            app.store.create_table().await?;
            let value = json!({"table": environment::table(), "endpoint": environment::dynamodb()});
            Ok(output::print_either(output.json, "The table is ready.", &value)?)
        }
    }
}
