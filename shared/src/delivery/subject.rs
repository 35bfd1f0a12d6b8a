//! The subject of a record: the caller's own, or a generated one that names the other party.
//!
//! A generated subject follows corrections of the call's direction and of the contact's name for as long as it is ours.
//! The table keeps only its fingerprint and a mark, so the name comes from the correction or from the present subject.

use std::collections::BTreeMap;

use crate::{
    model::{CallDetails, Direction},
    note::{Limits, Section, fingerprint, is_subject, subject_fingerprint},
    store::LastWritten,
};

/// The name in a generated subject if nothing is known of the other party.
const UNKNOWN: &str = "unknown";
/// The field of [`Queued::fields`](crate::store::Queued::fields) with what a lease holder may write as generated subject.
/// No CRM's own field has this name.
const FIELD: &str = "subject";

/// The origin of a subject. A mark behind the fingerprint stores it; the mark never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The caller gave the whole subject. It has no mark.
    Caller,
    /// It is generated, with the name of the contact in the CRM.
    Contact,
    /// It is generated, with the name or number of the call's other party.
    Party,
}

impl Origin {
    const ALL: [Origin; 3] = [Origin::Contact, Origin::Party, Origin::Caller];

    fn mark(self) -> &'static str {
        match self {
            Origin::Caller => "",
            Origin::Contact => " contact",
            Origin::Party => " party",
        }
    }

    /// Returns the origin of the subject that has this fingerprint.
    fn of(known: &str) -> Origin {
        let is_marked = |origin: &Origin| known.ends_with(origin.mark());
        Origin::ALL.into_iter().find(is_marked).unwrap_or(Origin::Caller)
    }
}

/// A subject to write.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) text: String,
    origin: Origin,
}

impl Subject {
    /// Returns the subject of a new record: the caller's, or one that names the other party.
    pub(crate) fn new(details: &CallDetails, contact_name: Option<&str>, limits: &Limits) -> Subject {
        if let Some(subject) = &details.subject {
            return Subject::of_caller(subject, limits);
        }
        let direction = details.direction.unwrap_or(Direction::Outbound);
        let party = details.other_party_of(direction).and_then(|party| party.name.as_deref());
        let contact = details.contact_name.as_deref().or(contact_name);
        let name = contact.or(party).or(details.contact_number.as_deref()).unwrap_or(UNKNOWN);
        let origin = if contact.is_some() { Origin::Contact } else { Origin::Party };
        Generated { direction, name, origin }.subject(limits)
    }

    fn of_caller(subject: &str, limits: &Limits) -> Subject {
        Subject { text: limits.cut_subject(subject).into_owned(), origin: Origin::Caller }
    }

    /// Returns the fingerprint to store when the record has this subject.
    pub(crate) fn base(&self) -> String {
        subject_fingerprint(&self.text) + self.origin.mark()
    }
}

/// The parts of a generated subject.
#[derive(Clone, Copy, Debug)]
struct Generated<'s> {
    direction: Direction,
    name: &'s str,
    origin: Origin,
}

