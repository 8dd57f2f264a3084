//! What an integration does with an event.

use std::{fmt::Display, future::Future, sync::Arc};

use super::{ClientError, DatabaseError, Event, Transaction, database::words};

/// Does what an event asks for: reads the resource it points at, and writes its own tables.
///
/// Whatever is written through `transaction` is kept together with the mark that the event was read: both, or neither,
/// whenever the process ends. The transaction begins when it is first used: read over HTTP first, then write. What a
/// worker does outside of the transaction can happen again, so it should do no harm twice.
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
    /// Handles one event, of the feed or at a retry.
    ///
    /// # Errors
    /// The event failed: the text is stored, and the feed goes on with the next event.
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

/// Why an event failed, in the two parts that are stored one behind the other with nothing between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One sentence or a few lines for people.
    pub message: String,
    /// The trace for those who mend the integration, beginning with the kind of the error; it may be empty.
    pub trace: String,
}

impl Failure {
    /// A failure without a trace.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), trace: String::new() }
    }

    /// With a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: impl Into<String>) -> Self {
        self.trace = trace.into();
        self
    }

    /// As it is stored, before it is cut.
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
