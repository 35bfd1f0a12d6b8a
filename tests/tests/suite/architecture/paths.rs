//! The parsed source code of a crate, and the paths that it names in `use` declarations, expressions, types, attributes
//! and macro invocations.
//!
//! Names are resolved without the compiler: imports (also renamed, nested, by `*` and through re-exports), `self`,
//! `super`, `crate` and the crate's own name. A path that begins with none of these belongs to another crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Attribute, File, Item, ItemFn, ItemMod, ItemUse, LitStr, Macro, Meta, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::source::{attributes_of, is_test, root, rust_files};

/// Segments of a path. In this crate the first one is `crate`.
pub(super) type Segments = Vec<String>;

/// A source file.
pub(super) struct Source {
    /// The path in the repository.
    pub(super) path: String,
    pub(super) module: Segments,
    pub(super) syntax: File,
}

/// A path that a file names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) file: String,
    pub(super) line: usize,
    /// The module that names the path.
    pub(super) module: Segments,
    /// The path as the file names it, from the root of the crate or with another crate's name.
    pub(super) path: Segments,
    /// The path of the definition, after all re-exports.
    pub(super) definition: Segments,
    /// `true` for a `pub use`, which makes a name available and does not use it.
    pub(super) is_reexport: bool,
    /// `true` in a test item.
    pub(super) is_test: bool,
}

/// The declarations of a module.
#[derive(Debug, Default)]
struct Scope {
    file: String,
    /// Names of imports, with the paths as they are written.
    imports: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    items: BTreeSet<String>,
    is_test: bool,
}

/// A parsed crate.
pub(super) struct Crate {
    /// The name by which other crates import it.
    name: String,
    pub(super) sources: Vec<Source>,
    scopes: BTreeMap<Segments, Scope>,
}