impl<'s> Generated<'s> {
    /// Returns the parts of a subject that has the form of a generated one.
    fn parse(subject: &'s str, origin: Origin) -> Option<Generated<'s>> {
        let subject = subject.trim();
        [Direction::Inbound, Direction::Outbound].into_iter().find_map(|direction| {
            let name = subject.strip_prefix(start(direction))?;
            Some(Generated { direction, name, origin })
        })
    }

    fn text(self) -> String {
        format!("{}{}", start(self.direction), self.name)
    }

    fn subject(self, limits: &Limits) -> Subject {
        Subject { text: limits.cut_subject(&self.text()).into_owned(), origin: self.origin }
    }

    /// Returns the subject with what newer details say.
    fn corrected<'d: 's>(self, details: &'d CallDetails) -> Generated<'s> {
        let direction = details.direction.unwrap_or(self.direction);
        if let Some(name) = &details.contact_name {
            return Generated { direction, name, origin: Origin::Contact };
        }
        if self.origin == Origin::Contact {
            return Generated { direction, ..self };
        }
        // The number stands in for a name that is not known, or that is the name of the other end.
        let is_number = self.name == UNKNOWN || !self.name.contains(char::is_alphabetic);
        let needs_number = is_number || direction != self.direction;
        let number = details.contact_number.as_deref().filter(|_| needs_number);
        let party = details.other_party_of(direction).and_then(|party| party.name.as_deref());
        Generated { direction, name: party.or(number).unwrap_or(self.name), ..self }
    }
}

fn start(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "Inbound Call from ",
        Direction::Outbound => "Outbound Call to ",
    }
}

/// Returns the subject to write, if it changes, and the fingerprint to store. `theirs`: the subject that the record has.
///
/// A subject of the caller replaces any of ours. A generated one replaces only a generated one. A subject that a person
/// has written stays.
pub(crate) fn correct(
    theirs: &str,
    before: &LastWritten,
    details: &CallDetails,
    limits: &Limits,
) -> (Option<String>, Option<String>) {
    let present = present(theirs, before, details);
    let ours = match &details.subject {
        Some(subject) => Some(Subject::of_caller(subject, limits)),
        None => present.map(|present| present.corrected(details).subject(limits)),
    };
    let has_ours = ours.as_ref().is_some_and(|ours| is_subject(&ours.base(), theirs));
    // Of a recovered record we do not know which subject we sent, so we treat its current subject as ours.
    let is_ours = present.is_some()
        || before.subject.as_ref().is_none_or(|before| is_subject(before, theirs))
        || before.sections.is_unconfirmed(Section::Subject, theirs)
        || has_ours;
    if !is_ours {
        return (None, before.subject.clone());
    }
    let base = ours.as_ref().map_or_else(|| subject_fingerprint(theirs), Subject::base);
    (ours.filter(|_| !has_ours).map(|ours| ours.text), Some(base))
}

/// Returns the parts of the subject that a record has, if it is a generated one of ours.
fn present<'s>(theirs: &'s str, before: &LastWritten, details: &CallDetails) -> Option<Generated<'s>> {
    let Some(known) = &before.subject else {
        // Of a recovered record, the names that an attempt can have sent are known.
        let present = Generated::parse(theirs, Origin::Party)?;
        let is_sent = names(details).any(|name| name == present.name);
        let origin = if details.contact_name.is_some() { Origin::Contact } else { Origin::Party };
        return is_sent.then_some(Generated { origin, ..present });
    };
    let origin = Some(Origin::of(known)).filter(|origin| *origin != Origin::Caller)?;
    let present = Generated::parse(theirs, origin)?;
    let is_queued = |text: &str| before.is_field(FIELD, &fingerprint(text)) == Some(true);
    // A lease holder that died may have written a queued name, or the same name with a queued direction.
    let is_turned = || {
        let direction = match present.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        is_queued(present.direction.as_str()) && is_subject(known, &Generated { direction, ..present }.text())
    };
    (is_subject(known, theirs) || is_queued(theirs) || is_turned()).then_some(present)
}

/// Returns the names by which a generated subject may call the other party.
fn names(details: &CallDetails) -> impl Iterator<Item = &str> {
    let parties =
        [&details.from, &details.to].into_iter().flatten().filter_map(|party| party.name.as_deref());
    let contact = [&details.contact_name, &details.contact_number].into_iter().flatten().map(String::as_str);
    parties.chain(contact).chain([UNKNOWN])
}

/// Returns the name and the fingerprints of what a lease holder may write as a generated subject because of queued details:
/// a direction, and a name if the details have one. `None`: they change no subject.
pub(crate) fn queued(details: &CallDetails, limits: &Limits) -> Option<(String, String)> {
    if details.subject.is_some() {
        return None;
    }
    let direction = details.direction?;
    let generated = Subject::new(details, None, limits).text;
    let texts = [direction.as_str(), &generated].map(fingerprint);
    Some((FIELD.to_owned(), texts.join(" ")))
}

