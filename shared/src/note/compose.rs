//! A fresh body.

use super::{
    Content, Format,
    markup::{Item, place},
};

/// The body that says what is to be said.
pub fn compose(format: Format, content: &Content) -> String {
    let (form, direction) = (format.form(), content.direction);
    let mut pieces = Vec::new();
    for (section, value) in content.iter() {
        place(form, &mut pieces, Item { section, value, direction });
    }
    pieces.into_iter().map(|piece| piece.raw).collect()
}
