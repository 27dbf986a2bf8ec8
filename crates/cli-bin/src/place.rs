//! Where pictures lie and renditions go: a folder, or what lies behind a prefix in a bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use pixmill::ports::BlobStore;
use pixmill_aws::{Patience, S3Client, S3Store, load_with, s3_client};
use pixmill_local::FolderStore;
use tokio::sync::OnceCell;

/// What stands before a bucket's name. A folder of such a name is `./s3:/…`.
const SCHEME: &str = "s3://";

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
    client: OnceCell<S3Client>,
}

impl Buckets {
    /// What lies below the address. Nothing is asked of the service yet.
    pub(crate) async fn open(&self, address: &Address) -> S3Store {
        let client = self.client.get_or_init(async || {
            let config = load_with(Patience::LAPTOP).await;
            s3_client(&config)
        });
        S3Store::new(
            client.await.clone(),
            address.bucket.clone(),
            address.prefix(),
        )
    }

    /// The store that a run writes to. A folder need not be there yet; a bucket must.
    pub(crate) async fn output(
        &self,
        place: &Place,
        durable: bool,
    ) -> anyhow::Result<Arc<dyn BlobStore>> {
        Ok(match place {
            Place::Folder(path) => Arc::new(FolderStore::open_lazily(path)?.durable(durable)),
            Place::Bucket(address) => Arc::new(self.open(address).await),
        })
    }
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
