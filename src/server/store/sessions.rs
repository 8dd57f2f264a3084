//! Sessions, personal tokens, and the browsers that users have signed in from. Only hashes of the secrets are stored: a
//! reader of the file cannot sign in with them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Account, Store, StoreError,
    accounts::{folded, role},
    instant,
};
use crate::clock;
use crate::model::Role;

/// How long a browser stays known after its last sign-in.
const KNOWN: TimeDelta = TimeDelta::days(180);

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'s> {
    pub hash: &'s [u8],
    pub account: Option<i64>,
    pub name: &'s str,
    pub role: Role,
    pub address: &'s str,
    pub browser: &'s str,
    /// It begins with a one-time password, which is then used up.
    pub one_time: bool,
}

/// An active session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Identifies the session to its owner; not secret.
    pub number: i64,
    pub hash: Vec<u8>,
    /// `None`: a user of OpenMRS.
    pub account: Option<i64>,
    pub name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub address: String,
    pub browser: String,
}

/// A token about to be created.
#[derive(Clone, Debug)]
pub struct NewToken<'t> {
    pub account: i64,
    pub hash: &'t [u8],
    pub label: &'t str,
    pub role: Role,
    pub reading_only: bool,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A personal token, without its secret.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: i64,
    pub account: i64,
    pub label: String,
    pub role: Role,
    pub reading_only: bool,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
}

const SESSION: &str = "number, hash, account_id, name, role, created_at, last_used_at, address, browser";
const TOKEN: &str = "id, account_id, label, role, reading_only, created_at, expires_at, last_used_at, last_address";

