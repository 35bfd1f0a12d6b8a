//! The persons of the fake, and their deals and leads.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{Path, Query, State},
};
use serde_json::{Value, json};

use super::{
    Reply, Shared, lock,
    records::{Failure, check_names, object, success},
};

type Parameters = Query<BTreeMap<String, String>>;

pub(super) async fn read(State(records): Shared, Path(id): Path<u64>) -> Reply {
    lock(&records).persons.get(&id).cloned().map(success).ok_or_else(Failure::not_found)
}

/// Finds persons by the field in `fields`. Numbers are compared by their digits.
pub(super) async fn search(State(records): Shared, Query(query): Parameters) -> Reply {
    check_names(query.keys(), &["term", "fields", "exact_match", "organization_id", "limit", "cursor"])?;
    let term = query.get("term").map(String::as_str).unwrap_or_default();
    let exact = query.get("exact_match").is_some_and(|exact| exact == "true");
    if term.chars().count() < if exact { 1 } else { 2 } {
        return Err(Failure::bad("the term must have two characters"));
    }
    let field = query.get("fields").map(String::as_str);
    let comparable = |text: &str| -> String {
        match field {
            Some("phone") => text.chars().filter(char::is_ascii_digit).collect(),
            _ => text.to_lowercase(),
        }
    };
    let term = comparable(term);
    let records = lock(&records);
    let items = records.persons.values().filter_map(|person| {
        let phone = person["phones"][0]["value"].as_str().unwrap_or_default();
        let value = match field {
            Some("phone") => comparable(phone),
            _ => comparable(person["name"].as_str().unwrap_or_default()),
        };
        let is_hit = if exact { value == term } else { value.contains(&term) };
        let item = json!({ "id": person["id"], "type": "person", "name": person["name"], "phones": [phone] });
        is_hit.then(|| json!({ "result_score": 0.5, "item": item }))
    });
    let items: Vec<Value> = items.collect();
    match field {
        Some("phone" | "name") => Ok(success(json!({ "items": items }))),
        _ => Err(Failure::bad("fields: the fake searches one of phone and name")),
    }
}

pub(super) async fn create(State(records): Shared, body: Bytes) -> Reply {
    let fields = object(&body)?;
    check_names(fields.keys(), &["name", "phones", "emails", "owner_id", "org_id", "label_ids"])?;
    let fields = Value::Object(fields);
    let (Some(name), Some(phone)) = (fields["name"].as_str(), fields["phones"][0]["value"].as_str()) else {
        return Err(Failure::bad("Validation failed: name, phones"));
    };
    let mut records = lock(&records);
    let id = records.add_person(name, phone, fields["org_id"].as_u64());
    Ok(success(records.persons[&id].clone()))
}

pub(super) async fn deals(State(records): Shared, Query(query): Parameters) -> Reply {
    check_names(query.keys(), &["person_id", "org_id", "owner_id", "status", "limit", "cursor", "sort_by"])?;
    let deals = of_person(&lock(&records).deals, &query)?;
    let has_status =
        |deal: &Value| query.get("status").is_none_or(|status| deal["status"] == status.as_str());
    Ok(success(deals.into_iter().filter(has_status).collect()))
}

pub(super) async fn leads(State(records): Shared, Query(query): Parameters) -> Reply {
    check_names(query.keys(), &["person_id", "organization_id", "owner_id", "limit", "start", "sort"])?;
    Ok(success(of_person(&lock(&records).leads, &query)?.into()))
}

fn of_person(entries: &[Value], query: &BTreeMap<String, String>) -> Result<Vec<Value>, Failure> {
    let id: Option<u64> = query.get("person_id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Failure::bad("person_id"))?;
    Ok(entries.iter().filter(|entry| entry["person_id"] == id).cloned().collect())
}