impl Crate {
    /// Reads the crate whose sources are in this directory.
    pub(super) fn read(name: &str, directory: &str) -> Crate {
        let texts: Vec<(String, String)> = rust_files(directory)
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                (path, text)
            })
            .collect();
        let texts = texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        Crate::parse(name, directory, texts)
    }

    /// Parses a crate from its files: their paths in the repository, and their texts.
    pub(super) fn parse<'a>(
        name: &str,
        directory: &str,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Crate {
        let mut parsed = Crate { name: name.to_owned(), sources: Vec::new(), scopes: BTreeMap::new() };
        for (path, text) in texts {
            let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let within = path.strip_prefix(directory).unwrap_or(path).trim_start_matches('/');
            let source = Source { path: path.to_owned(), module: module_of(within), syntax };
            parsed.sources.push(source);
        }
        let mut scopes = BTreeMap::new();
        for source in &parsed.sources {
            let mut scope_of =
                ScopeCollector { scopes: &mut scopes, file: &source.path, module: source.module.clone() };
            scope_of.scope();
            scope_of.visit_file(&source.syntax);
        }
        // A module is test code if it is declared as a test, or is inside such a module.
        let is_declared_test = |module: &Segments, scopes: &BTreeMap<Segments, Scope>| {
            (1..=module.len()).any(|length| scopes.get(&module[..length]).is_some_and(|scope| scope.is_test))
        };
        let test_modules: Vec<Segments> =
            scopes.keys().filter(|module| is_declared_test(module, &scopes)).cloned().collect();
        for module in test_modules {
            scopes.entry(module).or_default().is_test = true;
        }
        parsed.scopes = scopes;
        parsed
    }

    /// Returns the names of the modules in the root of the crate.
    pub(super) fn top_level_modules(&self) -> BTreeSet<&str> {
        self.scopes.keys().filter(|module| module.len() == 2).map(|module| module[1].as_str()).collect()
    }

    /// Returns the file of the innermost module of a path, or `None` for other crates.
    pub(super) fn file_of(&self, path: &[String]) -> Option<&str> {
        (1..=path.len()).rev().find_map(|length| {
            let scope = self.scopes.get(&path[..length])?;
            Some(scope.file.as_str())
        })
    }

    /// Returns every path that the crate names.
    pub(super) fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for source in &self.sources {
            let is_test = self.scopes.get(&source.module).is_some_and(|scope| scope.is_test);
            let mut collector = ReferenceCollector {
                of: self,
                file: &source.path,
                module: source.module.clone(),
                is_test,
                found: &mut found,
            };
            collector.visit_file(&source.syntax);
        }
        found
    }

    /// Returns the paths that a written path can mean in a module: one, or one for each `*` import of another crate.
    fn resolve(&self, written: &[String], module: &[String]) -> Vec<Segments> {
        self.resolve_once(written, module, &mut BTreeSet::new())
    }

    fn resolve_once(
        &self,
        written: &[String],
        module: &[String],
        seen: &mut BTreeSet<(Segments, String)>,
    ) -> Vec<Segments> {
        let Some((first, rest)) = written.split_first() else { return Vec::new() };
        let from = |base: &[String]| vec![[base, rest].concat()];
        match first.as_str() {
            "crate" => from(&["crate".to_owned()]),
            name if name == self.name => from(&["crate".to_owned()]),
            "self" if rest.is_empty() => vec![module.to_vec()],
            "self" => self.resolve_in(rest, module, seen),
            "super" => {
                let parent = &module[..module.len().saturating_sub(1).max(1)];
                match rest.first().map(String::as_str) {
                    None => vec![parent.to_vec()],
                    Some("super") => self.resolve_once(rest, parent, seen),
                    Some(_) => self.resolve_in(rest, parent, seen),
                }
            }
            "Self" => Vec::new(),
            name => {
                if let Some(found) = self.lookup(name, module, seen) {
                    return found.into_iter().map(|base| [base.as_slice(), rest].concat()).collect();
                }
                let globs = self.globs(module, seen);
                let foreign = globs.iter().filter(|glob| glob[0] != "crate");
                let foreign = foreign.map(|glob| [glob.as_slice(), written].concat());
                [written.to_vec()].into_iter().chain(foreign).collect()
            }
        }
    }

    /// Resolves a path relative to a module, which may declare or import its first segment.
    fn resolve_in(
        &self,
        rest: &[String],
        module: &[String],
        seen: &mut BTreeSet<(Segments, String)>,
    ) -> Vec<Segments> {
        let own = [module, rest].concat();
        let is_own = self.scopes.contains_key(&own[..=module.len()])
            || self.scopes.get(module).is_some_and(|scope| scope.items.contains(&rest[0]));
        if is_own {
            return vec![own];
        }
        match self.lookup(&rest[0], module, seen) {
            Some(found) => found.into_iter().map(|base| [base.as_slice(), &rest[1..]].concat()).collect(),
            None => vec![own],
        }
    }

    /// Returns the paths of a name in a module: an import, a child module or an item. Returns `None` if the name is not
    /// from this crate.
    fn lookup(
        &self,
        name: &str,
        module: &[String],
        seen: &mut BTreeSet<(Segments, String)>,
    ) -> Option<Vec<Segments>> {
        if !seen.insert((module.to_vec(), name.to_owned())) {
            return None;
        }
        let scope = self.scopes.get(module)?;
        let own = [module, &[name.to_owned()]].concat();
        if let Some(written) = scope.imports.get(name) {
            return Some(self.resolve_once(written, module, seen));
        }
        if self.scopes.contains_key(&own) || scope.items.contains(name) {
            return Some(vec![own]);
        }
        let globs = self.globs(module, seen);
        globs.iter().filter(|glob| glob[0] == "crate").find_map(|glob| self.lookup(name, glob, seen))
    }

    /// Returns the paths of a module's `*` imports. `seen` prevents that they are resolved through themselves.
    fn globs(&self, module: &[String], seen: &BTreeSet<(Segments, String)>) -> Vec<Segments> {
        let guard = (module.to_vec(), "*".to_owned());
        let Some(scope) = self.scopes.get(module).filter(|_| !seen.contains(&guard)) else {
            return Vec::new();
        };
        let resolve = |glob: &Segments| self.resolve_once(glob, module, &mut BTreeSet::from([guard.clone()]));
        scope.globs.iter().flat_map(resolve).collect()
    }

    /// Returns the path of the definition of a path in this crate, after re-exports.
    fn definition(&self, path: &[String]) -> Segments {
        let mut path = path.to_vec();
        for _ in 0..16 {
            let Some(length) =
                (1..=path.len()).rev().find(|length| self.scopes.contains_key(&path[..*length]))
            else {
                return path;
            };
            let Some(name) = path.get(length) else { return path };
            let module = &path[..length];
            let is_item = self.scopes.get(module).is_some_and(|scope| scope.items.contains(name));
            let next = if is_item { None } else { self.lookup(name, module, &mut BTreeSet::new()) };
            let Some(next) = next.and_then(|found| found.into_iter().next()) else { return path };
            let next = [next.as_slice(), &path[length + 1..]].concat();
            if next == path {
                return path;
            }
            path = next;
        }
        path
    }
}

/// Returns the module of a file, from its path below the directory of the crate.
fn module_of(path: &str) -> Segments {
    let mut module = vec!["crate".to_owned()];
    let path = path.trim_end_matches(".rs");
    if ["lib", "main"].contains(&path) {
        return module;
    }
    let path = path.strip_suffix("/mod").unwrap_or(path);
    module.extend(path.split('/').map(str::to_owned));
    module
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => return None,
    })
}