/// Removes what [`queued`] has added, because the record shows now which subject was written.
pub(crate) fn settle(fields: &mut BTreeMap<String, String>) {
    fields.remove(FIELD);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Party;

    const UNLIMITED: Limits = Limits::UNLIMITED;

    fn party(name: &str) -> Option<Party> {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Some(Party { name, phone_number: Some("+1".to_owned()), extension_number: None })
    }

    fn details(text: &str) -> CallDetails {
        let mut details = CallDetails::default();
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let text = || Some(value.replace('_', " "));
            match key {
                "in" => details.direction = Some(Direction::Inbound),
                "out" => details.direction = Some(Direction::Outbound),
                "from" => details.from = party(value),
                "to" => details.to = party(value),
                "name" => details.contact_name = text(),
                "number" => details.contact_number = text(),
                "subject" => details.subject = text(),
                other => panic!("{other}"),
            }
        }
        details
    }

    fn written(subject: Option<String>) -> LastWritten {
        LastWritten { subject, ..LastWritten::default() }
    }

    #[test]
    fn a_subject_is_the_callers_or_names_the_other_party() {
        for (of, expected) in [
            ("in name=Bob from=WIRELESS", "Inbound Call from Bob"),
            ("out name=Bob", "Outbound Call to Bob"),
            ("in from=WIRELESS to=Ada number=+1", "Inbound Call from WIRELESS"),
            ("out from=Ada to=WIRELESS number=+1", "Outbound Call to WIRELESS"),
            ("in from number=+1", "Inbound Call from +1"),
            ("in", "Inbound Call from unknown"),
            ("", "Outbound Call to unknown"),
            ("in name=Bob subject=Quote", "Quote"),
        ] {
            assert_eq!(Subject::new(&details(of), None, &UNLIMITED).text, expected, "{of}");
        }
    }

    #[test]
    fn a_generated_subject_follows_corrections_and_any_other_stays() {
        // What the record was created with, what a person made of its subject, the correction, and the subject then.
        for (created, edit, correction, expected) in [
            ("out name=Bob", "", "in", "Inbound Call from Bob"),
            ("out name=Bob", "", "in from=WIRELESS number=+1", "Inbound Call from Bob"),
            ("out name=Bob", "", "name=Robert", "Outbound Call to Robert"),
            ("out name=Bob", "", "", "Outbound Call to Bob"),
            ("out name=Bob", "", "from=Ada to=WIRELESS", "Outbound Call to Bob"),
            ("out to=Queue", "", "in from=WIRELESS to=Queue number=+1", "Inbound Call from WIRELESS"),
            ("out to=Queue", "", "in from to=Queue number=+1", "Inbound Call from +1"),
            ("out to=Queue", "", "in", "Inbound Call from Queue"),
            ("out to=Queue", "", "number=+1", "Outbound Call to Queue"),
            ("out to=Queue", "", "to=Other", "Outbound Call to Other"),
            ("out to=Queue", "", "in name=Bob from=WIRELESS", "Inbound Call from Bob"),
            ("out", "", "number=+1", "Outbound Call to +1"),
            ("out number=+1", "", "number=+2", "Outbound Call to +2"),
            ("out number=+1", "", "subject=Quote", "Quote"),
            ("out name=Bob", "Bob!", "in", "Bob!"),
            ("out name=Bob", "Outbound Call to Bob!", "in", "Outbound Call to Bob!"),
            ("out name=Bob", "Inbound Call from Bob", "out", "Inbound Call from Bob"),
            ("out name=Bob", "Bob!", "in subject=Quote", "Bob!"),
            ("out subject=Quote", "", "in name=Bob", "Quote"),
            ("out subject=Outbound_Call_to_Bob", "", "in name=Bob", "Outbound Call to Bob"),
        ] {
            let first = Subject::new(&details(created), None, &UNLIMITED);
            let theirs = if edit.is_empty() { &first.text } else { edit };
            let case = format!("{created}, {edit}, {correction}");
            let (change, base) =
                correct(theirs, &written(Some(first.base())), &details(correction), &UNLIMITED);
            let after = change.as_deref().unwrap_or(theirs);
            assert_eq!(after, expected, "{case}");
            // The same correction again changes nothing, and the reverse one leads back.
            let again = correct(after, &written(base.clone()), &details(correction), &UNLIMITED);
            assert_eq!(again, (None, base.clone()), "{case}");
            if correction == "in" && edit.is_empty() {
                let back = correct(after, &written(base), &details("out"), &UNLIMITED);
                assert_eq!(back, (Some(first.text.clone()), Some(first.base())), "{case}");
            }
        }
    }

    #[test]
    fn a_long_subject_is_cut_again_in_the_other_direction() {
        let limits = Limits { max_subject: Some(24), ..UNLIMITED };
        let first = Subject::new(&details("out name=Bartholomew"), None, &limits);
        assert_eq!(first.text, "Outbound Call to Bartho…");
        let (change, base) = correct(&first.text, &written(Some(first.base())), &details("in"), &limits);
        let change = change.unwrap();
        assert_eq!(change, "Inbound Call from Barth…");
        assert_eq!(correct(&change, &written(base.clone()), &details("in"), &limits), (None, base));
    }

    #[test]
    fn a_subject_that_a_dead_lease_holder_wrote_is_ours() {
        for (created, dead, theirs, expected) in [
            ("out name=Bob", "in", "Inbound Call from Bob", Some("Outbound Call to Bob")),
            ("out to=Queue", "in from=Ann", "Inbound Call from Ann", Some("Outbound Call to Ann")),
            // A person has written it: the dead lease holder's direction is another one, or its name is.
            ("out name=Bob", "out", "Inbound Call from Bob", None),
            ("out name=Bob", "in", "Inbound Call from Rob", None),
        ] {
            let mut before = written(Some(Subject::new(&details(created), None, &UNLIMITED).base()));
            before.fields.extend(queued(&details(dead), &UNLIMITED));
            let (change, _) = correct(theirs, &before, &details("out"), &UNLIMITED);
            assert_eq!(change.as_deref(), expected, "{created}, {dead}, {theirs}");
        }
    }

    #[test]
    fn a_generated_subject_of_a_recovered_record_is_corrected_if_an_attempt_can_have_sent_it() {
        let sent = details("in name=Bob from=WIRELESS");
        for (theirs, expected) in [
            ("Outbound Call to Bob", Some("Inbound Call from Bob")),
            ("Inbound Call from WIRELESS", Some("Inbound Call from Bob")),
            ("Inbound Call from Bob", None),
            ("Inbound Call from Rob", None),
            ("Quote", None),
        ] {
            let (change, base) = correct(theirs, &written(None), &sent, &UNLIMITED);
            assert_eq!(change.as_deref(), expected, "{theirs}");
            assert!(is_subject(&base.unwrap(), expected.unwrap_or(theirs)), "{theirs}");
        }
    }
}
