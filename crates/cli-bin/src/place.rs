//! Where pictures lie and renditions go: a folder, or what lies behind a prefix in a bucket.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use pixmill::error::{Cause, Error, StoreError, StoreErrorKind};
use pixmill::key::MAX_PREFIX_BYTES;
use pixmill::ports::BlobStore;
use pixmill_aws::{
    Patience, S3Client, S3Store, SdkConfig, load_with, s3_client, what_is_missing_to_sign,
};
use pixmill_local::FolderStore;
use tokio::sync::OnceCell;

use crate::inputs::folds_case;

/// What stands before a bucket's name. A folder of such a name is `./s3:/…`.
pub(crate) const SCHEME: &str = "s3://";

/// A folder or a bucket, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, or one file.
    Folder(PathBuf),
    /// `s3://bucket/key`: everything below a prefix, or one object.
    Bucket(Address),
}

/// `s3://bucket/key`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) bucket: String,
    /// As typed, with or without a slash at its end; may be empty.
    pub(crate) key: String,
}

impl Address {
    /// Whether it can only mean what lies below it: the whole bucket, or a key with a slash at its end.
    pub(crate) fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The key as a prefix: empty, or with one slash at its end.
    pub(crate) fn prefix(&self) -> String {
        let folder = self.key.trim_end_matches('/');
        if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket(address) => address.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME);
        let rest = rest.ok_or_else(|| format!("{text} does not begin with {SCHEME}"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!(
                "{text} names no bucket; write s3://bucket or s3://bucket/prefix"
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl Place {
    /// What `-o` names; a prefix too long for renditions' names to have room behind it is refused.
    pub(crate) fn of_output(typed: &Path) -> anyhow::Result<Self> {
        let place = Self::try_from(typed).map_err(anyhow::Error::msg)?;
        if let Self::Bucket(address) = &place
            && address.prefix().len() > MAX_PREFIX_BYTES
        {
            bail!(
                "the prefix of {place} has more than {MAX_PREFIX_BYTES} bytes; choose a shorter one"
            );
        }
        Ok(place)
    }

    /// Whether names that differ by case are one name there. In a bucket they never are.
    pub(crate) fn folds_case(&self) -> bool {
        match self {
            Self::Folder(path) => folds_case(path),
            Self::Bucket(_) => false,
        }
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Bucket(_) => None,
        }
    }

    /// The bucket's address, if it is one.
    pub(crate) fn bucket(&self) -> Option<&Address> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(address) => Some(address),
        }
    }
}

/// What to do about a bucket that can't be read or written.
pub(crate) fn remedy(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Denied => {
            "check that these credentials may list the bucket (s3:ListBucket), read (s3:GetObject) and, for an \
             output, write it (s3:PutObject)"
        }
        StoreErrorKind::Unavailable => "check the network, AWS_REGION and AWS_ENDPOINT_URL",
        _ => "check the bucket's name, and that AWS_REGION is its region",
    }
}

impl TryFrom<&Path> for Place {
    type Error = String;

    fn try_from(typed: &Path) -> Result<Self, String> {
        match typed.to_str() {
            Some(text) if text.starts_with(SCHEME) => Ok(Self::Bucket(text.parse()?)),
            _ => Ok(Self::Folder(typed.to_owned())),
        }
    }
}

/// Buckets by the account's usual settings, which are read when the first one is opened.
#[derive(Default)]
pub(crate) struct Buckets {
    account: OnceCell<(SdkConfig, S3Client)>,
}

impl Buckets {
    async fn account(&self) -> &(SdkConfig, S3Client) {
        let account = self.account.get_or_init(async || {
            let config = load_with(Patience::LAPTOP).await;
            let client = s3_client(&config);
            (config, client)
        });
        account.await
    }

    /// What lies below the address. Nothing is asked of the service yet.
    pub(crate) async fn open(&self, address: &Address) -> S3Store {
        self.open_at(&address.bucket, address.prefix()).await
    }

    /// The same behind any prefix.
    pub(crate) async fn open_at(&self, bucket: &str, prefix: impl Into<String>) -> S3Store {
        let (_, client) = self.account().await;
        S3Store::new(client.clone(), bucket, prefix)
    }

    /// Whether there is what every call needs: a region, and credentials. Nobody but their provider is asked.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let (config, _) = self.account().await;
        match what_is_missing_to_sign(config).await {
            Some(words) => bail!("buckets can't be used: {words}"),
            None => Ok(()),
        }
    }

    /// A store of sources; nothing is written there. A folder must be there.
    pub(crate) async fn sources(&self, place: &Place) -> anyhow::Result<Arc<dyn BlobStore>> {
        Ok(match place {
            Place::Folder(path) => {
                let store = FolderStore::open(path)
                    .with_context(|| format!("the sources {place} can't be opened"))?;
                Arc::new(store.with_focus_points())
            }
            Place::Bucket(address) => {
                self.check().await?;
                Arc::new(self.open(address).await)
            }
        })
    }

    /// The store that a run writes to. A folder need not be there yet; a bucket must.
    pub(crate) async fn output(
        &self,
        place: &Place,
        durable: bool,
    ) -> anyhow::Result<Arc<dyn BlobStore>> {
        Ok(match place {
            Place::Folder(path) => Arc::new(FolderStore::open_lazily(path)?.durable(durable)),
            Place::Bucket(address) => {
                self.check().await?;
                Arc::new(self.open(address).await)
            }
        })
    }
}

/// Says of a failed look into an output which place it was, and what to do about it.
pub(crate) fn told_of_output<T>(result: Result<T, Error>, output: &Place) -> anyhow::Result<T> {
    result.map_err(|error| match (error.cause(), output) {
        (Cause::Store(store), Place::Bucket(_)) => {
            let (why, remedy) = (reason(store), remedy(store.kind()));
            anyhow!("{output} can't be read: {why}; {remedy}")
        }
        _ => error.into(),
    })
}

/// A store's own words for its failure, without the key.
fn reason(error: &StoreError) -> String {
    let source = error.source();
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// A store's failure about an input, by the name that people know, with what to do about it.
pub(crate) fn told_of_input(error: &StoreError, name: &str) -> StoreError {
    let words = format!("{}; {}", reason(error), remedy(error.kind()));
    StoreError::new(error.kind(), name).because(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, String> {
        Place::try_from(Path::new(text))
    }

    #[test]
    fn an_address_is_read_with_and_without_a_key() {
        let prefix_of = |text: &str| match place(text) {
            Ok(Place::Bucket(address)) => (address.bucket.clone(), address.prefix()),
            other => panic!("{other:?}"),
        };
        let expect = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
        assert_eq!(prefix_of("s3://photos"), expect("photos", ""));
        assert_eq!(prefix_of("s3://photos/"), expect("photos", ""));
        assert_eq!(prefix_of("s3://photos/2024"), expect("photos", "2024/"));
        assert_eq!(prefix_of("s3://photos/a/b/"), expect("photos", "a/b/"));
    }

    #[test]
    fn whatever_else_is_typed_is_a_folder() {
        for text in ["photos", "./s3:/photos", "S3://photos", "/s3://x"] {
            assert_eq!(place(text), Ok(Place::Folder(PathBuf::from(text))));
        }
    }

    #[test]
    fn an_address_without_a_bucket_is_refused() {
        place("s3://").expect_err("no bucket");
        place("s3:///key").expect_err("no bucket");
    }
}
