//! Users' display preferences.

use super::{Store, StoreError, accounts::folded};
use crate::model::Preferences;

impl Store {
    /// Returns the preferences of a user of this sign-in mode; `None` if none are stored.
    pub async fn preferences(&self, way: &str, name: &str) -> Result<Option<Preferences>, StoreError> {
        let chosen = sqlx::query_scalar::<_, String>("SELECT chosen FROM preferences WHERE way = ? AND name = ?")
            .bind(way)
            .bind(folded(name))
            .fetch_optional(&self.pool)
            .await?;
        Ok(chosen.map(|text| Preferences::read(&text)))
    }

    /// Stores the preferences of a user.
    pub async fn set_preferences(&self, way: &str, name: &str, chosen: &Preferences) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO preferences (way, name, chosen) VALUES (?, ?, ?) \
             ON CONFLICT (way, name) DO UPDATE SET chosen = excluded.chosen",
        )
        .bind(way)
        .bind(folded(name))
        .bind(chosen.text())
        .execute(&mut *self.writer().await?)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Theme;

    #[tokio::test]
    async fn each_person_has_their_own_by_the_way_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let dark = Preferences { theme: Theme::Dark, ..Preferences::default() };
        let kolkata = Preferences { zone: Some("Asia/Kolkata".into()), ..Preferences::default() };
        store.set_preferences("account", "Asha", &dark).await.unwrap();
        store.set_preferences("account", "asha", &kolkata).await.unwrap();
        assert_eq!(store.preferences("account", "ASHA").await.unwrap(), Some(kolkata));
        assert_eq!(store.preferences("proxy", "asha").await.unwrap(), None);
    }
}
