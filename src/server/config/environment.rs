//! The environment of the process, read once, and `${NAME}` in the texts of a configuration.

use std::{collections::BTreeMap, fmt};

/// The environment's variables. Their values may be passwords: they are never printed.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Reads the variables of this process. One that is not UTF-8 counts as missing.
    pub fn of_process() -> Self {
        let text = |part: std::ffi::OsString| part.into_string().ok();
        Self(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect())
    }

    /// Returns the value of a variable; an empty one is a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Syntax of a variable in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The console's own file: `${NAME}`, and `$${` for a literal `${`.
    Ours,
    /// The old console's: `${NAME}` and `${NAME:default}`, where the default can contain variables, too.
    Spring,
}

/// Replaces the variables by the environment's values. Variables inside a value are not expanded.
///
/// # Errors
/// Returns a reason for every variable that is missing or malformed. Quotes names only if they can be names of
/// variables.
pub(super) fn expand(text: &str, environment: &Environment, syntax: Syntax) -> Result<String, Vec<String>> {
    expand_by(text, syntax, |name| environment.get(name))
}

/// The same with the values that `value_of` returns.
pub(super) fn expand_by<'v>(
    text: &str,
    syntax: Syntax,
    value_of: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, Vec<String>> {
    expand_nested(text, syntax, &value_of, DEEPEST)
}

/// Maximum nesting depth of variables in the defaults of others.
const DEEPEST: usize = 16;

