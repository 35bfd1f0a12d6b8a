//! Composes a body for a call that has none yet.

use super::{
    Content, Format,
    markup::{Entry, place, render},
};

/// Returns the body that shows some content.
///
/// The [module documentation](super) has an example.
pub fn compose(format: Format, content: &Content) -> String {
    let mut segments = Vec::new();
    for (section, value) in content.iter() {
        place(format.markup(), &mut segments, Entry { section, value, direction: content.direction });
    }
    render(&segments)
}
