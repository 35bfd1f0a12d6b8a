//! The source files of the repository, parsed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, File, Item, Lit, LitStr, Macro, Meta,
    visit::{self, Visit},
};

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns the paths in the repository of all Rust files below a directory.
pub(crate) fn rust_files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{directory} has no Rust files");
    found
}

pub(crate) fn parse(path: &str) -> File {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns `true` for `#[cfg(test)]`, `#[cfg(any(test, ...))]`, `#[test]` and `#[tokio::test]`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if path.segments.last().is_some_and(|last| last.ident == "test") {
            return true;
        }
        let Meta::List(list) = &attribute.meta else { return false };
        path.is_ident("cfg")
            && list.tokens.clone().into_iter().any(|token| match token {
                TokenTree::Ident(ident) => ident == "test",
                TokenTree::Group(group) => group.stream().to_string().contains("test"),
                _ => false,
            })
            && !list.tokens.to_string().starts_with("not")
    })
}

pub(crate) fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the string literals of a file with their lines, including those in macros, without tests and attributes.
pub(crate) fn strings(file: &File) -> Vec<(String, usize)> {
    #[derive(Default)]
    struct Strings(Vec<(String, usize)>);

    impl Strings {
        fn scan(&mut self, tokens: TokenStream) {
            for token in tokens {
                match token {
                    TokenTree::Group(group) => self.scan(group.stream()),
                    TokenTree::Literal(literal) => {
                        if let Ok(Lit::Str(text)) = syn::parse_str(&literal.to_string()) {
                            self.0.push((text.value(), literal.span().start().line));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    impl<'ast> Visit<'ast> for Strings {
        fn visit_item(&mut self, item: &'ast Item) {
            if !is_test(attributes_of(item)) {
                visit::visit_item(self, item);
            }
        }

        fn visit_lit_str(&mut self, text: &'ast LitStr) {
            self.0.push((text.value(), text.span().start().line));
        }

        fn visit_macro(&mut self, item: &'ast Macro) {
            self.scan(item.tokens.clone());
        }

        fn visit_attribute(&mut self, _: &'ast Attribute) {}
    }

    let mut strings = Strings::default();
    strings.visit_file(file);
    strings.0
}
