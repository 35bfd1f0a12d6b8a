//! The properties of calls, and the owners, of the fake.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    OWNER, Reply, Shared, USER, lock, read as json_of,
    records::{KEY, KeyProperty, Problem},
};

const GROUP: &str = "call_information";

fn property(is_unique: bool) -> Value {
    json!({
        "name": KEY, "label": "RingCentral call key", "type": "string", "fieldType": "text", "groupName": GROUP,
        "description": "", "options": [], "hasUniqueValue": is_unique, "archived": false,
    })
}

pub(super) async fn read(State(records): Shared, Path(name): Path<String>) -> Reply {
    match lock(&records).key_property {
        state if name == KEY && state != KeyProperty::Missing => {
            Ok(Json(property(state == KeyProperty::Unique)))
        }
        _ => Err(Problem::new(404, "OBJECT_NOT_FOUND", &format!("Property {name} does not exist"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewProperty {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    field_type: String,
    group_name: String,
    has_unique_value: bool,
    description: String,
}

pub(super) async fn create(
    State(records): Shared,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let new: NewProperty = json_of(&body)?;
    let mut records = lock(&records);
    let is_valid = new.name == KEY
        && !new.label.is_empty()
        && !new.description.is_empty()
        && [&*new.kind, &*new.field_type] == ["string", "text"];
    if !is_valid || new.group_name != GROUP {
        return Err(Problem::bad("The property is not valid."));
    }
    if records.key_property != KeyProperty::Missing {
        return Err(Problem::new(409, "CONFLICT", "A property named rc_call_key already exists."));
    }
    records.key_property = if new.has_unique_value { KeyProperty::Unique } else { KeyProperty::NotUnique };
    Ok((StatusCode::CREATED, Json(property(new.has_unique_value))))
}

pub(super) async fn groups() -> Json<Value> {
    let group = |name: &str| json!({ "name": name, "label": name, "displayOrder": 0, "archived": false });
    Json(json!({ "results": [group("call_activity"), group(GROUP)] }))
}

/// "Get an owner by ID".
pub(super) async fn owner(
    State(records): Shared,
    Path(id): Path<u64>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Reply {
    let is_by_user = query.get("idProperty").is_some_and(|name| name == "userId");
    let is_known = if is_by_user { id == USER } else { id == OWNER };
    if !is_known || lock(&records).owner_is_inactive || query.len() != usize::from(is_by_user) {
        return Err(Problem::not_found());
    }
    Ok(Json(described(OWNER, "Ada", "PERSON")))
}

/// "Get a page of owners": Ada, a colleague, and the queue of a team, one on each page.
pub(super) async fn owners(State(records): Shared, Query(query): Query<BTreeMap<String, String>>) -> Reply {
    let all: Vec<_> =
        [(OWNER, "Ada", "PERSON"), (OWNER + 1, "Bob", "PERSON"), (OWNER + 2, "Support", "QUEUE")]
            .into_iter()
            .filter(|(id, ..)| *id != OWNER || !lock(&records).owner_is_inactive)
            .collect();
    let limit = query.get("limit").and_then(|limit| limit.parse::<u32>().ok());
    let start = query.get("after").map_or(Some(0), |after| after.parse::<usize>().ok());
    let Some((id, name, kind)) = start
        .and_then(|start| all.get(start))
        .filter(|_| limit.is_some_and(|limit| (1..=500).contains(&limit)))
    else {
        return Err(Problem::bad("The page is not valid."));
    };
    let next = start.map(|start| start + 1).filter(|next| *next < all.len());
    let mut page = json!({ "results": [described(*id, name, kind)] });
    if let Some(next) = next {
        page["paging"] = json!({ "next": { "after": next.to_string() } });
    }
    Ok(Json(page))
}

fn described(id: u64, first_name: &str, kind: &str) -> Value {
    json!({
        "id": id.to_string(), "email": format!("{}@acme.example", first_name.to_lowercase()),
        "firstName": first_name, "lastName": "Agent", "userId": USER, "userIdIncludingInactive": USER,
        "type": kind, "archived": false,
        "createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": "2025-01-01T00:00:00.000Z",
    })
}
