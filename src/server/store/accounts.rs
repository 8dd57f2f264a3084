//! Accounts: names, roles, visible applications and password hashes. Sessions and tokens are deleted here if a change
//! of the account ends them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, instant};
use crate::clock;
use crate::model::Role;

/// A complete account.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: i64,
    /// In lower case, as it is compared.
    pub name: String,
    pub role: Role,
    /// Keys of the applications that the account may see; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    /// A PHC string.
    pub password: String,
    /// The password must be changed before anything else can be done.
    pub must_change: bool,
    /// End of validity of a one-time password.
    pub password_until: Option<DateTime<Utc>>,
    /// When a one-time password was used for its one sign-in.
    pub password_used_at: Option<DateTime<Utc>>,
    /// If this changes, credentials verified before are no longer valid.
    pub password_set_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub last_sign_in_at: Option<DateTime<Utc>>,
    /// Signing in also requires a code.
    pub second_factor: bool,
}

/// An account about to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub name: String,
    pub role: Role,
    pub applications: Option<BTreeSet<String>>,
    pub password: NewPassword,
    pub created_by: String,
}

/// A password about to be set, as stored.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// A PHC string.
    pub hash: String,
    pub must_change: bool,
    pub until: Option<DateTime<Utc>>,
}

/// What remains valid when the password of an account changes. Everything else ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep<'k> {
    /// Hash of the session that makes the change.
    pub session: &'k [u8],
    pub tokens: bool,
}

/// Why an account was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// There is no account of this name.
    NoAccount,
    /// Without this account, no administrator would be left to manage accounts.
    LastAdministrator,
}

const COLUMNS: &str = "id, name, role, applications, password, must_change, password_until, password_used_at, \
                       password_set_at, disabled_at, created_at, created_by, last_sign_in_at, \
                       EXISTS (SELECT 1 FROM second_factors WHERE account_id = accounts.id) AS second_factor";

