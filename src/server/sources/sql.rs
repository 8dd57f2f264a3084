//! Statements for three kinds of database.
//!
//! A query is written once; the differences between MySQL, PostgreSQL and SQLite are functions here. Values are always
//! sent as parameters. The only names that become part of a statement's text are those of [`super::schema`], quoted.
//!
//! The database converts every selected column to text. So there is one way to read a row, and a date of `0000-00-00`,
//! an `infinity`, a `numeric(10,0)` or a `bigint unsigned` cannot make reading it fail.

use crate::model::{Backend, RowId, error_text::KEY_CHARS};

use super::schema::{Column, ColumnKind};

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Int(i64),
    /// Only MySQL has unsigned numbers; the others get the digits as text.
    UInt(u64),
    Text(String),
    /// A value of a whole row, or NULL.
    Bytes(Option<Vec<u8>>),
}

/// A statement with its parameters.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    backend: Backend,
    pub text: String,
    pub binds: Vec<Bind>,
}

impl Statement {
    pub fn new(backend: Backend, text: impl Into<String>) -> Self {
        Self { backend, text: text.into(), binds: Vec::new() }
    }

    pub fn push(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.text.push_str(text.as_ref());
        self
    }

    fn bind(&mut self, value: Bind, postgres_cast: &str) -> &mut Self {
        self.binds.push(value);
        if self.backend == Backend::Postgres {
            self.text.push_str(&format!("${}{postgres_cast}", self.binds.len()));
        } else {
            self.text.push('?');
        }
        self
    }

    /// Appends what `inner` appends, as text.
    pub fn as_text(&mut self, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let (before, after) = match self.backend {
            Backend::MySql => ("CAST(", " AS CHAR)"),
            Backend::Postgres => ("(", ")::text"),
            Backend::Sqlite => ("CAST(", " AS TEXT)"),
        };
        self.push(before);
        inner(self);
        self.push(after)
    }

    /// Appends a whole number.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.bind(Bind::Int(value), "::bigint")
    }

    /// Appends a text. PostgreSQL's texts cannot contain NUL bytes: a text with one equals no text there.
    pub fn value(&mut self, value: &str) -> &mut Self {
        let value = match self.backend {
            Backend::Postgres => value.replace('\0', "\u{fffd}"),
            _ => value.to_owned(),
        };
        self.bind(Bind::Text(value), "::text")
    }

    /// Appends a value of a whole row as read by [`super::discard`]; `cast` tells PostgreSQL its type.
    pub fn raw(&mut self, bytes: Option<Vec<u8>>, cast: &str) -> &mut Self {
        self.bind(Bind::Bytes(bytes), cast)
    }

    /// Appends a row's id, in the type of its column, so that the primary key's index is used.
    pub fn id(&mut self, column: &Column, id: RowId) -> &mut Self {
        let (small, large) = (i64::try_from(id.0), u64::try_from(id.0));
        match (self.backend, small, large) {
            (Backend::Postgres, Ok(id), _) if column.kind == ColumnKind::Integer => self.int(id),
            (Backend::Postgres, ..) => self.bind(Bind::Text(id.to_string()), "::text::numeric"),
            (_, Ok(id), _) => self.bind(Bind::Int(id), ""),
            (Backend::MySql, _, Ok(id)) => self.bind(Bind::UInt(id), ""),
            // Too large for a column, but possible in a URL: compared as a wide number.
            (Backend::MySql, ..) => self.wide(id, "DECIMAL(39,0)"),
            (Backend::Sqlite, ..) => self.wide(id, "NUMERIC"),
        }
    }

    fn wide(&mut self, id: RowId, kind: &str) -> &mut Self {
        self.push("CAST(").bind(Bind::Text(id.to_string()), "").push(format!(" AS {kind})"))
    }

    /// Appends a time as the database prints it, in the type of its column.
    pub fn time(&mut self, column: &Column, text: &str) -> &mut Self {
        match (self.backend, column.kind) {
            // In a sub-select the text is converted to a time once, not for every row.
            (Backend::Postgres, ColumnKind::Instant) => self.push("(SELECT ").value(text).push("::timestamptz)"),
            (Backend::Postgres, ColumnKind::Local) => self.push("(SELECT ").value(text).push("::timestamp)"),
            // SQLite compares values by their storage class: milliseconds are numbers.
            (Backend::Sqlite, kind) => match text.parse() {
                Ok(number) if kind != ColumnKind::Text => self.bind(Bind::Int(number), ""),
                _ => self.bind(Bind::Text(text.to_owned()), ""),
            },
            _ => self.value(text),
        }
    }

    /// Appends `column IN (…)` for ids.
    pub fn id_in(&mut self, name: &str, column: &Column, ids: impl IntoIterator<Item = RowId>) -> &mut Self {
        self.push(format!("{name} IN ("));
        for (place, id) in ids.into_iter().enumerate() {
            if place > 0 {
                self.push(", ");
            }
            self.id(column, id);
        }
        self.push(")")
    }

    /// Appends `column IN (…)` for texts, compared as the database does it; matches nothing if there are no texts.
    pub fn text_in(&mut self, column: &str, values: &[String]) -> &mut Self {
        if values.is_empty() {
            return self.push("1 = 0");
        }
        let wide = self.backend == Backend::MySql && values.iter().any(|value| !value.is_ascii());
        // As in `equals`.
        self.push(if wide { format!("CONVERT({column} USING utf8mb4) IN (") } else { format!("{column} IN (") });
        for (place, value) in values.iter().enumerate() {
            self.push(if place > 0 { ", " } else { "" }).value(value);
        }
        self.push(")")
    }

    /// Appends `column = value`, compared as the database does it.
    pub fn equals(&mut self, column: &str, value: &str) -> &mut Self {
        // MySQL refuses to compare a latin1 column with characters that latin1 lacks.
        if self.backend == Backend::MySql && !value.is_ascii() {
            self.push(format!("CONVERT({column} USING utf8mb4) = "))
        } else {
            self.push(format!("{column} = "))
        }
        .value(value)
    }

    /// Like [`Statement::equals`], for a value as [`super::connection::Record::key`] reads it: one that was cut there
    /// matches every longer text with this beginning.
    pub fn equals_key(&mut self, column: &str, value: &str) -> &mut Self {
        let cut = value.strip_suffix('…').filter(|beginning| beginning.chars().count() + 1 == KEY_CHARS as usize);
        let Some(begins) = cut else { return self.equals(column, value) };
        let length = match self.backend {
            Backend::MySql => format!("CHAR_LENGTH({column})"),
            Backend::Postgres => format!("CHAR_LENGTH(({column})::text)"),
            Backend::Sqlite => format!("LENGTH({column})"),
        };
        self.push("(").equals(column, value);
        let beginning = beginning(self.backend, column, KEY_CHARS - 1);
        self.push(" OR (").equals(&beginning, begins);
        self.push(format!(" AND {length} > {KEY_CHARS}))"))
    }

    /// Appends `expression LIKE pattern`, without regard to case as far as the database does that. Literal text in the
    /// pattern must be escaped by [`escape_like`].
    pub fn like(&mut self, expression: &str, pattern: &str) -> &mut Self {
        match self.backend {
            // The character set's default collation ignores case, even if the column's own does not.
            Backend::MySql => self.push(format!("CONVERT({expression} USING utf8mb4) LIKE ")),
            Backend::Postgres => self.push(format!("{expression} ILIKE ")),
            Backend::Sqlite => self.push(format!("{expression} LIKE ")),
        };
        self.value(pattern).push(" ESCAPE '!'")
    }
}

