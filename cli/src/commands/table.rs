//! `call-log table`: the table itself.

use super::{Failure, say};
use crate::{arguments::Table, environment};

pub(super) async fn run(command: Table) -> Result<(), Failure> {
    let app = environment::app().await?;
    match command {
        Table::Create => {
            app.store.create_table().await?;
            Ok(say("The table is ready.")?)
        }
    }
}
