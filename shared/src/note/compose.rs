//! A fresh body.

use super::{
    Content, Format,
    markup::{Entry, place},
};

/// The body that says what is to be said.
pub fn compose(format: Format, content: &Content) -> String {
    let (markup, direction) = (format.markup(), content.direction);
    let mut segments = Vec::new();
    for (section, value) in content.iter() {
        place(markup, &mut segments, Entry { section, value, direction });
    }
    segments.into_iter().map(|segment| segment.raw).collect()
}