/// Escapes `%` and `_` in a text that is searched for literally.
pub(super) fn escape_like(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// Returns a name in quotes.
pub(super) fn quote(backend: Backend, name: &str) -> String {
    match backend {
        Backend::MySql => format!("`{}`", name.replace('`', "``")),
        Backend::Postgres | Backend::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Returns an expression as text.
pub(super) fn as_text(backend: Backend, expression: &str) -> String {
    match backend {
        Backend::MySql => format!("CAST({expression} AS CHAR)"),
        Backend::Postgres => format!("({expression})::text"),
        Backend::Sqlite => format!("CAST({expression} AS TEXT)"),
    }
}

/// Returns, for PostgreSQL, the English text of a text by language, or else the first of another language; any other
/// JSON as text.
pub(super) fn of_language(column: &str) -> String {
    let json = format!("({column})::jsonb");
    format!(
        "(CASE jsonb_typeof({json}) \
         WHEN 'object' THEN COALESCE({json} ->> 'en_US', (SELECT languages.value FROM jsonb_each_text({json}) AS languages \
         WHERE languages.value IS NOT NULL ORDER BY languages.key LIMIT 1)) \
         WHEN 'array' THEN ({column})::text ELSE {json} #>> '{{}}' END)"
    )
}

/// Returns the beginning of a text: `chars` characters, or more (up to four times as many bytes) on SQLite, whose text
/// functions stop at a NUL; the reader cuts it again.
///
/// A text with no more bytes than that is returned whole: to cut it, databases count its characters, which takes longer
/// than reading it. A length in bytes is known without reading the text.
pub(super) fn cut(backend: Backend, expression: &str, chars: u32) -> String {
    let (whole, most, cut) = match backend {
        Backend::MySql => (expression.to_owned(), chars.into(), format!("LEFT({expression}, {chars})")),
        // A text by language would be extracted three times.
        Backend::Postgres if expression.contains("jsonb") => return format!("LEFT(({expression})::text, {chars})"),
        Backend::Postgres => {
            let text = as_text(backend, expression);
            (text.clone(), chars.into(), format!("LEFT({text}, {chars})"))
        }
        // In whatever encoding the file has.
        Backend::Sqlite => {
            let bytes = u64::from(chars) * 4;
            (as_text(backend, expression), bytes, format!("SUBSTR(CAST({expression} AS BLOB), 1, {bytes})"))
        }
    };
    format!("CASE WHEN {} <= {most} THEN {whole} ELSE {cut} END", byte_length(backend, expression))
}

/// Returns a value as text, no longer than needed to see that it has more than [`KEY_CHARS`] characters.
pub(super) fn key(backend: Backend, expression: &str) -> String {
    cut(backend, expression, KEY_CHARS + 1)
}

/// Returns the length of a text in bytes.
pub(super) fn byte_length(backend: Backend, expression: &str) -> String {
    match backend {
        Backend::MySql | Backend::Sqlite => format!("OCTET_LENGTH({expression})"),
        Backend::Postgres => format!("OCTET_LENGTH(({expression})::text)"),
    }
}

/// Returns the beginning of a text, for comparing: `chars` characters. Unlike [`cut`], SQLite ends it at a NUL, as its
/// LIKE does.
pub(super) fn beginning(backend: Backend, expression: &str, chars: u32) -> String {
    match backend {
        Backend::MySql => format!("LEFT({expression}, {chars})"),
        Backend::Postgres => format!("LEFT(({expression})::text, {chars})"),
        Backend::Sqlite => format!("SUBSTR({expression}, 1, {chars})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quote(Backend::MySql, "a`b"), "`a``b`");
        assert_eq!(quote(Backend::Postgres, "a\"; DROP"), "\"a\"\"; DROP\"");
    }

    #[test]
    fn wildcards_in_a_search_stand_for_themselves() {
        assert_eq!(escape_like("100%_!"), "100!%!_!!");
    }
}
