//! A statement with its values, and the rows that it returns.

use std::{collections::VecDeque, str::FromStr};

use sqlx::{ColumnIndex, Decode, Row};

use super::Backend;

/// A value bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

/// A statement with `?` for its values. It contains no other `?`.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    text: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Appends text to the statement.
    pub fn and(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Returns the statement with the placeholders of this kind of database.
    pub(super) fn text_for(&self, backend: Backend) -> String {
        if backend != Backend::Postgres {
            return self.text.clone();
        }
        let mut parts = self.text.split('?');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (place, part) in parts.enumerate() {
            text.push_str(&format!("${}", place + 1));
            text.push_str(part);
        }
        text
    }
}

/// Builds the driver's query from a statement.
macro_rules! bound {
    ($statement:expr, $backend:expr) => {{
        let text = $statement.text_for($backend);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for value in $statement.values {
            query = match value {
                $crate::database::Value::Text(text) => query.bind(text),
                $crate::database::Value::Number(number) => query.bind(number),
            };
        }
        query
    }};
}
pub(super) use bound;

/// A result row: every column as text, `None` for NULL. Bytes that are not UTF-8 are replaced, never refused.
#[derive(Debug, Default)]
pub(crate) struct Record(VecDeque<Option<String>>);

impl Record {
    /// Takes the next column.
    pub fn text(&mut self) -> Option<String> {
        self.0.pop_front().flatten()
    }

    /// Takes the next column as a number; `None` if it is NULL or not a number.
    pub fn number<N: FromStr>(&mut self) -> Option<N> {
        self.text()?.trim().parse().ok()
    }
}

pub(super) fn read<R>(rows: Vec<R>) -> Vec<Record>
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
{
    rows.iter()
        .map(|row| {
            let column = |place| {
                let bytes = row.try_get_unchecked::<Option<Vec<u8>>, usize>(place).ok().flatten()?;
                Some(String::from_utf8(bytes).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into()))
            };
            Record((0..row.len()).map(column).collect())
        })
        .collect()
}
