//! The interface that an integration implements to handle events, and its failures.

use std::{fmt::Display, future::Future, sync::Arc};

use super::{ClientError, DatabaseError, Event, Transaction, database::words};

/// Handles events: reads the resource an event points at, and writes the integration's own tables.
///
/// Writes through `transaction` are committed together with the marker that the event was read: both or neither, even
/// if the process ends at any point. The transaction begins when first used, so read over HTTP first, then write.
/// Effects outside the transaction can be repeated, so they should be idempotent.
///
/// ```
/// use atomfeed::{Event, Failure, Transaction, Worker};
///
/// struct Names;
///
/// impl Worker for Names {
///     async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
///         let path = event.content.as_deref().ok_or_else(|| Failure::new("The event points nowhere."))?;
///         let connection = transaction.sqlite().await?;
///         sqlx::query("INSERT INTO seen (path) VALUES (?)").bind(path).execute(connection).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Worker: Send + Sync {
    /// Handles one event, from the feed or at a retry.
    ///
    /// # Errors
    /// Fails if the event cannot be handled: the text is stored, and the feed continues with the next event.
    fn process(
        &self,
        event: &Event,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<W: Worker + ?Sized> Worker for Arc<W> {
    fn process(
        &self,
        event: &Event,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        W::process(self, event, transaction)
    }
}

/// Why an event failed, in two parts that are stored one after the other without a separator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One sentence or a few lines for users.
    pub message: String,
    /// Trace for the developers of the integration, beginning with the kind of error; may be empty.
    pub trace: String,
}

impl Failure {
    /// A failure without a trace.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), trace: String::new() }
    }

    /// Adds a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: impl Into<String>) -> Self {
        self.trace = trace.into();
        self
    }

    /// The text to store, before it is cut.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.message, self.trace)
    }

    fn of(kind: &str, error: &impl Display) -> Self {
        Self::new(error.to_string()).with_trace(format!("{kind}: {error}"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::of("ClientError", &error)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::of("DatabaseError", &error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::of("sqlx::Error", &words(&error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::of("serde_json::Error", &error)
    }
}
