//! The tokens of machines: who made them, what each opens, and when it was last used. Only hashes of them are kept.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    accounts::{keys, lines},
    instant,
};
use crate::model::access::ServiceRight;

/// A token of a machine about to be kept.
#[derive(Clone, Debug)]
pub struct NewServiceToken<'t> {
    pub hash: &'t [u8],
    pub name: &'t str,
    pub opens: ServiceRight,
    /// Keys of the applications that it tells of; `None`: all.
    pub applications: Option<&'t BTreeSet<String>>,
    /// `None`: the settings name it.
    pub created_by: Option<&'t str>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token of a machine, without what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToken {
    pub id: i64,
    pub hash: Vec<u8>,
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications that it tells of; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    /// The settings name it.
    pub from_settings: bool,
    pub created_at: DateTime<Utc>,
    /// Empty where the settings name it.
    pub created_by: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
    /// Only of the settings: one that was made by somebody is gone when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, hash, name, opens, applications, from_settings, created_at, created_by, expires_at, \
                       last_used_at, last_address, revoked_at";

impl Store {
    /// Keeps a token, and returns its id; `None` where one of this name goes on already.
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
        .bind(Utc::now().timestamp_millis())
        .bind(new.created_by.unwrap_or_default())
        .bind(new.expires_at.map(|at| at.timestamp_millis()))
        .bind(new.name)
        .fetch_optional(&mut *self.pen().await?)
        .await?;
        Ok(added)
    }

    /// The token of this hash, also where it has expired or was revoked.
    pub async fn service_token(&self, hash: &[u8]) -> Result<Option<ServiceToken>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM service_tokens WHERE hash = ?")))
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every token of a machine, by name; those of the settings also where they were revoked.
    pub async fn service_tokens(&self) -> Result<Vec<ServiceToken>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM service_tokens ORDER BY revoked_at IS NOT NULL, name, id"
        )))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Notes that a token was used, and from where.
    pub async fn touch_service_token(&self, id: i64, address: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE service_tokens SET last_used_at = ?, last_address = ? WHERE id = ?")
            .bind(Utc::now().timestamp_millis())
            .bind(address)
            .bind(id)
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// Gives a token of the settings the name and scope that they say now.
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
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// Revokes a token; `false` where none of this id goes on. One of the settings is kept as revoked, so that the next
    /// start does not take it again.
    pub async fn revoke_service_token(&self, id: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM service_tokens WHERE id = ? AND from_settings = 0")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let marked = sqlx::query(
            "UPDATE service_tokens SET revoked_at = ? WHERE id = ? AND from_settings = 1 AND revoked_at IS NULL",
        )
        .bind(Utc::now().timestamp_millis())
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() + marked.rows_affected() > 0)
    }

    /// Forgets a token that the settings no longer name; one that was revoked stays.
    pub async fn forget_service_token(&self, id: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM service_tokens WHERE id = ? AND from_settings = 1 AND revoked_at IS NULL")
            .bind(id)
            .execute(&mut *self.pen().await?)
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