/// Collects the leaves of a `use` tree: the name that each introduces (`None` for `*`), and its path.
fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<(Option<String>, Segments)>) {
    let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => found.push((before.last().cloned(), before.to_vec())),
        UseTree::Name(name) => found.push((Some(name.ident.to_string()), with(&name.ident))),
        UseTree::Rename(rename) => {
            let path = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
            found.push((Some(rename.rename.to_string()), path));
        }
        UseTree::Glob(_) => found.push((None, before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|item| leaves(item, before, found)),
    }
}

fn leaves_of(item: &ItemUse) -> Vec<(Option<String>, Segments)> {
    let mut found = Vec::new();
    leaves(&item.tree, &[], &mut found);
    found
}

struct ScopeCollector<'a> {
    scopes: &'a mut BTreeMap<Segments, Scope>,
    file: &'a str,
    module: Segments,
}

impl ScopeCollector<'_> {
    fn scope(&mut self) -> &mut Scope {
        let scope = self.scopes.entry(self.module.clone()).or_default();
        if scope.file.is_empty() {
            scope.file = self.file.to_owned();
        }
        scope
    }
}

impl<'ast> Visit<'ast> for ScopeCollector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Some(name) = name_of(item) {
            self.scope().items.insert(name);
        }
        visit::visit_item(self, item);
    }

    // The names that a function declares or imports are treated as names of its module.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let scope = self.scope();
        for (name, path) in leaves_of(item) {
            match name {
                Some(name) => drop(scope.imports.insert(name, path)),
                None => scope.globs.push(path),
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        if is_test(&item.attrs) {
            let scope = self.scopes.entry(self.module.clone()).or_default();
            scope.is_test = true;
        }
        if item.content.is_some() {
            self.scope();
            visit::visit_item_mod(self, item);
        }
        self.module.pop();
    }
}

struct ReferenceCollector<'a> {
    of: &'a Crate,
    file: &'a str,
    module: Segments,
    is_test: bool,
    found: &'a mut Vec<Reference>,
}

impl ReferenceCollector<'_> {
    fn add(&mut self, written: &[String], line: usize, is_reexport: bool) {
        for path in self.of.resolve(written, &self.module) {
            let definition = if path[0] == "crate" { self.of.definition(&path) } else { path.clone() };
            self.found.push(Reference {
                file: self.file.to_owned(),
                line,
                module: self.module.clone(),
                path,
                definition,
                is_reexport,
                is_test: self.is_test,
            });
        }
    }

    /// Adds the paths in the tokens of a macro. Inside the braces of `before::{...}` they begin with `before`.
    fn scan(&mut self, tokens: TokenStream, before: &[String]) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let is_punct = |at: usize, char: char| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == char);
        let is_separator = |at: usize| is_punct(at, ':') && is_punct(at + 1, ':');
        let mut at = 0;
        while at < trees.len() {
            match &trees[at] {
                TokenTree::Ident(ident) => {
                    let is_member = at > 0 && (is_punct(at - 1, '.') || is_punct(at - 1, '\''));
                    let line = ident.span().start().line;
                    let mut path = [before, &[ident.to_string()]].concat();
                    at += 1;
                    while is_separator(at) {
                        match trees.get(at + 2) {
                            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                                self.scan(group.stream(), &path);
                            }
                            _ => break,
                        }
                        at += 3;
                    }
                    let is_import = || {
                        let scope = self.of.scopes.get(&self.module);
                        scope.is_some_and(|scope| scope.imports.contains_key(&path[0]))
                    };
                    if path.len() > 1 || !is_member && is_import() {
                        self.add(&path, line, false);
                    }
                }
                TokenTree::Group(group) => {
                    self.scan(group.stream(), before);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Adds the paths in the strings of an attribute, as in `#[serde(with = "crate::model::time")]`.
    fn scan_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.scan_strings(group.stream()),
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    let text = syn::parse_str::<LitStr>(&literal.to_string()).map(|text| text.value());
                    if let Some(path) = text.ok().and_then(|text| syn::parse_str::<syn::Path>(&text).ok())
                        && path.segments.len() > 1
                    {
                        self.add(&segments(&path), line, false);
                    }
                }
                _ => {}
            }
        }
    }

    fn within(&mut self, is_test: bool, visit: impl FnOnce(&mut Self)) {
        let before = self.is_test;
        self.is_test |= is_test;
        visit(self);
        self.is_test = before;
    }
}

pub(super) fn segments(path: &syn::Path) -> Segments {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl<'ast> Visit<'ast> for ReferenceCollector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(is_test(attributes_of(item)), |this| visit::visit_item(this, item));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        let line = item.span().start().line;
        for (_, path) in leaves_of(item) {
            self.add(&path, line, is_reexport);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.within(is_test(&item.attrs), |this| visit::visit_item_fn(this, item));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(&segments(path), path.span().start().line, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.scan(item.tokens.clone(), &[]);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone(), &[]);
            self.scan_strings(list.tokens.clone());
        }
    }

    // The path of `pub(in path)` is not a use.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
