//! Service tokens (tokens of machines): their creators, rights and last use. Only their hashes are stored.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    accounts::{keys, lines},
    instant,
};
use crate::clock;
use crate::model::access::ServiceRight;

/// A service token about to be stored.
#[derive(Clone, Debug)]
pub struct NewServiceToken<'t> {
    pub hash: &'t [u8],
    pub name: &'t str,
    pub opens: ServiceRight,
    /// Keys of the applications that it reports; `None`: all.
    pub applications: Option<&'t BTreeSet<String>>,
    /// `None`: it is defined in the settings.
    pub created_by: Option<&'t str>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A service token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToken {
    pub id: i64,
    pub hash: Vec<u8>,
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications that it reports; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    /// It is defined in the settings.
    pub from_settings: bool,
    pub created_at: DateTime<Utc>,
    /// Empty if it is defined in the settings.
    pub created_by: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
    /// Only for tokens from the settings: other tokens are deleted when they are revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, hash, name, opens, applications, from_settings, created_at, created_by, expires_at, \
                       last_used_at, last_address, revoked_at";

impl Store {
    /// Stores a token, and returns its id; `None` if a token of this name that is not revoked exists.
    pub async fn add_service_token(&self, new: &NewServiceToken<'_>) -> Result<Option<i64>, StoreError> {
        let added = sqlx::query_scalar(
            "INSERT INTO service_tokens (hash, name, opens, applications, from_settings, created_at, created_by, expires_at) \
             SELECT ?, ?, ?, ?, ?, ?, ?, ? \
             WHERE NOT EXISTS (SELECT 1 FROM service_tokens WHERE name = ? AND revoked_at IS NULL) RETURNING id",
        )
        .bind(new.hash)
        .bind(new.name)
        .bind(new.opens.word())
        .bind(lines(new.applications))
        .bind(new.created_by.is_none())
        .bind(clock::now().timestamp_millis())
        .bind(new.created_by.unwrap_or_default())
        .bind(new.expires_at.map(|at| at.timestamp_millis()))
        .bind(new.name)
        .fetch_optional(&mut *self.writer().await?)
        .await?;
        Ok(added)
    }

    /// Returns the token with this hash, even if it has expired or was revoked.
    pub async fn service_token(&self, hash: &[u8]) -> Result<Option<ServiceToken>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM service_tokens WHERE hash = ?")))
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Returns all service tokens, by name; those from the settings even if they were revoked.
    pub async fn service_tokens(&self) -> Result<Vec<ServiceToken>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM service_tokens ORDER BY revoked_at IS NOT NULL, name, id"
        )))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Records that a token was used, and from where.
    pub async fn touch_service_token(&self, id: i64, address: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE service_tokens SET last_used_at = ?, last_address = ? WHERE id = ?")
            .bind(clock::now().timestamp_millis())
            .bind(address)
            .bind(id)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Updates a token from the settings to their present name and scope.
    pub async fn change_service_token(
        &self,
        id: i64,
        name: &str,
        opens: ServiceRight,
        applications: Option<&BTreeSet<String>>,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE service_tokens SET name = ?, opens = ?, applications = ? WHERE id = ?")
            .bind(name)
            .bind(opens.word())
            .bind(lines(applications))
            .bind(id)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Revokes a token; `false` if there is none with this id to revoke. One from the settings is kept as revoked, so
    /// that the next start does not accept it again.
    pub async fn revoke_service_token(&self, id: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM service_tokens WHERE id = ? AND from_settings = 0")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let marked = sqlx::query(
            "UPDATE service_tokens SET revoked_at = ? WHERE id = ? AND from_settings = 1 AND revoked_at IS NULL",
        )
        .bind(clock::now().timestamp_millis())
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() + marked.rows_affected() > 0)
    }

    /// Deletes a token that is no longer in the settings; a revoked one is kept.
    pub async fn forget_service_token(&self, id: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM service_tokens WHERE id = ? AND from_settings = 1 AND revoked_at IS NULL")
            .bind(id)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }
}

fn read(row: &SqliteRow) -> Result<ServiceToken, StoreError> {
    let optional = |column| -> Result<_, StoreError> {
        let millis: Option<i64> = row.try_get(column)?;
        millis.map(instant).transpose()
    };
    let opens: &str = row.try_get("opens")?;
    Ok(ServiceToken {
        id: row.try_get("id")?,
        hash: row.try_get("hash")?,
        name: row.try_get("name")?,
        opens: opens.parse().map_err(|_| StoreError::Content(format!("the right {opens:?} of a service token")))?,
        applications: keys(row.try_get("applications")?),
        from_settings: row.try_get("from_settings")?,
        created_at: instant(row.try_get("created_at")?)?,
        created_by: row.try_get("created_by")?,
        expires_at: optional("expires_at")?,
        last_used_at: optional("last_used_at")?,
        last_address: row.try_get("last_address")?,
        revoked_at: optional("revoked_at")?,
    })
}
