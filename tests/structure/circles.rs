//! The uses between the files of a crate, and the circles they make.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::source::{Crate, Module, Named};

/// Which file uses which: the names used, with the line of the first use of each.
pub type Uses = BTreeMap<Use, BTreeMap<String, usize>>;

/// A file, and one that it uses.
pub type Use = (String, String);

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Module(Vec<String>),
    /// Something that the module at this path defines, and its name.
    Item(Vec<String>, String),
}

/// Returns the uses between different files of the crate. A name that was re-exported is a use of the file that defines
/// it. To declare, import or hand on (`pub use`) is no use by itself.
pub fn uses_of(of: &Crate) -> Uses {
    let mut uses = Uses::new();
    for (at, module) in &of.modules {
        let imported = module.imports.iter().filter(|import| import.name != "*" && !import.public);
        let mut seen = BTreeSet::new();
        for path in imported.map(|import| &import.path).chain(&module.paths).filter(|path| seen.insert(&path.segments))
        {
            for target in of.resolve(at, &path.segments, 0) {
                let Target::Item(defined_in, name) = target else { continue };
                let (from, to) = (module.file, of.modules[&defined_in].file);
                if from != to {
                    let names = uses.entry((of.files[from].clone(), of.files[to].clone())).or_default();
                    names.entry(name).or_insert(path.line);
                }
            }
        }
    }
    uses
}

/// Imports that lead round through each other are given up after so many steps.
const LONGEST_CHAIN: usize = 20;

impl Crate {
    /// Returns where a path written in module `at` leads; nothing for other crates and unknown names.
    fn resolve(&self, at: &[String], path: &[String], steps: usize) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return vec![Target::Module(at.to_vec())] };
        if steps > LONGEST_CHAIN {
            return Vec::new();
        }
        match first.as_str() {
            "crate" => self.within(&[], rest, steps),
            "self" => self.within(at, rest, steps),
            "super" if !at.is_empty() => self.resolve_super(&at[..at.len() - 1], rest, steps),
            _ => self.within_known(at, path, steps),
        }
    }

    fn resolve_super(&self, at: &[String], rest: &[String], steps: usize) -> Vec<Target> {
        if rest.first().is_some_and(|next| next == "super") && !at.is_empty() {
            return self.resolve_super(&at[..at.len() - 1], &rest[1..], steps);
        }
        self.within(at, rest, steps)
    }

    /// As [`Self::within_known`]; a name that is not found (made by a macro, as the types of server functions) still is
    /// of the module that it was looked for in.
    fn within(&self, at: &[String], path: &[String], steps: usize) -> Vec<Target> {
        let found = self.within_known(at, path, steps);
        if !found.is_empty() || path.is_empty() {
            return found;
        }
        // An alias of another crate is known, and leads out.
        let Some(module) = self.modules.get(at) else { return Vec::new() };
        let alias = module.imports.iter().any(|import| import.name == path[0]);
        if alias || path.len() > 1 { Vec::new() } else { vec![Target::Item(at.to_vec(), path[0].clone())] }
    }

    /// Returns where `path` leads from inside module `at`: to a child module, an item or an import of it.
    fn within_known(&self, at: &[String], path: &[String], steps: usize) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return vec![Target::Module(at.to_vec())] };
        let Some(module) = self.modules.get(at) else { return Vec::new() };
        let mut child = at.to_vec();
        child.push(first.clone());
        let mut found = Vec::new();
        if self.modules.contains_key(&child) {
            found.extend(self.within(&child, rest, steps + 1));
        }
        if module.items.contains(first) {
            found.push(Target::Item(at.to_vec(), first.clone()));
        }
        for import in module.imports.iter().filter(|import| import.name == *first) {
            found.extend(self.continue_at(at, import.path.clone(), rest, steps));
        }
        if found.is_empty() {
            for import in module.imports.iter().filter(|import| import.name == "*") {
                found.extend(self.through_glob(at, module, &import.path, path, steps));
            }
        }
        found
    }

    fn continue_at(&self, at: &[String], path: Named, rest: &[String], steps: usize) -> Vec<Target> {
        // `use chrono;` and the like: the name of another crate.
        if path.segments.len() == 1 && !["crate", "self", "super"].contains(&path.segments[0].as_str()) {
            return Vec::new();
        }
        let mut whole = path.segments;
        whole.extend_from_slice(rest);
        self.resolve(at, &whole, steps + 1)
    }

    fn through_glob(&self, at: &[String], module: &Module, glob: &Named, path: &[String], steps: usize) -> Vec<Target> {
        debug_assert!(!module.imports.is_empty());
        let mut found = Vec::new();
        for target in self.resolve(at, &glob.segments, steps + 1) {
            if let Target::Module(of) = target
                && of != at
            {
                found.extend(self.within_known(&of, path, steps + 1));
            }
        }
        found
    }
}

/// Returns the uses between files that both use and are used, once all others are taken away: none if there is no
/// circle without those in `left_out`.
pub fn entangled<'a>(uses: &'a Uses, left_out: &BTreeSet<Use>) -> Vec<&'a Use> {
    let mut left: Vec<&Use> = uses.keys().filter(|pair| !left_out.contains(*pair)).collect();
    loop {
        let users: BTreeSet<&str> = left.iter().map(|pair| pair.0.as_str()).collect();
        let used: BTreeSet<&str> = left.iter().map(|pair| pair.1.as_str()).collect();
        let before = left.len();
        left.retain(|pair| used.contains(pair.0.as_str()) && users.contains(pair.1.as_str()));
        if left.len() == before {
            return left;
        }
    }
}

/// Returns a shortest circle through the use `from` → `to`: the files from `to` back to `from`, without uses in `left_out`.
pub fn way_back<'a>(uses: &'a Uses, left_out: &BTreeSet<Use>, (from, to): &'a Use) -> Option<Vec<&'a str>> {
    // Each file with the one that it was first reached from.
    let mut reached: BTreeMap<&str, Option<&str>> = BTreeMap::from([(to.as_str(), None)]);
    let mut open = VecDeque::from([to.as_str()]);
    while let Some(file) = open.pop_front() {
        if file == from {
            let mut way = vec![file];
            while let Some(Some(earlier)) = reached.get(way[way.len() - 1]) {
                way.push(*earlier);
            }
            way.reverse();
            return Some(way);
        }
        let from_here = uses.range((file.to_owned(), String::new())..).map(|(pair, _)| pair);
        for pair @ (_, next) in from_here.take_while(|pair| pair.0 == file) {
            if !left_out.contains(pair) && !reached.contains_key(next.as_str()) {
                reached.insert(next, Some(file));
                open.push_back(next);
            }
        }
    }
    None
}
