//! The search of the fake. It shows a record some time after its creation.

use axum::{Json, body::Bytes, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Reply, Shared, lock, read,
    records::{Kind, Object, Problem, Records},
};

/// The body of a search.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Search {
    filter_groups: Vec<Group>,
    query: Option<String>,
    properties: Vec<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    property_name: String,
    operator: Operator,
    value: Option<String>,
    values: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    In,
    ContainsToken,
}

/// "Search calls".
pub(super) async fn calls(State(records): Shared, body: Bytes) -> Reply {
    search(&lock(&records), Kind::Call, &body)
}

/// "Search contacts".
pub(super) async fn contacts(State(records): Shared, body: Bytes) -> Reply {
    search(&lock(&records), Kind::Contact, &body)
}

fn search(records: &Records, kind: Kind, body: &Bytes) -> Reply {
    let search: Search = read(body)?;
    let limit = search.limit.unwrap_or(10);
    let filters: usize = search.filter_groups.iter().map(|group| group.filters.len()).sum();
    let is_small = search.filter_groups.len() <= 5
        && search.filter_groups.iter().all(|group| (1..=6).contains(&group.filters.len()))
        && filters <= 18
        && (1..=200).contains(&limit)
        && body.len() <= 3_000;
    let is_valid = |filter: &Filter| match filter.operator {
        Operator::In => {
            filter.value.is_none()
                && filter.values.as_ref().is_some_and(|values| {
                    !values.is_empty() && values.iter().all(|value| *value == value.to_lowercase())
                })
        }
        Operator::Eq | Operator::ContainsToken => {
            filter.values.is_none() && filter.value.as_ref().is_some_and(|value| !value.is_empty())
        }
    };
    if !is_small || !search.filter_groups.iter().flat_map(|group| &group.filters).all(is_valid) {
        return Err(Problem::bad("There was a problem with the request."));
    }
    let now = records.now();
    let found: Vec<_> = records
        .objects
        .iter()
        .filter(|((found, _), object)| {
            *found == kind && !object.is_archived && object.created_at + records.lag <= now
        })
        .filter(|((_, id), object)| is_hit(records, &search, *id, object))
        .collect();
    let results: Vec<Value> = found
        .iter()
        .take(limit)
        .map(|((_, id), object)| records.shown(*id, object, &search.properties))
        .collect();
    let mut response = json!({ "total": found.len(), "results": results });
    if found.len() > limit {
        response["paging"] = json!({ "next": { "after": limit.to_string() } });
    }
    Ok(Json(response))
}

fn is_hit(records: &Records, search: &Search, id: u64, object: &Object) -> bool {
    if let Some(query) = &search.query {
        let text = ["firstname", "lastname", "email", "phone"].map(|name| records.value(id, object, name));
        let text = text.into_iter().flatten().collect::<Vec<_>>().join(" ").to_lowercase();
        return text.contains(&query.to_lowercase());
    }
    search.filter_groups.iter().any(|group| {
        group.filters.iter().all(|filter| {
            records
                .value(id, object, &filter.property_name)
                .is_some_and(|value| is_match(filter, &value.to_lowercase()))
        })
    })
}

fn is_match(filter: &Filter, value: &str) -> bool {
    let wanted = filter.value.as_deref().unwrap_or_default().to_lowercase();
    match filter.operator {
        Operator::Eq => value == wanted,
        Operator::In => filter.values.iter().flatten().any(|wanted| wanted == value),
        // Tokens are what stands between characters that are neither letters nor digits.
        Operator::ContainsToken => {
            let mut tokens = value.split(|char: char| !char.is_alphanumeric());
            match wanted.strip_prefix('*') {
                Some(end) => tokens.any(|token| token.ends_with(end)),
                None => tokens.any(|token| token == wanted),
            }
        }
    }
}
