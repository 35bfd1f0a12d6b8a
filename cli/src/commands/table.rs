//! `call-log table`: the table itself.

use serde_json::json;

use super::Failure;
use crate::{arguments::Table, environment, output};

pub(super) async fn run(command: Table) -> Result<(), Failure> {
    let app = environment::app().await?;
    match command {
        Table::Create { output: form } => {
            app.store.create_table().await?;
            let value = json!({"table": environment::table(), "endpoint": environment::dynamodb()});
            Ok(output::say_or_document(form.json, "The table is ready.", &value)?)
        }
    }
}
