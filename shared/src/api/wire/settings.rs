//! The request that changes a user's settings.

use super::{InputError, fields::Fields, json, value};
use crate::delivery::settings::SettingsChange;

/// Reads a change of settings: the whole map as the caller has it, and the keys of settings to remove.
///
/// # Errors
///
/// If the body is not a JSON object, or `userSettings` is missing or no object.
pub fn read_settings_change(body: &[u8]) -> Result<SettingsChange, InputError> {
    let body = json::read_object(body, "body")?;
    let fields = Fields::of_input(&body);
    let values = fields.require("userSettings", &value::OBJECT)?;
    let removed = body.fields.get("settingKeysToRemove").and_then(|keys| keys.as_array());
    let removed = removed.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned));
    Ok(SettingsChange { values: values.into_iter().collect(), removed: removed.collect() })
}
