//! The second factors of accounts and their recovery codes. Callers encrypt the secrets before they are stored.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use crate::clock;

use super::{Store, StoreError, Unchanged, folded, instant};

/// The second factor of an account, as stored.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    pub account: i64,
    /// Encrypted.
    pub secret: Vec<u8>,
    pub set_at: DateTime<Utc>,
    /// Recovery codes that are unused.
    pub codes_left: i64,
}

const SELECT: &str = "SELECT account_id, secret, set_at, (SELECT COUNT(*) FROM recovery_codes \
                      WHERE recovery_codes.account_id = second_factors.account_id AND used_at IS NULL) AS codes_left \
                      FROM second_factors";

impl Store {
    /// Returns the second factor of an account; `None` if it has none.
    pub async fn second_factor(&self, account: i64) -> Result<Option<SecondFactor>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE account_id = ?")))
            .bind(account)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Returns any second factor, to test whether a key fits; `None` if no account has one.
    pub async fn any_second_factor(&self) -> Result<Option<SecondFactor>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY account_id LIMIT 1")))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Sets the second factor of an account, with the hashes of its recovery codes. `step` is that of the code which
    /// verified it. The account's other sessions end, because they began without it. Returns `false`, and changes
    /// nothing, if the account has one already and `replace` is not set: two sign-ins can set one up at the same time.
    pub async fn set_second_factor(
        &self,
        account: i64,
        secret: &[u8],
        step: i64,
        codes: &[[u8; 32]],
        keep_session: &[u8],
        replace: bool,
    ) -> Result<bool, StoreError> {
        let now = clock::now().timestamp_millis();
        let mut transaction = self.begin().await?;
        let set = sqlx::query(
            "INSERT INTO second_factors (account_id, secret, set_at, last_step) VALUES (?, ?, ?, ?) \
             ON CONFLICT (account_id) DO UPDATE SET secret = excluded.secret, set_at = excluded.set_at, \
             last_step = excluded.last_step WHERE ?",
        )
        .bind(account)
        .bind(secret)
        .bind(now)
        .bind(step)
        .bind(replace)
        .execute(&mut *transaction)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        write_codes(&mut transaction, account, codes).await?;
        sqlx::query("DELETE FROM sessions WHERE account_id = ? AND hash <> ?")
            .bind(account)
            .bind(keep_session)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Replaces the recovery codes of an account; the old ones become invalid.
    pub async fn set_recovery_codes(&self, account: i64, codes: &[[u8; 32]]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        write_codes(&mut transaction, account, codes).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Uses up the code of a step; `false` if that code or a later one was used before.
    pub async fn take_step(&self, account: i64, step: i64) -> Result<bool, StoreError> {
        let taken = sqlx::query("UPDATE second_factors SET last_step = ? WHERE account_id = ? AND last_step < ?")
            .bind(step)
            .bind(account)
            .bind(step)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(taken.rows_affected() > 0)
    }

    /// Uses up a recovery code; `false` if the account has none with this hash, or it was used before.
    pub async fn take_recovery_code(&self, account: i64, hash: &[u8]) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "UPDATE recovery_codes SET used_at = ? WHERE account_id = ? AND hash = ? AND used_at IS NULL \
             AND EXISTS (SELECT 1 FROM second_factors WHERE second_factors.account_id = recovery_codes.account_id)",
        )
        .bind(clock::now().timestamp_millis())
        .bind(account)
        .bind(hash)
        .execute(&mut *self.writer().await?)
        .await?;
        Ok(taken.rows_affected() > 0)
    }

    /// Deletes the second factor and its recovery codes; the inner value is whether there was one. If so, the account's
    /// sessions end, except the one that is kept.
    pub async fn reset_second_factor(
        &self,
        name: &str,
        keep_session: &[u8],
    ) -> Result<Result<bool, Unchanged>, StoreError> {
        let mut transaction = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar("SELECT id FROM accounts WHERE name = ?")
            .bind(folded(name))
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(id) = id else { return Ok(Err(Unchanged::NoAccount)) };
        sqlx::query("DELETE FROM recovery_codes WHERE account_id = ?").bind(id).execute(&mut *transaction).await?;
        let gone =
            sqlx::query("DELETE FROM second_factors WHERE account_id = ?").bind(id).execute(&mut *transaction).await?;
        let was = gone.rows_affected() > 0;
        if was {
            sqlx::query("DELETE FROM sessions WHERE account_id = ? AND hash <> ?")
                .bind(id)
                .bind(keep_session)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Ok(was))
    }
}

async fn write_codes(
    transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    account: i64,
    codes: &[[u8; 32]],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM recovery_codes WHERE account_id = ?").bind(account).execute(&mut **transaction).await?;
    for code in codes {
        sqlx::query("INSERT INTO recovery_codes (account_id, hash) VALUES (?, ?)")
            .bind(account)
            .bind(code.as_slice())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<SecondFactor, StoreError> {
    Ok(SecondFactor {
        account: row.try_get("account_id")?,
        secret: row.try_get("secret")?,
        set_at: instant(row.try_get("set_at")?)?,
        codes_left: row.try_get("codes_left")?,
    })
}
