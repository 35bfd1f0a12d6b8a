//! The request body of `PUT /callDisposition`.

use serde_json::{Map, Value};

use super::{InputError, fields::Fields, json, record::read_extension, value};
use crate::{
    adapters::Crm,
    model::{CallDetails, NamedExtension, SessionId, UpdateCallLog},
};

/// The choices that a form makes for the log of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Disposition {
    /// The telephone call.
    pub session: SessionId,
    /// The extension whose log is meant.
    pub extension: NamedExtension,
    /// The values of the form.
    form: Map<String, Value>,
}

impl Disposition {
    /// Returns the update that a CRM's record needs.
    pub fn update(self, crm: &dyn Crm) -> UpdateCallLog {
        let Disposition { session, extension, form } = self;
        let choices = crm.chosen(&form);
        UpdateCallLog {
            details: CallDetails { session: Some(session.clone()), choices, ..CallDetails::default() },
            session,
            extension,
            user: None,
            is_cached_note: false,
            authorization: None,
            zone: None,
        }
    }
}

/// Reads the choices. The note among them is ignored, because an update brings it.
///
/// # Errors
///
/// If the body is not a JSON object, or if the session is missing or invalid.
pub fn read_disposition(body: &[u8]) -> Result<Disposition, InputError> {
    let body = json::read_object(body, "body")?;
    let top = Fields::of_input(&body);
    let call = top.clone().or(top.part("logInfo")).or(top.part("callLog")).or(top.part("existingCallLog"));
    let mut form = top.fact("additionalSubmission", &value::OBJECT).unwrap_or_default();
    form.extend(top.fact("dispositions", &value::OBJECT).unwrap_or_default());
    Ok(Disposition {
        session: call.require("sessionId", &value::SESSION)?,
        extension: read_extension(&call),
        form,
    })
}
