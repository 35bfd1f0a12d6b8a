//! Notes of several people in one record: the newer one is the note, and the older one stays below it as a person's text.

use std::borrow::Cow;

use crate::{
    adapters::{Capabilities, Crm},
    model::{CallDetails, UserId},
    note::{self, Content, Fingerprints, Merged, Section},
    store::{AuthoredNote, LastWritten},
};

/// A body with several people's notes.
pub(crate) struct Merging {
    pub(crate) merged: Merged,
    /// The user whose note is the note of the body.
    pub(crate) note_user: Option<UserId>,
}

/// Merges details into a body. A note of another user than the one whose note is there is a person's text, which stays below
/// the newer one. `notes`: the notes that the details consist of, the last one of which is among the details.
pub(crate) fn merge_all(
    crm: &dyn Crm,
    body: &str,
    before: &LastWritten,
    (details, notes): (&CallDetails, &[AuthoredNote]),
    content: impl Fn(&CallDetails) -> Content,
) -> Merging {
    let Capabilities { format, limits, .. } = crm.capabilities();
    let (mut body, mut base) = (Cow::Borrowed(body), before.sections.clone());
    let mut note_user = before.note_user.clone();
    if let Some((last, earlier)) = notes.split_last() {
        for note in earlier {
            let alone = CallDetails { note: Some(note.text.clone()), ..CallDetails::default() };
            base = of_user(base, note_user.as_ref(), &note.user);
            let merged = note::merge_within(format, &body, &base, &content(&alone), &limits);
            (body, base, note_user) = (Cow::Owned(merged.body), merged.base, Some(note.user.clone()));
        }
        base = of_user(base, note_user.as_ref(), &last.user);
        note_user = Some(last.user.clone());
    }
    Merging { merged: note::merge_within(format, &body, &base, &content(details), &limits), note_user }
}

/// Returns what this user may replace of a note that another one wrote.
fn of_user(base: Fingerprints, author: Option<&UserId>, user: &UserId) -> Fingerprints {
    match author {
        Some(author) if author != user => base.with_foreign(Section::AgentNote),
        _ => base,
    }
}
