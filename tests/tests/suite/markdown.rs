//! The repository's Markdown pages, parsed: links, anchors, tables and code.

use std::{collections::BTreeMap, fs, path::Path};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page.
pub(crate) struct Page {
    /// The path in the repository.
    pub(crate) path: String,
    text: String,
}

/// A link and its line.
pub(crate) struct Link {
    pub(crate) target: String,
    pub(crate) line: usize,
}

/// Code in a page.
pub(crate) struct Code {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// The language of a block; `None` for code within a line.
    pub(crate) language: Option<String>,
}

/// Reads every Markdown page of the repository.
pub(crate) fn pages() -> Vec<Page> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_skipped =
                name == "target" || name == "node_modules" || name.starts_with('.') && name != ".github";
            if path.is_dir() && !is_skipped {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(Page::read(path.strip_prefix(&root).unwrap().to_str().unwrap()));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 10, "the pages were found");
    found
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

impl Page {
    pub(crate) fn read(path: &str) -> Page {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Page::new(path, &text)
    }

    pub(crate) fn new(path: &str, text: &str) -> Page {
        Page { path: path.to_owned(), text: text.to_owned() }
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, usize)> {
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
        let line = |at: usize| self.text[..at].matches('\n').count() + 1;
        Parser::new_ext(&self.text, options)
            .into_offset_iter()
            .map(move |(event, range)| (event, line(range.start)))
    }

    /// Returns the targets of links and images.
    pub(crate) fn links(&self) -> Vec<Link> {
        let link = |(event, line)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(Link { target: dest_url.into_string(), line })
            }
            _ => None,
        };
        self.events().filter_map(link).collect()
    }

    /// Returns the anchors that GitHub gives the headings: letters, digits, `-` and `_` in lower case, `-` for a space,
    /// and a number for a repeated heading.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = Vec::new();
        for (heading, _) in self.headings() {
            let kept = |char: &char| char.is_alphanumeric() || ['-', '_', ' '].contains(char);
            let anchor: String =
                heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
            let count = seen.entry(anchor.clone()).or_default();
            anchors.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
            *count += 1;
        }
        anchors
    }

    /// Returns the rendered text of the headings, with their lines.
    pub(crate) fn headings(&self) -> Vec<(String, usize)> {
        let mut headings = Vec::new();
        let mut current: Option<(String, usize)> = None;
        for (event, line) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => current = Some((String::new(), line)),
                Event::End(TagEnd::Heading(_)) => headings.extend(current.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some((heading, _)) = &mut current {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        headings
    }

    /// Returns inline code and code blocks.
    pub(crate) fn code(&self) -> Vec<Code> {
        let mut found: Vec<Code> = Vec::new();
        let mut is_block = false;
        for (event, line) in self.events() {
            match event {
                Event::Code(text) => found.push(Code { text: text.into_string(), line, language: None }),
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    is_block = true;
                    found.push(Code { text: String::new(), line: line + 1, language: Some(language) });
                }
                Event::End(TagEnd::CodeBlock) => is_block = false,
                Event::Text(text) if is_block => {
                    if let Some(code) = found.last_mut() {
                        code.text.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Returns the rows of the first table below a heading.
    pub(crate) fn table_below(&self, heading: &str) -> Vec<Vec<Cell>> {
        let (mut is_below, mut is_head, mut rows) = (false, false, Vec::<Vec<Cell>>::new());
        let mut current = String::new();
        let mut is_heading = false;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => {
                    is_heading = true;
                    current.clear();
                }
                Event::End(TagEnd::Heading(_)) => {
                    is_heading = false;
                    is_below = current == heading;
                }
                Event::End(TagEnd::Table) if is_below => return rows,
                Event::Start(Tag::TableHead) => is_head = true,
                Event::End(TagEnd::TableHead) => is_head = false,
                Event::Start(Tag::TableRow) if is_below => rows.push(Vec::new()),
                Event::Start(Tag::TableCell) if is_below && !is_head => {
                    rows.last_mut().expect("a cell is in a row").push(Cell::default());
                }
                Event::Code(code) if is_below && !is_head => {
                    if let Some(cell) = rows.last_mut().and_then(|row| row.last_mut()) {
                        cell.text.push_str(&code);
                        cell.code.push(code.into_string());
                    }
                }
                Event::Text(text) => {
                    if is_heading {
                        current.push_str(&text);
                    } else if let Some(cell) = rows.last_mut().and_then(|row| row.last_mut()) {
                        cell.text.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        rows
    }
}

/// A cell of a table: the inline code in it, and its whole text.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) code: Vec<String>,
    pub(crate) text: String,
}
