//! Creation of the table, as `template.yaml` defines it.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};

use super::{
    Error, Store,
    attributes::{
        CREATOR, DUE_AT, DUE_INDEX, DUE_SHARD, DUE_USER, PK, RECORD, RECORD_INDEX, SK, TTL, WAITING_SINCE,
    },
    from_sdk_error,
};

/// The maximum number of times that the state of a new table is read: with the interval, a minute in all.
const LOOKS: usize = 120;
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// The table could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is a table of this name.
    #[error("the table {0} already exists")]
    Exists(String),
    /// DynamoDB did not create it.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Creates the table, billed on demand, with its time to live and its sparse indexes.
    ///
    /// # Errors
    /// Fails if there is a table of this name, or if DynamoDB does not create it within a minute.
    pub async fn create_table(&self) -> Result<(), TableError> {
        let attribute = |name: &str, kind| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(unbuilt)
        };
        let element = |name: &str, kind| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt)
        };
        let due_index = GlobalSecondaryIndex::builder()
            .index_name(DUE_INDEX)
            .key_schema(element(DUE_SHARD, KeyType::Hash)?)
            .key_schema(element(DUE_AT, KeyType::Range)?)
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::Include)
                    .non_key_attributes(WAITING_SINCE)
                    .non_key_attributes(DUE_USER)
                    .non_key_attributes(CREATOR)
                    .build(),
            )
            .build()
            .map_err(unbuilt)?;
        let record_index = GlobalSecondaryIndex::builder()
            .index_name(RECORD_INDEX)
            .key_schema(element(RECORD, KeyType::Hash)?)
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .map_err(unbuilt)?;
        let created = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PK, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(SK, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(DUE_SHARD, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(DUE_AT, ScalarAttributeType::N)?)
            .attribute_definitions(attribute(RECORD, ScalarAttributeType::S)?)
            .key_schema(element(PK, KeyType::Hash)?)
            .key_schema(element(SK, KeyType::Range)?)
            .global_secondary_indexes(due_index)
            .global_secondary_indexes(record_index)
            .send()
            .await;
        if let Err(error) = created {
            return Err(match error.as_service_error() {
                Some(service) if service.is_resource_in_use_exception() => {
                    TableError::Exists(self.table.clone())
                }
                _ => from_sdk_error(error).into(),
            });
        }
        self.wait_until_active().await?;
        let expiry =
            TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build().map_err(unbuilt)?;
        let request =
            self.client.update_time_to_live().table_name(&self.table).time_to_live_specification(expiry);
        request.send().await.map_err(from_sdk_error)?;
        Ok(())
    }

    async fn wait_until_active(&self) -> Result<(), Error> {
        for _ in 0..LOOKS {
            let request = self.client.describe_table().table_name(&self.table);
            let described = request.send().await.map_err(from_sdk_error)?;
            if described.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Err(Error::Unavailable("DynamoDB is still creating the table".to_owned()))
    }
}

fn unbuilt(error: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::Rejected(error.to_string())
}
