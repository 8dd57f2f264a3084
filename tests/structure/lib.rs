//! Tests of the source's own form: no circles of files, and limits of size. `known.txt` lists what breaks a rule today;
//! it may only become shorter.
#![cfg(test)]

mod circles;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use circles::{Use, Uses, entangled, uses_of, way_back};

/// The crates in which a file must not use itself by way of others. Cargo forbids circles between crates.
const CRATES: [&str; 4] =
    ["src/lib.rs", "crates/model/src/lib.rs", "crates/atomfeed/src/lib.rs", "benches/console/main.rs"];

const LONGEST_FILE: usize = 700;
const LONGEST_FUNCTION: usize = 80;
const LONGEST_TEXTS: [(&str, usize); 2] = [("README.md", 130), ("ARCHITECTURE.md", 150)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the lines of `known.txt` of one kind, without the kind: for `use`, `a.rs -> b.rs`.
fn known(kind: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("tests/structure/known.txt")).expect("known.txt is readable");
    text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')).map(str::to_owned).collect()
}

/// Compares what breaks a rule with what is known of it. Both differences fail: new ones, and lines that can go.
fn assert_known(kind: &str, found: BTreeMap<String, String>) {
    let known = known(kind);
    let new =
        found.iter().filter(|(line, _)| !known.contains(*line)).map(|(line, why)| format!("{kind} {line}\n{why}"));
    let gone = known.iter().filter(|line| !found.contains_key(*line)).map(|line| format!("{kind} {line}"));
    let (new, gone) = (Vec::from_iter(new), Vec::from_iter(gone));
    assert!(new.is_empty(), "{} new:\n{}", new.len(), new.join("\n"));
    assert!(gone.is_empty(), "no longer true, remove from tests/structure/known.txt:\n{}", gone.join("\n"));
}

/// Returns the uses that close a circle although those of `left_out` are ignored, with the circle.
fn closing(uses: &Uses, left_out: &BTreeSet<Use>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for pair in entangled(uses, left_out) {
        if let Some(way) = way_back(uses, left_out, pair) {
            let round: Vec<String> = std::iter::once(pair.0.as_str())
                .chain(way.iter().copied())
                .collect::<Vec<_>>()
                .windows(2)
                .map(|step| (step[0].to_owned(), step[1].to_owned()))
                .map(|step| format!("    {} uses {}: {}", step.0, step.1, names(&uses[&step])))
                .collect();
            found.insert(format!("{} -> {}", pair.0, pair.1), round.join("\n"));
        }
    }
    found
}

fn names(of: &BTreeMap<String, usize>) -> String {
    of.iter().map(|(name, line)| format!("{name} (line {line})")).collect::<Vec<_>>().join(", ")
}

#[test]
fn no_file_uses_itself_by_way_of_others() {
    let known: BTreeSet<Use> = known("use")
        .iter()
        .map(|line| line.split_once(" -> ").expect("known.txt: use FILE -> FILE"))
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect();
    let mut uses = Uses::new();
    for entry in CRATES {
        uses.extend(uses_of(&source::read_crate(&root(), entry).unwrap_or_else(|error| panic!("{error}"))));
    }
    let mut found = closing(&uses, &known);
    assert!(
        found.is_empty(),
        "Files use each other in a circle. Move what they share to a file of its own.\n{}",
        found.iter().map(|(line, why)| format!("{line} closes:\n{why}")).collect::<Vec<_>>().join("\n")
    );
    for pair in &known {
        if uses.contains_key(pair) && way_back(&uses, &known, pair).is_some() {
            found.insert(format!("{} -> {}", pair.0, pair.1), String::new());
        }
    }
    assert_known("use", found);
}

#[test]
fn files_and_functions_are_short() {
    let (mut files, mut functions) = (BTreeMap::new(), BTreeMap::new());
    for path in ["src", "crates"].iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let name = path.strip_prefix(root()).expect("a file of the project").display().to_string();
        let lines = lines_of(&path);
        if lines > LONGEST_FILE {
            files.insert(name.clone(), format!("    has {lines} lines, of at most {LONGEST_FILE}"));
        }
        let mut found = Vec::new();
        source::functions(source::tokens(&path).unwrap_or_else(|error| panic!("{error}")), &mut found);
        for function in found.iter().filter(|function| function.lines > LONGEST_FUNCTION) {
            let why = format!(
                "    line {}: {} lines without markup, of at most {LONGEST_FUNCTION}",
                function.line, function.lines
            );
            functions.insert(format!("{name} {}", function.name), why);
        }
    }
    assert_known("file", files);
    assert_known("function", functions);
}

#[test]
fn the_first_texts_are_short() {
    let long = LONGEST_TEXTS.iter().map(|(name, limit)| (name, limit, lines_of(&root().join(name))));
    let long = long.filter(|(_, limit, lines)| lines > limit);
    assert_known(
        "text",
        long.map(|(name, limit, lines)| ((*name).to_owned(), format!("    has {lines} lines, of at most {limit}")))
            .collect(),
    );
}

fn lines_of(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).lines().count()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("a folder of the project")
        .map(|entry| entry.expect("a readable folder").path())
    {
        if entry.is_dir() {
            found.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

#[test]
fn a_circle_through_a_re_export_and_through_markup_is_found() {
    let example =
        source::read_crate(&root().join("tests/structure"), "example/lib.rs").expect("the example is readable");
    let uses = uses_of(&example);
    let found = closing(&uses, &BTreeSet::new());
    assert_eq!(
        Vec::from_iter(found.keys()),
        ["example/a/mod.rs -> example/b.rs", "example/b.rs -> example/a/mod.rs"],
        "inner.rs uses only in a test, and lib.rs only hands its name on"
    );
    let one = BTreeSet::from([("example/b.rs".to_owned(), "example/a/mod.rs".to_owned())]);
    assert!(closing(&uses, &one).is_empty());
    assert!(uses.contains_key(&("example/b.rs".to_owned(), "example/a/inner.rs".to_owned())), "{uses:?}");
}

#[test]
fn markup_does_not_count_as_code_of_a_function() {
    let text = "fn short() {\n}\nimpl X {\n fn page() {\n  let x = 1;\n  view! {\n   <p>\n   </p>\n  }\n }\n}";
    let mut found = Vec::new();
    source::functions(text.parse().expect("tokens"), &mut found);
    let lines: Vec<_> = found.iter().map(|function| (function.name.as_str(), function.line, function.lines)).collect();
    assert_eq!(lines, [("short", 1, 2), ("page", 4, 4)]);
}