fn expand_nested<'v>(
    text: &str,
    syntax: Syntax,
    value_of: &dyn Fn(&str) -> Option<&'v str>,
    depth: usize,
) -> Result<String, Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut reasons = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = syntax == Syntax::Ours && rest[..at].ends_with('$');
        if escaped {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let Some(end) = end_of(inside, syntax) else {
            reasons.push(unfinished(syntax));
            rest = "";
            break;
        };
        match value(&inside[..end], syntax, value_of, depth) {
            Ok(value) => out.push_str(&value),
            Err(of_value) => reasons.extend(of_value),
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    if reasons.is_empty() { Ok(out) } else { Err(reasons) }
}

/// Returns where the variable that begins before this text ends. Spring counts all braces in between, so that a default
/// can contain variables.
fn end_of(inside: &str, syntax: Syntax) -> Option<usize> {
    let mut open = 0_usize;
    for (at, char) in inside.char_indices() {
        match char {
            '{' if syntax == Syntax::Spring => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Returns whether a text is the same whatever the environment holds. The default of a variable counts as such.
pub(super) fn is_literal(text: &str, syntax: Syntax) -> bool {
    expand(text, &Environment::default(), syntax).is_ok_and(|text| !text.is_empty())
}

fn unfinished(syntax: Syntax) -> String {
    let literal = if syntax == Syntax::Ours { "; for the characters themselves write $${" } else { "" };
    format!("has a \"${{\" without a \"}}\" after it{literal}")
}

fn value<'v>(
    inside: &str,
    syntax: Syntax,
    value_of: &dyn Fn(&str) -> Option<&'v str>,
    depth: usize,
) -> Result<String, Vec<String>> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(vec![format!("has variables that stand in one another more than {DEEPEST} deep")]);
    };
    let (name, default) = match name_and_default(inside) {
        (name, Some(default)) if syntax == Syntax::Spring => (name, Some(default)),
        _ => (inside, None),
    };
    // In Spring a name can be composed of variables as well.
    let name = match syntax {
        Syntax::Ours => name.to_owned(),
        Syntax::Spring => expand_nested(name, syntax, value_of, deeper)?,
    };
    if !is_name(&name) {
        let form = match syntax {
            Syntax::Ours => "${NAME} with letters, digits and _; for the characters themselves write $${",
            Syntax::Spring => "${NAME} or ${NAME:default} with letters, digits, _, - and . in the name",
        };
        return Err(vec![format!("has a \"${{…}}\" that names no variable; allowed is {form}")]);
    }
    if let Some(found) = value_of(&name) {
        return Ok(found.to_owned());
    }
    let missing = format!("the environment variable {name} is not set");
    match default {
        None => Err(vec![missing]),
        // Setting this one is enough; so is setting those of its default.
        Some(default) => expand_nested(default, syntax, value_of, deeper).map_err(|mut reasons| {
            reasons.retain(|reason| *reason != missing);
            reasons.insert(0, missing);
            reasons
        }),
    }
}

/// Splits a name from the text after the first colon outside of another variable.
fn name_and_default(inside: &str) -> (&str, Option<&str>) {
    let mut open = 0_usize;
    for (at, char) in inside.char_indices() {
        match char {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            ':' if open == 0 => return (&inside[..at], Some(&inside[at + 1..])),
            _ => {}
        }
    }
    (inside, None)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "_-.".contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::from([("HOST", "db"), ("EMPTY", ""), ("TRICKY", "${HOST}")])
    }

    #[test]
    fn variables_are_replaced_and_everything_else_stays() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("${HOST}", "db"),
            ("mysql://${HOST}:3306/${HOST}", "mysql://db:3306/db"),
            ("a${EMPTY}b", "ab"),
            ("${TRICKY}", "${HOST}"),
            ("5$ {HOST} $HOST }", "5$ {HOST} $HOST }"),
            ("$${HOST}", "${HOST}"),
            ("ä${HOST}ö", "ädbö"),
        ] {
            assert_eq!(expand(text, &environment(), Syntax::Ours).unwrap(), expanded, "{text}");
        }
    }

    #[test]
    fn the_old_consoles_variables_may_have_a_default() {
        for (text, expanded) in [
            ("${HOST:other}", "db"),
            ("${NONE:other}", "other"),
            ("${NONE:}", ""),
            ("${NONE:a:b}", "a:b"),
            ("$${HOST}", "$db"),
        ] {
            assert_eq!(expand(text, &environment(), Syntax::Spring).unwrap(), expanded, "{text}");
        }
    }

    #[test]
    fn a_default_of_the_old_consoles_can_hold_variables() {
        for (text, expanded) in [
            ("jdbc:mysql://${DB_HOST:${OPENMRS_HOST:localhost}}/openmrs", "jdbc:mysql://localhost/openmrs"),
            ("${NONE:${HOST:localhost}}", "db"),
            ("${HOST:${NONE}}", "db"),
            ("${NONE:a${HOST}b${ALSO_NONE:c}d}", "adbbcd"),
            ("${NONE:${ALSO_NONE:}}x", "x"),
            ("${NONE:{a}}", "{a}"),
            ("${HOST:{a}}", "db"),
            ("${HO${EMPTY}ST:x}", "db"),
            // A value is not expanded.
            ("${NONE:${TRICKY}}", "${HOST}"),
        ] {
            assert_eq!(expand(text, &environment(), Syntax::Spring).unwrap(), expanded, "{text}");
        }
        assert!(is_literal("${NONE:${ALSO_NONE:s3cr3t}}", Syntax::Spring));
        assert!(!is_literal("${NONE:${ALSO_NONE}}", Syntax::Spring));
    }

    #[test]
    fn what_is_missing_in_a_default_is_named_and_depth_has_an_end() {
        let reasons = expand("${ONE:${TWO:a${THREE}}}", &environment(), Syntax::Spring).unwrap_err();
        let missing = ["ONE", "TWO", "THREE"].map(|name| format!("the environment variable {name} is not set"));
        assert_eq!(reasons, missing);
        for text in ["${NONE:${ALSO_NONE:s3cr3t}", "${NONE:${s3cr3t pass}}"] {
            let reasons = expand(text, &environment(), Syntax::Spring).unwrap_err().join(" ");
            assert!(reasons.contains("${") && !reasons.contains("s3cr3t"), "{reasons}");
        }
        let nested = |depth: usize| "${N:".repeat(depth) + "x" + &"}".repeat(depth);
        assert_eq!(expand(&nested(DEEPEST), &environment(), Syntax::Spring).unwrap(), "x");
        let reasons = expand(&nested(100_000), &environment(), Syntax::Spring).unwrap_err();
        assert!(reasons.iter().any(|reason| reason.contains("16 deep")), "{reasons:?}");
    }

    #[test]
    fn what_no_variable_gives_stands_in_the_file() {
        for (text, syntax, literal) in [
            ("s3cr3t", Syntax::Ours, true),
            ("$${s3cr3t}", Syntax::Ours, true),
            ("${HOST}", Syntax::Ours, false),
            ("a${HOST}", Syntax::Ours, false),
            ("", Syntax::Ours, false),
            ("${HOST:s3cr3t}", Syntax::Spring, true),
            ("${HOST:}", Syntax::Spring, false),
            ("${HOST}", Syntax::Spring, false),
        ] {
            assert_eq!(is_literal(text, syntax), literal, "{text}");
        }
    }

    #[test]
    fn every_missing_variable_is_named() {
        let reasons = expand("${ONE} ${HOST} ${TWO}", &environment(), Syntax::Ours).unwrap_err();
        assert_eq!(reasons, ["the environment variable ONE is not set", "the environment variable TWO is not set"]);
    }

    #[test]
    fn what_can_be_no_variable_is_refused_without_being_quoted() {
        for text in ["${}", "${s3cr3t pass}", "${s3cr3t", "${9s3cr3t}", "${s3cr3t:x}"] {
            let reasons = expand(text, &environment(), Syntax::Ours).unwrap_err().join(" ");
            assert!(!reasons.contains("s3cr3t"), "{reasons}");
        }
    }

    #[test]
    fn the_environment_never_prints_a_value() {
        let shown = format!("{:?}", Environment::from([("DB_PASSWORD", "s3cr3t-Pa55")]));
        assert!(shown.contains("DB_PASSWORD") && !shown.contains("s3cr3t"), "{shown}");
    }
}