impl Store {
    /// Begins a session, in place of another one if given, and records the sign-in. Deletes sessions unused since
    /// `idle`. Returns `false`, and changes nothing, if the session needs a one-time password that another session has
    /// used.
    pub async fn begin_session(
        &self,
        new: &NewSession<'_>,
        instead_of: Option<&[u8]>,
        idle: TimeDelta,
    ) -> Result<bool, StoreError> {
        let now = clock::now();
        let mut transaction = self.begin().await?;
        if new.one_time {
            let used = sqlx::query(
                "UPDATE accounts SET password_used_at = ? WHERE id = ? AND must_change = 1 AND password_used_at IS NULL",
            )
            .bind(now.timestamp_millis())
            .bind(new.account)
            .execute(&mut *transaction)
            .await?;
            if used.rows_affected() == 0 {
                return Ok(false);
            }
        }
        sqlx::query("DELETE FROM sessions WHERE hash = ? OR last_used_at < ?")
            .bind(instead_of.unwrap_or_default())
            .bind((now - idle).timestamp_millis())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (hash, number, account_id, name, role, created_at, last_used_at, address, browser) \
             VALUES (?, (SELECT COALESCE(MAX(number), 0) + 1 FROM sessions), ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.hash)
        .bind(new.account)
        .bind(new.name)
        .bind(new.role.word())
        .bind(now.timestamp_millis())
        .bind(now.timestamp_millis())
        .bind(new.address)
        .bind(new.browser)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE accounts SET last_sign_in_at = ? WHERE id = ?")
            .bind(now.timestamp_millis())
            .bind(new.account)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives a session another hash. Nothing else about it changes.
    pub async fn rotate_session(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET hash = ? WHERE hash = ?")
            .bind(to)
            .bind(from)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Returns the session with this hash, with its account if it has one.
    pub async fn session(&self, hash: &[u8]) -> Result<Option<(Session, Option<Account>)>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {SESSION} FROM sessions WHERE hash = ?")))
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?;
        let Some(session) = row.as_ref().map(read_session).transpose()? else { return Ok(None) };
        let account = match session.account {
            Some(id) => self.account_of(id).await?,
            None => None,
        };
        Ok(Some((session, account)))
    }

    /// Records that a session was used, and from where.
    pub async fn touch_session(&self, hash: &[u8], address: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET last_used_at = ?, address = ? WHERE hash = ?")
            .bind(clock::now().timestamp_millis())
            .bind(address)
            .bind(hash)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Returns the sessions of this user, last used first.
    pub async fn sessions_of(&self, name: &str) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SESSION} FROM sessions WHERE name = ? ORDER BY last_used_at DESC"
        )))
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_session).collect()
    }

    pub async fn end_session(&self, hash: &[u8]) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE hash = ?").bind(hash).execute(&mut *self.writer().await?).await?;
        Ok(())
    }

    /// Ends one of a user's sessions, by its number; `false` if there is none with that number.
    pub async fn end_session_of(&self, name: &str, number: i64) -> Result<bool, StoreError> {
        let ended = sqlx::query("DELETE FROM sessions WHERE name = ? AND number = ?")
            .bind(name)
            .bind(number)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Ends all sessions of a user, and returns how many there were.
    pub async fn end_sessions(&self, name: &str) -> Result<u64, StoreError> {
        Ok(sqlx::query("DELETE FROM sessions WHERE name = ?")
            .bind(name)
            .execute(&mut *self.writer().await?)
            .await?
            .rows_affected())
    }

    /// Creates a token and returns its id.
    pub async fn add_token(&self, new: &NewToken<'_>) -> Result<i64, StoreError> {
        let id = sqlx::query_scalar(
            "INSERT INTO tokens (account_id, hash, label, role, reading_only, created_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(new.account)
        .bind(new.hash)
        .bind(new.label)
        .bind(new.role.word())
        .bind(new.reading_only)
        .bind(clock::now().timestamp_millis())
        .bind(new.expires_at.map(|at| at.timestamp_millis()))
        .fetch_one(&mut *self.writer().await?)
        .await?;
        Ok(id)
    }

    /// Returns the token with this hash, with its account.
    pub async fn token(&self, hash: &[u8]) -> Result<Option<(Token, Account)>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {TOKEN} FROM tokens WHERE hash = ?")))
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?;
        let Some(token) = row.as_ref().map(read_token).transpose()? else { return Ok(None) };
        Ok(self.account_of(token.account).await?.map(|account| (token, account)))
    }

    pub async fn tokens_of(&self, account: i64) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOKEN} FROM tokens WHERE account_id = ? ORDER BY id DESC"
        )))
        .bind(account)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_token).collect()
    }

    /// Returns the tokens of all accounts with their owners' names, by name, newest first.
    pub async fn all_tokens(&self) -> Result<Vec<(String, Token)>, StoreError> {
        let rows = sqlx::query(
            "SELECT accounts.name AS owner, tokens.id, account_id, label, tokens.role, reading_only, tokens.created_at, \
             expires_at, last_used_at, last_address \
             FROM tokens JOIN accounts ON accounts.id = account_id ORDER BY accounts.name, tokens.id DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("owner")?, read_token(row)?))).collect()
    }

    pub async fn touch_token(&self, id: i64, address: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE tokens SET last_used_at = ?, last_address = ? WHERE id = ?")
            .bind(clock::now().timestamp_millis())
            .bind(address)
            .bind(id)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Revokes a token; `false` if the account has none with that id.
    pub async fn end_token(&self, account: i64, id: i64) -> Result<bool, StoreError> {
        let ended = sqlx::query("DELETE FROM tokens WHERE account_id = ? AND id = ?")
            .bind(account)
            .bind(id)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Revokes all tokens of an account, and returns how many there were.
    pub async fn end_tokens(&self, account: i64) -> Result<u64, StoreError> {
        let ended = sqlx::query("DELETE FROM tokens WHERE account_id = ?")
            .bind(account)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(ended.rows_affected())
    }

    /// Replaces the hash of a browser, so that the old one is worthless to anyone who knows it.
    pub async fn rename_browser(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        sqlx::query("UPDATE known_browsers SET hash = ? WHERE hash = ?")
            .bind(to)
            .bind(from)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Records a browser that a user signed in from.
    pub async fn know_browser(&self, hash: &[u8], name: &str) -> Result<(), StoreError> {
        let now = clock::now();
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM known_browsers WHERE last_used_at < ?")
            .bind((now - KNOWN).timestamp_millis())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO known_browsers (hash, name, last_used_at) VALUES (?, ?, ?) \
             ON CONFLICT (hash, name) DO UPDATE SET last_used_at = excluded.last_used_at",
        )
        .bind(hash)
        .bind(folded(name))
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns whether a user of this name has signed in from any browser still known.
    pub async fn has_signed_in(&self, name: &str) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT 1 FROM known_browsers WHERE name = ? LIMIT 1")
            .bind(folded(name))
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// Returns the names, as accounts compare them, of users who signed in from a browser, most recent sign-in first.
    pub async fn people_of_browser(&self, hash: &[u8]) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar(
            "SELECT name FROM known_browsers WHERE hash = ? AND last_used_at >= ? ORDER BY last_used_at DESC, name LIMIT 100",
        );
        let since = (clock::now() - KNOWN).timestamp_millis();
        Ok(found.bind(hash).bind(since).fetch_all(&self.pool).await?)
    }

    pub async fn knows_browser(&self, hash: &[u8], name: &str) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT 1 FROM known_browsers WHERE hash = ? AND name = ? AND last_used_at >= ?")
            .bind(hash)
            .bind(folded(name))
            .bind((clock::now() - KNOWN).timestamp_millis())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }
}

fn read_session(row: &SqliteRow) -> Result<Session, StoreError> {
    Ok(Session {
        number: row.try_get("number")?,
        hash: row.try_get("hash")?,
        account: row.try_get("account_id")?,
        name: row.try_get("name")?,
        role: role(row.try_get("role")?)?,
        created_at: instant(row.try_get("created_at")?)?,
        last_used_at: instant(row.try_get("last_used_at")?)?,
        address: row.try_get("address")?,
        browser: row.try_get("browser")?,
    })
}

fn read_token(row: &SqliteRow) -> Result<Token, StoreError> {
    let optional = |column| -> Result<_, StoreError> {
        let millis: Option<i64> = row.try_get(column)?;
        millis.map(instant).transpose()
    };
    Ok(Token {
        id: row.try_get("id")?,
        account: row.try_get("account_id")?,
        label: row.try_get("label")?,
        role: role(row.try_get("role")?)?,
        reading_only: row.try_get("reading_only")?,
        created_at: instant(row.try_get("created_at")?)?,
        expires_at: optional("expires_at")?,
        last_used_at: optional("last_used_at")?,
        last_address: row.try_get("last_address")?,
    })
}