/// Returns a name as it is compared: without regard to case.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Store {
    /// Creates an account; `false` if the name is in use.
    pub async fn add_account(&self, new: &NewAccount) -> Result<bool, StoreError> {
        let now = clock::now().timestamp_millis();
        let added = sqlx::query(
            "INSERT INTO accounts (name, role, applications, password, must_change, password_until, password_set_at, \
             created_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(folded(&new.name))
        .bind(new.role.word())
        .bind(lines(new.applications.as_ref()))
        .bind(&new.password.hash)
        .bind(new.password.must_change)
        .bind(new.password.until.map(|until| until.timestamp_millis()))
        .bind(now)
        .bind(now)
        .bind(&new.created_by)
        .execute(&mut *self.writer().await?)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Returns all accounts, by name.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts ORDER BY name")))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Returns the account with this name, even if it is disabled.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts WHERE name = ?")))
            .bind(folded(name))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    pub(super) async fn account_of(&self, id: i64) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts WHERE id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Returns whether there is any account, even a disabled one.
    pub async fn has_accounts(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT 1 FROM accounts LIMIT 1").fetch_optional(&self.pool).await?.is_some())
    }

    /// Sets another password. The account's sessions and tokens end, except those in `keep`.
    pub async fn set_password(
        &self,
        name: &str,
        password: &NewPassword,
        keep: Option<Keep<'_>>,
    ) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "UPDATE accounts SET password = ?, must_change = ?, password_until = ?, password_used_at = NULL, \
             password_set_at = ? WHERE name = ? RETURNING id",
        )
        .bind(&password.hash)
        .bind(password.must_change)
        .bind(password.until.map(|until| until.timestamp_millis()))
        .bind(clock::now().timestamp_millis())
        .bind(folded(name))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(id) = id else { return Ok(Err(Unchanged::NoAccount)) };
        sqlx::query("DELETE FROM sessions WHERE account_id = ? AND hash <> ?")
            .bind(id)
            .bind(keep.map(|keep| keep.session).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        if !keep.is_some_and(|keep| keep.tokens) {
            sqlx::query("DELETE FROM tokens WHERE account_id = ?").bind(id).execute(&mut *transaction).await?;
        }
        // A browser known with the old password is unknown with the new one, unless its session is kept.
        if keep.is_none() {
            sqlx::query("DELETE FROM known_browsers WHERE name = ?")
                .bind(folded(name))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Sets role and applications of an account. Its sessions end, because rights never change during a session. Tokens
    /// remain, and never have more rights than the account.
    pub async fn set_rights(
        &self,
        name: &str,
        role: Role,
        applications: Option<&BTreeSet<String>>,
    ) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "UPDATE accounts SET role = ?, applications = ?, password_set_at = ? WHERE name = ? RETURNING id",
        )
        .bind(role.word())
        .bind(lines(applications))
        .bind(clock::now().timestamp_millis())
        .bind(folded(name))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(id) = id else { return Ok(Err(Unchanged::NoAccount)) };
        if !an_administrator_is_left(&mut transaction).await? {
            return Ok(Err(Unchanged::LastAdministrator));
        }
        end_sessions_of(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Disables an account, which ends its sessions and suspends its tokens, or enables it again.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar("UPDATE accounts SET disabled_at = ? WHERE name = ? RETURNING id")
            .bind(disabled.then(|| clock::now().timestamp_millis()))
            .bind(folded(name))
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(id) = id else { return Ok(Err(Unchanged::NoAccount)) };
        if !an_administrator_is_left(&mut transaction).await? {
            return Ok(Err(Unchanged::LastAdministrator));
        }
        if disabled {
            end_sessions_of(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

/// Returns whether an enabled administrator of all applications remains. If not, the caller drops its transaction,
/// which rolls it back.
async fn an_administrator_is_left(transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>) -> Result<bool, StoreError> {
    let left =
        sqlx::query("SELECT 1 FROM accounts WHERE role = ? AND applications IS NULL AND disabled_at IS NULL LIMIT 1")
            .bind(Role::Administrator.word())
            .fetch_optional(&mut **transaction)
            .await?;
    Ok(left.is_some())
}

async fn end_sessions_of(transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>, id: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE account_id = ?").bind(id).execute(&mut **transaction).await?;
    Ok(())
}

pub(super) fn lines(applications: Option<&BTreeSet<String>>) -> Option<String> {
    applications.map(|applications| applications.iter().map(String::as_str).collect::<Vec<_>>().join("\n"))
}

/// Parses the keys that [`lines`] joins.
pub(super) fn keys(lines: Option<String>) -> Option<BTreeSet<String>> {
    lines.map(|lines| lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

pub(super) fn role(word: &str) -> Result<Role, StoreError> {
    word.parse().map_err(|_| StoreError::Content(format!("the role {word:?}")))
}

fn read(row: &SqliteRow) -> Result<Account, StoreError> {
    let optional = |column| -> Result<_, StoreError> {
        let millis: Option<i64> = row.try_get(column)?;
        millis.map(instant).transpose()
    };
    Ok(Account {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role: role(row.try_get("role")?)?,
        applications: keys(row.try_get("applications")?),
        password: row.try_get("password")?,
        must_change: row.try_get("must_change")?,
        password_until: optional("password_until")?,
        password_used_at: optional("password_used_at")?,
        password_set_at: instant(row.try_get("password_set_at")?)?,
        disabled_at: optional("disabled_at")?,
        created_at: instant(row.try_get("created_at")?)?,
        created_by: row.try_get("created_by")?,
        last_sign_in_at: optional("last_sign_in_at")?,
        second_factor: row.try_get("second_factor")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        (folder, store)
    }

    fn password(hash: &str) -> NewPassword {
        NewPassword { hash: hash.into(), must_change: false, until: None }
    }

    fn new(name: &str, role: Role) -> NewAccount {
        NewAccount { name: name.into(), role, applications: None, password: password("x"), created_by: "test".into() }
    }

    #[tokio::test]
    async fn a_name_is_taken_in_any_case() {
        let (_folder, store) = store().await;
        assert!(!store.has_accounts().await.unwrap());
        assert!(store.add_account(&new("Asha", Role::Viewer)).await.unwrap());
        assert!(!store.add_account(&new("ASHA", Role::Administrator)).await.unwrap());
        let account = store.account(" aSha ").await.unwrap().unwrap();
        assert_eq!((account.name.as_str(), account.role, account.applications), ("asha", Role::Viewer, None));
    }

    #[tokio::test]
    async fn the_last_administrator_stays_one() {
        let (_folder, store) = store().await;
        store.add_account(&new("asha", Role::Administrator)).await.unwrap();
        store.add_account(&new("binta", Role::Operator)).await.unwrap();
        let last = Ok(Err(Unchanged::LastAdministrator));
        assert_eq!(store.set_disabled("asha", true).await.map_err(drop), last);
        assert_eq!(store.set_rights("asha", Role::Operator, None).await.map_err(drop), last);
        let limited = BTreeSet::from(["odoo".to_owned()]);
        assert_eq!(store.set_rights("asha", Role::Administrator, Some(&limited)).await.map_err(drop), last);
        let asha = store.account("asha").await.unwrap().unwrap();
        assert_eq!((asha.role, asha.disabled_at, asha.applications), (Role::Administrator, None, None));

        store.set_rights("binta", Role::Administrator, None).await.unwrap().unwrap();
        store.set_disabled("asha", true).await.unwrap().unwrap();
        assert!(store.account("asha").await.unwrap().unwrap().disabled_at.is_some());
        assert_eq!(store.set_disabled("nobody", true).await.map_err(drop), Ok(Err(Unchanged::NoAccount)));
    }

    #[tokio::test]
    async fn an_account_limited_to_nothing_is_not_one_that_sees_all() {
        let (_folder, store) = store().await;
        store
            .add_account(&NewAccount { applications: Some(BTreeSet::new()), ..new("asha", Role::Viewer) })
            .await
            .unwrap();
        assert_eq!(store.account("asha").await.unwrap().unwrap().applications, Some(BTreeSet::new()));
    }
}
