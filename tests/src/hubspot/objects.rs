//! Calls, contacts and deals of the fake, and the links between them.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Reply, Shared, lock, read,
    records::{KEY, KeyProperty, Kind, Problem, Records, Wrong, timestamp},
};

type Parameters = Query<BTreeMap<String, String>>;
type Created = Result<(StatusCode, Json<Value>), Problem>;

/// The body of a request that creates a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewObject {
    properties: Map<String, Value>,
    #[serde(default)]
    associations: Vec<Association>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Association {
    to: ObjectId,
    types: Vec<AssociationType>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectId {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AssociationType {
    association_category: String,
    association_type_id: u32,
}

impl Association {
    /// Returns the record that a call is to be linked to.
    fn linked(&self, records: &Records) -> Result<(Kind, u64), Problem> {
        let kind = match self.types.as_slice() {
            [only] if only.association_category == "HUBSPOT_DEFINED" => match only.association_type_id {
                194 => Kind::Contact,
                206 => Kind::Deal,
                _ => return Err(Problem::bad("The type of an association is not valid.")),
            },
            _ => return Err(Problem::bad("The type of an association is not valid.")),
        };
        let id: u64 =
            self.to.id.parse().map_err(|_| Problem::bad("The id of an association is no number."))?;
        // A contact that was merged is read under its earlier id, and cannot be linked.
        let exists = !records.merged.contains_key(&id) && records.find(kind, id).is_ok();
        match exists {
            true => Ok((kind, id)),
            false => Err(Problem::bad(&format!("One or more associations are not valid: {id}"))),
        }
    }
}

pub(super) async fn create_call(State(records): Shared, body: Bytes) -> Created {
    let new: NewObject = read(&body)?;
    let mut records = lock(&records);
    let properties = records.accept(Kind::Call, &new.properties)?;
    if properties.get("hs_timestamp").is_none_or(String::is_empty) {
        let words = "Required property hs_timestamp is missing".to_owned();
        return Err(Problem::invalid(&[Wrong::new("hs_timestamp", "REQUIRED_PROPERTY", words)]));
    }
    if records.key_property == KeyProperty::Unique
        && let Some(owner) = properties.get(KEY).and_then(|key| records.with_key(key))
    {
        let words = match records.names_owner_of_value {
            true => format!("{owner} already has that value."),
            false => "Another record already has that value.".to_owned(),
        };
        return Err(Problem::invalid(&[Wrong::new(KEY, "CONFLICTING_UNIQUE_VALUE", words)]));
    }
    let links: Result<BTreeSet<_>, _> = new.associations.iter().map(|link| link.linked(&records)).collect();
    let links = links?;
    let id = records.id();
    records.put(Kind::Call, id, properties);
    records.find_mut(Kind::Call, id)?.links = links;
    Ok((StatusCode::CREATED, Json(whole(&records, Kind::Call, id)?)))
}

/// Returns a record with all its properties.
fn whole(records: &Records, kind: Kind, id: u64) -> Result<Value, Problem> {
    let (id, object) = records.find(kind, id)?;
    let names: Vec<String> = object.properties.keys().cloned().collect();
    Ok(records.shown(id, object, &names))
}

/// Returns the id of the call that a path names, by its number or by its key.
fn call_id(records: &Records, id: &str, query: &BTreeMap<String, String>) -> Result<u64, Problem> {
    match query.get("idProperty").map(String::as_str) {
        None => id.parse().map_err(|_| Problem::not_found()),
        Some(KEY) if records.key_property == KeyProperty::Unique => {
            records.with_key(id).ok_or_else(Problem::not_found)
        }
        Some(name) => Err(Problem::bad(&format!(
            "Unable to perform read by non-unique 0-48 property {name} in portal ID 62515"
        ))),
    }
}

pub(super) async fn read_call(
    State(records): Shared,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Reply {
    check_names(&query, &["properties", "associations", "idProperty", "archived"])?;
    let records = lock(&records);
    let (id, call) = records.find(Kind::Call, call_id(&records, &id, &query)?)?;
    let names: Vec<String> =
        query.get("properties").iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    let mut shown = records.shown(id, call, &names);
    for kind in query.get("associations").iter().flat_map(|kinds| kinds.split(',')) {
        let (linked, label) = match kind {
            "contacts" => (Kind::Contact, "call_to_contact"),
            "deals" => (Kind::Deal, "call_to_deal"),
            _ => return Err(Problem::bad("Unknown association.")),
        };
        let links = call.links.iter().filter(|(kind, _)| *kind == linked);
        let results: Vec<_> = links.map(|(_, id)| json!({ "id": id.to_string(), "type": label })).collect();
        if !results.is_empty() {
            shown["associations"][kind] = json!({ "results": results });
        }
    }
    Ok(Json(shown))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    properties: Map<String, Value>,
}

pub(super) async fn update_call(
    State(records): Shared,
    Path(id): Path<String>,
    Query(query): Parameters,
    body: Bytes,
) -> Reply {
    check_names(&query, &["idProperty"])?;
    let Change { properties } = read(&body)?;
    let mut records = lock(&records);
    let id = call_id(&records, &id, &query)?;
    records.find(Kind::Call, id)?;
    let properties = records.accept(Kind::Call, &properties)?;
    let now = records.now();
    let call = records.find_mut(Kind::Call, id)?;
    call.properties.extend(properties);
    call.updated_at = now;
    Ok(Json(whole(&records, Kind::Call, id)?))
}

pub(super) async fn archive_call(State(records): Shared, Path(id): Path<u64>) -> StatusCode {
    if let Ok(call) = lock(&records).find_mut(Kind::Call, id) {
        call.is_archived = true;
    }
    StatusCode::NO_CONTENT
}

pub(super) async fn create_contact(State(records): Shared, body: Bytes) -> Created {
    let new: NewObject = read(&body)?;
    let mut records = lock(&records);
    let properties = records.accept(Kind::Contact, &new.properties)?;
    if properties.is_empty() || !new.associations.is_empty() {
        return Err(Problem::bad("A contact has properties."));
    }
    let id = records.id();
    records.put(Kind::Contact, id, properties);
    Ok((StatusCode::CREATED, Json(whole(&records, Kind::Contact, id)?)))
}

pub(super) async fn read_contact(
    State(records): Shared,
    Path(id): Path<u64>,
    Query(query): Parameters,
) -> Reply {
    check_names(&query, &["properties"])?;
    whole(&lock(&records), Kind::Contact, id).map(Json)
}

pub(super) async fn deals_of_contact(
    State(records): Shared,
    Path(id): Path<u64>,
    Query(query): Parameters,
) -> Reply {
    check_names(&query, &["limit", "after"])?;
    let records = lock(&records);
    let (_, contact) = records.find(Kind::Contact, id)?;
    let kind = json!({ "category": "HUBSPOT_DEFINED", "typeId": 4, "label": null });
    let deals = contact.links.iter().filter(|(kind, _)| *kind == Kind::Deal);
    let results: Vec<_> =
        deals.map(|(_, id)| json!({ "toObjectId": id, "associationTypes": [kind] })).collect();
    Ok(Json(json!({ "results": results })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Batch {
    inputs: Vec<ObjectId>,
    properties: Vec<String>,
    properties_with_history: Vec<String>,
}

pub(super) async fn read_deals(State(records): Shared, body: Bytes) -> Reply {
    let batch: Batch = read(&body)?;
    if batch.inputs.is_empty() || batch.inputs.len() > 100 || !batch.properties_with_history.is_empty() {
        return Err(Problem::bad("A batch has 1 to 100 inputs."));
    }
    let records = lock(&records);
    let ids = batch.inputs.iter().filter_map(|input| input.id.parse().ok());
    let found = ids.filter_map(|id| records.find(Kind::Deal, id).ok());
    let results: Vec<_> = found.map(|(id, deal)| records.shown(id, deal, &batch.properties)).collect();
    let now = timestamp(records.now());
    Ok(Json(json!({ "status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now })))
}

pub(super) async fn link_deal(State(records): Shared, Path((call, deal)): Path<(u64, u64)>) -> Reply {
    let mut records = lock(&records);
    records.find(Kind::Deal, deal)?;
    records.find_mut(Kind::Call, call)?.links.insert((Kind::Deal, deal));
    let now = timestamp(records.now());
    let spec = json!({ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 206 });
    let result = json!({ "from": { "id": call.to_string() }, "to": { "id": deal.to_string() }, "associationSpec": spec });
    Ok(Json(json!({ "status": "COMPLETE", "results": [result], "startedAt": now, "completedAt": now })))
}

pub(super) async fn unlink_deal(
    State(records): Shared,
    Path((call, deal)): Path<(u64, u64)>,
) -> Result<StatusCode, Problem> {
    lock(&records).find_mut(Kind::Call, call)?.links.remove(&(Kind::Deal, deal));
    Ok(StatusCode::NO_CONTENT)
}

/// Rejects a parameter that the request does not have.
fn check_names(query: &BTreeMap<String, String>, known: &[&str]) -> Result<(), Problem> {
    match query.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Problem::bad(&format!("The parameter {name} is not known."))),
        None => Ok(()),
    }
}
