//! Reads a crate's files into modules: what each defines, imports and names. Tokens are enough for that, and unlike a
//! parser they also show what stands inside macros such as `view!`. Code that exists only in tests is left out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path as written, such as `super::lists::page`, with its line.
#[derive(Debug, Clone)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
}

/// A name that `use` brings into a module.
#[derive(Debug, Clone)]
pub struct Import {
    /// `*` for all names of a module.
    pub name: String,
    pub path: Named,
    /// Whether it only hands the name on (`pub use`).
    pub public: bool,
}

#[derive(Debug, Default)]
pub struct Module {
    /// Index of the file it is written in.
    pub file: usize,
    pub items: Vec<String>,
    pub imports: Vec<Import>,
    pub paths: Vec<Named>,
}

/// A function that is not inside another.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub line: usize,
    /// Its lines from `fn` to the closing brace, without those of markup.
    pub lines: usize,
}

#[derive(Debug, Default)]
pub struct Crate {
    /// Paths below the project's root.
    pub files: Vec<String>,
    /// By path: `["server", "lists"]`; the crate's root is empty.
    pub modules: BTreeMap<Vec<String>, Module>,
}

/// Reads the crate whose root is the file `entry`.
///
/// # Errors
/// Fails if a file is missing or is not Rust; the message names it.
pub fn read_crate(root: &Path, entry: &str) -> Result<Crate, String> {
    let mut found = Crate::default();
    read_file(root, Path::new(entry), Path::new(entry).parent().unwrap_or(Path::new("")), Vec::new(), &mut found)?;
    Ok(found)
}

/// Returns the tokens of a file.
///
/// # Errors
/// Fails if it cannot be read or is not Rust; the message names it.
pub fn tokens(path: &Path) -> Result<TokenStream, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}

fn read_file(root: &Path, file: &Path, folder: &Path, module: Vec<String>, found: &mut Crate) -> Result<(), String> {
    let stream = tokens(&root.join(file))?;
    found.files.push(file.display().to_string());
    let index = found.files.len() - 1;
    let reader = Reader { root, file: index, folder: folder.to_owned() };
    reader.read_module(stream, module, found)
}

struct Reader<'a> {
    root: &'a Path,
    file: usize,
    /// Where the files of this module's children are.
    folder: PathBuf,
}

impl Reader<'_> {
    fn read_module(&self, stream: TokenStream, at: Vec<String>, found: &mut Crate) -> Result<(), String> {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut module = Module { file: self.file, ..Module::default() };
        let mut children = Vec::new();
        let mut next = 0;
        while next < tokens.len() {
            let rest = &tokens[next..];
            if let Some(length) = attribute(rest) {
                let test = is_test_only(&rest[length - 1]);
                // An inner attribute belongs to the module itself.
                let inner = length == 3;
                next += length;
                if test && !inner {
                    next += item_length(&tokens[next..]);
                } else if let TokenTree::Group(group) = &rest[length - 1] {
                    paths_in(group.stream(), &mut module.paths);
                }
                continue;
            }
            match word(&rest[0]).as_deref() {
                Some("mod") => {
                    let name = rest.get(1).and_then(word).unwrap_or_default();
                    if let Some(TokenTree::Group(body)) = rest.get(2) {
                        children.push((name, Some(body.clone())));
                    } else {
                        children.push((name, None));
                    }
                    next += 3;
                }
                Some("use") => {
                    let end = position(rest, ';').unwrap_or(rest.len());
                    let mut found = Vec::new();
                    imports(&rest[1..end], &[], &mut found);
                    let public = is_public(&tokens[..next]);
                    module.imports.extend(found.into_iter().map(|import| Import { public, ..import }));
                    next += end;
                }
                Some("macro_rules") => {
                    module.items.extend(rest.get(2).and_then(word));
                    if let Some(TokenTree::Group(body)) = rest.get(3) {
                        paths_in(body.stream(), &mut module.paths);
                    }
                    next += 4;
                }
                // An implementation defines no name of the module.
                Some("impl") => {
                    let length = item_length(rest);
                    paths_in(rest[..length].iter().cloned().collect(), &mut module.paths);
                    next += length;
                }
                Some("fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static") => {
                    let named = rest[1..].iter().filter_map(word).find(|name| !QUALIFIERS.contains(&name.as_str()));
                    module.items.extend(named);
                    let length = item_length(rest);
                    paths_in(rest[..length].iter().cloned().collect(), &mut module.paths);
                    next += length;
                }
                _ => {
                    // The body of a macro.
                    if let TokenTree::Group(group) = &rest[0] {
                        paths_in(group.stream(), &mut module.paths);
                    }
                    next += 1;
                }
            }
        }
        for (name, body) in children {
            self.read_child(&at, &name, body, found)?;
        }
        found.modules.insert(at, module);
        Ok(())
    }

    fn read_child(&self, at: &[String], name: &str, body: Option<Group>, found: &mut Crate) -> Result<(), String> {
        let mut path = at.to_vec();
        path.push(name.to_owned());
        let folder = self.folder.join(name);
        if let Some(body) = body {
            return Reader { folder, ..*self }.read_module(body.stream(), path, found);
        }
        let beside = self.folder.join(format!("{name}.rs"));
        let file = if self.root.join(&beside).exists() { beside } else { folder.join("mod.rs") };
        read_file(self.root, &file, &folder, path, found)
    }
}

/// Words between the kind of an item and its name, as in `const fn` and `static mut`.
const QUALIFIERS: [&str; 5] = ["fn", "mut", "async", "unsafe", "extern"];

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

