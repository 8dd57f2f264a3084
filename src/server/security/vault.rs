//! The key that encrypts the secrets of second factors. It is in a separate file, never in the store: with the store or
//! a backup of it alone, no codes can be calculated.
//!
//! If the settings name no file, one beside the store is created when the console first starts. It is never created
//! again while the store holds secrets: a new key would fit none of them, and would hide that the old one is lost.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{
    key_file::{self, NotRead},
    secrets,
};
use crate::{
    error::Problem,
    server::{
        config::Config,
        store::{Store, StoreError},
    },
};

/// What is added to the name of the store for the name of the key's file.
const EXTENSION: &str = "key";

/// Location of the key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    file: Arc<Path>,
    /// Whether the settings name the file.
    named: bool,
    /// The key, once it was read. Errors are not cached: the file can be put back while the console runs.
    key: Arc<OnceLock<Key>>,
}

/// The key in usable form.
#[derive(Clone, Debug)]
pub struct Key(Arc<LessSafeKey>);

/// Why no matching key can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of the second factors cannot be used: the file {file} {reason}")]
pub struct Unusable {
    pub file: String,
    pub reason: String,
}

impl From<Unusable> for Problem {
    fn from(unusable: Unusable) -> Self {
        tracing::error!("{unusable}");
        Problem::unavailable(
            "Codes cannot be checked now: the key of the second factors is missing.",
            "You can sign in with a recovery code. Tell the administrator: the log of the console names the file, and the \
             command account reset-second-factor works without it.",
        )
    }
}

/// Either the store cannot be used, or there is no matching key.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoKey> for Problem {
    fn from(no_key: NoKey) -> Self {
        match no_key {
            NoKey::Unusable(unusable) => unusable.into(),
            NoKey::Store(error) => error.into(),
        }
    }
}

impl Vault {
    pub fn new(config: &Config) -> Self {
        let named = config.access.second_factor_key.clone();
        let file = named.clone().unwrap_or_else(|| key_file::beside(&config.store, EXTENSION));
        Self { file: file.into(), named: named.is_some(), key: Arc::default() }
    }

    /// Returns the file that holds the key.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the key from its file, or creates it if the settings name no file and the store holds no secrets.
    ///
    /// # Errors
    /// Fails if the file is missing or cannot be used, or holds another key than the one that encrypted the store's
    /// secrets.
    pub async fn key(&self, store: &Store) -> Result<Key, NoKey> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        let kept = store.any_second_factor().await?;
        let unusable = |reason: String| Unusable { file: self.file.display().to_string(), reason };
        let bytes = match key_file::read(&self.file) {
            Ok(bytes) => bytes,
            Err(NotRead::Missing) if kept.is_none() && !self.named => {
                let made = key_file::make(&self.file).map_err(|error| unusable(format!("cannot be made: {error}")))?;
                let file = self.file.display();
                tracing::info!(%file, "the key of the second factors was made; it is not in backups of the store");
                made
            }
            Err(NotRead::Missing) => return Err(unusable("is missing".to_owned()).into()),
            Err(NotRead::Bad(reason)) => return Err(unusable(reason).into()),
        };
        let key = Key::new(&bytes).ok_or_else(|| unusable("holds no usable key".to_owned()))?;
        if let Some(kept) = kept
            && key.open(kept.account, &kept.secret).is_none()
        {
            return Err(unusable("has another key than the store needs".to_owned()).into());
        }
        Ok(self.key.get_or_init(|| key).clone())
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, bytes).ok().map(|key| Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Encrypts a secret for this account; it cannot be used for another one.
    ///
    /// # Errors
    /// Fails if the secret cannot be encrypted.
    pub fn seal(&self, account: i64, secret: &[u8]) -> Result<Vec<u8>, Problem> {
        let nonce = secrets::random::<NONCE_LEN>();
        let mut text = secret.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), of_account(account), &mut text)
            .map_err(|_| Problem::internal("a secret could not be encrypted"))?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Decrypts the result of [`Key::seal`] for this account; `None` if it was encrypted with another key or for
    /// another account.
    pub fn open(&self, account: i64, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        Some(self.0.open_in_place(nonce, of_account(account), &mut text).ok()?.to_vec())
    }
}

fn of_account(account: i64) -> Aad<Vec<u8>> {
    Aad::from(format!("second factor of account {account}").into_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn beside(store: &Path) -> PathBuf {
        key_file::beside(store, EXTENSION)
    }

    #[test]
    fn a_secret_is_opened_by_its_key_for_its_account_alone() {
        let (key, other) = (Key::new(&[7; 32]).unwrap(), Key::new(&[8; 32]).unwrap());
        let sealed = key.seal(1, b"secret").unwrap();
        assert_eq!(key.open(1, &sealed).unwrap(), b"secret");
        assert_ne!(sealed, key.seal(1, b"secret").unwrap(), "never the same twice");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(key.open(2, &sealed), None, "another account");
        assert_eq!(other.open(1, &sealed), None, "another key");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(1, &changed), None, "changed");
        for short in [&sealed[..NONCE_LEN], &sealed[..5], &[]] {
            assert_eq!(key.open(1, short), None);
        }
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_never_in_the_place_of_one_that_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        let vault = |named: bool| Vault { file: beside(&path).into(), named, key: Arc::default() };
        let reason = async |vault: Vault| match vault.key(&store).await {
            Err(NoKey::Unusable(unusable)) => unusable.reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(vault(true)).await, "is missing", "one that the settings name is not made");
        let key = vault(false).key(&store).await.unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(beside(&path)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(
            vault(false).key(&store).await.unwrap().open(1, &key.seal(1, b"x").unwrap()).is_some(),
            "the same again"
        );

        add_account(&store).await;
        store.set_second_factor(1, &key.seal(1, b"x").unwrap(), 0, &[], &[], false).await.unwrap();
        vault(false).key(&store).await.unwrap();
        let kept = fs::read(beside(&path)).unwrap();
        fs::remove_file(beside(&path)).unwrap();
        assert_eq!(reason(vault(false)).await, "is missing");
        let write = |text: &str, mode: u32| {
            let _ = fs::remove_file(beside(&path));
            fs::write(beside(&path), text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(beside(&path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            let _ = mode;
        };
        write(&"0a".repeat(32), 0o600);
        assert_eq!(reason(vault(false)).await, "has another key than the store needs");
        for text in ["", "0a", &"0a".repeat(33), &"zz".repeat(32), &"é".repeat(32)] {
            write(text, 0o600);
            assert_eq!(reason(vault(false)).await, "does not hold 64 hexadecimal digits and nothing else", "{text}");
        }
        let text = String::from_utf8(kept).unwrap();
        write(&text, 0o644);
        assert!(reason(vault(false)).await.starts_with("can be read by all users"));
        write(&text, 0o400);
        vault(true).key(&store).await.unwrap();
    }

    async fn add_account(store: &Store) {
        use crate::{
            model::Role,
            server::store::{NewAccount, NewPassword},
        };
        let password = NewPassword { hash: "x".into(), must_change: false, until: None };
        let account = NewAccount {
            name: "asha".into(),
            role: Role::Viewer,
            applications: None,
            password,
            created_by: "test".into(),
        };
        assert!(store.add_account(&account).await.unwrap());
    }
}
