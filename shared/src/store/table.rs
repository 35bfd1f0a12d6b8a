//! Making the table, as `template.yaml` defines it.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::{Error, Store, failed};

/// Why the table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the table {0} exists already")]
    Exists(String),
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Makes the table, on demand, with its time to live and the sparse index of what is due.
    pub async fn create_table(&self) -> Result<(), TableError> {
        let attribute = |name: &str, kind| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(unbuilt)
        };
        let element = |name: &str, kind| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt)
        };
        let due = GlobalSecondaryIndex::builder()
            .index_name("due")
            .key_schema(element("dq", KeyType::Hash)?)
            .key_schema(element("due", KeyType::Range)?)
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::Include)
                    .non_key_attributes("since")
                    .build(),
            )
            .build()
            .map_err(unbuilt)?;
        let made = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
            .attribute_definitions(attribute("sk", ScalarAttributeType::S)?)
            .attribute_definitions(attribute("dq", ScalarAttributeType::S)?)
            .attribute_definitions(attribute("due", ScalarAttributeType::N)?)
            .key_schema(element("pk", KeyType::Hash)?)
            .key_schema(element("sk", KeyType::Range)?)
            .global_secondary_indexes(due)
            .send()
            .await;
        if let Err(error) = made {
            return Err(match error.as_service_error() {
                Some(service) if service.is_resource_in_use_exception() => {
                    TableError::Exists(self.table.clone())
                }
                _ => failed(error).into(),
            });
        }
        self.wait_until_active().await?;
        let expiry = TimeToLiveSpecification::builder()
            .attribute_name("ttl")
            .enabled(true)
            .build()
            .map_err(unbuilt)?;
        let set =
            self.client.update_time_to_live().table_name(&self.table).time_to_live_specification(expiry);
        set.send().await.map_err(failed)?;
        Ok(())
    }

    async fn wait_until_active(&self) -> Result<(), Error> {
        for _ in 0..120 {
            let described =
                self.client.describe_table().table_name(&self.table).send().await.map_err(failed)?;
            let status = described.table.and_then(|table| table.table_status);
            if status == Some(aws_sdk_dynamodb::types::TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        Err(Error::Unavailable("the table is still being made".to_owned()))
    }
}

fn unbuilt(error: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::Refused(error.to_string())
}