fn is(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn position(tokens: &[TokenTree], mark: char) -> Option<usize> {
    tokens.iter().position(|token| is(Some(token), mark))
}

/// Whether the tokens before an item end in `pub` or `pub(crate)`.
fn is_public(before: &[TokenTree]) -> bool {
    let last = match before.last() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => before.iter().rev().nth(1),
        last => last,
    };
    last.and_then(word).as_deref() == Some("pub")
}

/// Returns the number of tokens of the attribute at the beginning; its group is the last of them.
fn attribute(tokens: &[TokenTree]) -> Option<usize> {
    let length = match (is(tokens.first(), '#'), is(tokens.get(1), '!')) {
        (true, true) => 3,
        (true, false) => 2,
        _ => return None,
    };
    matches!(tokens.get(length - 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket)
        .then_some(length)
}

/// Whether an attribute such as `[cfg(test)]` or `[cfg(any(test, feature = "samples"))]` keeps its item to tests.
fn is_test_only(group: &TokenTree) -> bool {
    let text = group.to_string().replace(' ', "");
    text.starts_with("[cfg(") && text.contains("test") && !text.contains("not(test") || text == "[test]"
}

/// Returns the number of tokens of the item at the beginning: to its `;` or its body, whichever comes first.
fn item_length(tokens: &[TokenTree]) -> usize {
    let mut next = 0;
    while let Some(length) = attribute(&tokens[next..]) {
        next += length;
    }
    // A constant's value and an import can have braces before the `;`, a function's signature a `;` only in a group.
    let to_semicolon = tokens[next..]
        .iter()
        .filter_map(word)
        .find(|word| !["pub", "crate", "async", "unsafe"].contains(&word.as_str()))
        .is_some_and(|word| match word.as_str() {
            "use" | "static" | "type" => true,
            "const" => !tokens[next..].iter().take(6).filter_map(self::word).any(|word| word == "fn"),
            _ => false,
        });
    let length = tokens[next..].iter().position(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => !to_semicolon && group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    length.map_or(tokens.len(), |length| next + length + 1)
}

/// Reads the tree of a `use` without its `use` and `;`.
fn imports(tokens: &[TokenTree], before: &[String], into: &mut Vec<Import>) {
    let mut segments = before.to_vec();
    let mut line = 0;
    let mut next = 0;
    while next < tokens.len() {
        match &tokens[next] {
            TokenTree::Ident(ident) if ident == "as" => {
                let name = tokens.get(next + 1).and_then(word).unwrap_or_default();
                into.push(Import { name, path: Named { segments, line }, public: false });
                return;
            }
            TokenTree::Ident(ident) => {
                line = ident.span().start().line;
                // `{self, …}` is the module in front.
                if ident != "self" || segments.is_empty() {
                    segments.extend(word(&tokens[next]));
                }
            }
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|token| is(Some(token), ',')) {
                    imports(part, &segments, into);
                }
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => {
                line = punct.span().start().line;
                into.push(Import { name: "*".to_owned(), path: Named { segments, line }, public: false });
                return;
            }
            _ => {}
        }
        next += 1;
    }
    if let Some(name) = segments.last().cloned().filter(|_| segments.len() > before.len() || line > 0) {
        into.push(Import { name, path: Named { segments, line }, public: false });
    }
}

/// Collects every path and single name of the tokens. Names after a dot are fields and methods, and are left out.
fn paths_in(stream: TokenStream, into: &mut Vec<Named>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut next = 0;
    while next < tokens.len() {
        match &tokens[next] {
            TokenTree::Group(group) => paths_in(group.stream(), into),
            TokenTree::Ident(ident) if ident == "use" => {
                let end = position(&tokens[next..], ';').map_or(tokens.len(), |end| next + end);
                let mut found = Vec::new();
                imports(&tokens[next + 1..end], &[], &mut found);
                into.extend(found.into_iter().map(|import| import.path));
                next = end;
            }
            TokenTree::Ident(ident) if next == 0 || !is(tokens.get(next - 1), '.') => {
                let line = ident.span().start().line;
                let mut segments = Vec::from_iter(word(&tokens[next]));
                while is(tokens.get(next + 1), ':') && is(tokens.get(next + 2), ':') {
                    let Some(segment) = tokens.get(next + 3).and_then(word) else { break };
                    segments.push(segment);
                    next += 3;
                }
                into.push(Named { segments, line });
            }
            _ => {}
        }
        next += 1;
    }
}

/// Collects the functions of a file, also those of implementations, modules and tests.
pub fn functions(stream: TokenStream, into: &mut Vec<Function>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut next = 0;
    while next < tokens.len() {
        let name =
            (word(&tokens[next]).as_deref() == Some("fn")).then(|| tokens.get(next + 1).and_then(word)).flatten();
        match (name, &tokens[next]) {
            (Some(name), start) => {
                let length = item_length(&tokens[next..]);
                let line = start.span().start().line;
                if let Some(TokenTree::Group(body)) = tokens.get(next + length - 1) {
                    let lines = body.span_close().end().line + 1 - line - markup(body.stream());
                    into.push(Function { name, line, lines });
                }
                next += length;
            }
            (None, TokenTree::Group(group)) => {
                functions(group.stream(), into);
                next += 1;
            }
            _ => next += 1,
        }
    }
}

/// Returns the number of lines inside `view!`.
fn markup(stream: TokenStream) -> usize {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let lines = |(at, token): (usize, &TokenTree)| match token {
        TokenTree::Group(group)
            if at > 1 && is(tokens.get(at - 1), '!') && word(&tokens[at - 2]).as_deref() == Some("view") =>
        {
            group.span_close().end().line - group.span_open().start().line
        }
        TokenTree::Group(group) => markup(group.stream()),
        _ => 0,
    };
    tokens.iter().enumerate().map(lines).sum()
}
