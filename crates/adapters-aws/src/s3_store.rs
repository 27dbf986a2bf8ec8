//! A bucket, or a prefix of one, as a blob store.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, EncodingType};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use percent_encoding::percent_decode_str;
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::ports::{Blob, BlobStore, Condition, Etag, Fetched, Head, Listed};

use crate::metadata;
use crate::s3_error::S3Error;
use crate::sdk_error::innermost;

/// The longest key that S3 holds, in bytes.
const LONGEST_KEY: usize = 1024;
/// How often a get begins again because the object grew between two answers.
const LOOKS: usize = 3;
/// The most memory that is taken on a server's word; the rest is taken as it comes.
const TAKEN_ON_TRUST: u64 = 256 << 20;

/// A blob store in an S3 bucket: the key `trip/cat.png` is the object of the same name behind the
/// store's prefix. Clones share their connections.
///
/// # What it does with what
///
/// - *Conditions* are S3's own: `If-None-Match: *` and `If-Match` of a put, `If-Match` of a delete. A delete
///   under `IfAbsent` is a look only: it never removes anything.
/// - *Etags* are kept as S3 writes them, with their quotes. They are strong.
/// - *Versions* are given where the bucket keeps them.
/// - *Metadata* is user metadata (`x-amz-meta-…`), percent-encoded: in values everything but visible ASCII, and `%` itself; in
///   names everything but `a-z 0-9 - _ .`; an empty text is a lone `%`. All of it together may take 2 KB: beyond that the
///   longest values are cut and end with `…`, because a put must not fail over a fact that the manifest holds in full.
/// - *Checksums*: a put sends a CRC32, which S3 checks before it stores anything, and a get of a whole object checks the one
///   that S3 sends back. CRC32, because every service that speaks S3 knows it; what it guards against is the
///   network, not people.
/// - *Memory*: a get looks at the size that S3 states before it reads, and counts while it reads.
///
/// # What a bucket can't do
///
/// - `Denied`: empty keys, keys of nothing but blanks, keys of more than 1,024 bytes
///   (prefix included).
/// - Where the caller may not list the bucket, S3 says "access denied" about an object that isn't there, and so
///   does this store.
/// - A bucket that doesn't exist is `Other`, never `NotFound`: it is not the objects that are missing.
/// - An answer that got lost is asked for again. A conditional put that had succeeded then gets a `Conflict`
///   with itself; whoever uses conditions looks again anyway.
///
/// Use it inside a tokio runtime.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    bucket: Arc<str>,
    prefix: Arc<str>,
    /// Whether any answer has shown that the bucket exists.
    bucket_seen: Arc<AtomicBool>,
}

impl S3Store {
    /// The store behind `prefix` in `bucket`; `client` comes from [`s3_client`](crate::s3_client).
    ///
    /// The prefix is text put before each key (`photos/`), and may be empty. Nothing is asked of S3 yet.
    pub fn new(client: Client, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into().into(),
            prefix: prefix.into().into(),
            bucket_seen: Arc::default(),
        }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What is put before each key.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The content of one version of the object, also where others have come after it. A version that isn't there is
    /// `NotFound`; more bytes than allowed are `TooLarge`.
    pub async fn get_version(
        &self,
        key: &str,
        version: &str,
        max_bytes: u64,
    ) -> Result<Fetched, StoreError> {
        let place = self.place(key)?;
        let answer = self
            .client
            .get_object()
            .bucket(&*self.bucket)
            .key(place)
            .version_id(version)
            .send()
            .await;
        let output = answer.map_err(|error| failed(key, S3Error::of_call("GetObject", &error)))?;
        let read = read(output, max_bytes, false).await;
        read.map_err(|error| failed(key, error))
    }

    /// The key in the bucket, if S3 would find it again under exactly that name.
    fn place(&self, key: &str) -> Result<String, StoreError> {
        let place = format!("{}{key}", self.prefix);
        let trouble = if key.is_empty() {
            "a key in a bucket can't be empty"
        } else if place.trim().is_empty() {
            "the SDK asks for no key that is nothing but blanks"
        } else if place.len() > LONGEST_KEY {
            "a key in a bucket holds 1,024 bytes at most, the store's prefix included"
        } else {
            return Ok(place);
        };
        Err(StoreError::new(StoreErrorKind::Denied, key).because(trouble))
    }

    async fn look(&self, key: &str, place: &str) -> Result<Head, StoreError> {
        let answer = self
            .client
            .head_object()
            .bucket(&*self.bucket)
            .key(place)
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) => return Err(self.head_failed(key, &error).await),
        };
        self.seen();
        let size = output.content_length();
        describe(
            "HeadObject",
            size.and_then(|size| u64::try_from(size).ok()),
            output.e_tag(),
            output.version_id(),
            output.metadata(),
        )
        .map_err(|error| failed(key, error))
    }

    /// The answer to a HEAD is the same about a missing object and a missing bucket, so the first time
    /// that something isn't there, the bucket is looked for too.
    async fn head_failed(&self, key: &str, error: &SdkError<HeadObjectError>) -> StoreError {
        let error = S3Error::of_call("HeadObject", error);
        if error.kind != StoreErrorKind::NotFound || self.bucket_seen.load(Ordering::Relaxed) {
            return failed(key, error);
        }
        let bucket = self.client.head_bucket().bucket(&*self.bucket).send().await;
        match bucket.map_err(|error| S3Error::of_call("HeadBucket", &error)) {
            Err(no_bucket) if no_bucket.kind == StoreErrorKind::NotFound => {
                let words = format!("there is no bucket {:?}", self.bucket);
                failed(
                    key,
                    S3Error::new(StoreErrorKind::Other, "HeadBucket", words),
                )
            }
            Ok(_) => {
                self.seen();
                failed(key, error)
            }
            // Whoever may not look at the bucket is told what S3 said of the object.
            Err(_) => failed(key, error),
        }
    }

    fn seen(&self) {
        self.bucket_seen.store(true, Ordering::Relaxed);
    }

    async fn page(&self, prefix: &str, token: Option<String>) -> Result<Page, S3Error> {
        let output = self
            .client
            .list_objects_v2()
            .bucket(&*self.bucket)
            .prefix(format!("{}{prefix}", self.prefix))
            // XML has no way to write some characters that keys may have.
            .encoding_type(EncodingType::Url)
            .set_continuation_token(token)
            .send()
            .await
            .map_err(|error| S3Error::of_call("ListObjectsV2", &error))?;
        self.seen();
        let lines = self.lines(&output)?;
        let next = output.next_continuation_token.filter(|_| {
            let more = output.is_truncated;
            more.unwrap_or(false)
        });
        Ok(Page { lines, next })
    }

    fn lines(&self, output: &ListObjectsV2Output) -> Result<Vec<Listed>, S3Error> {
        let odd = |words: &str| S3Error::new(StoreErrorKind::Other, "ListObjectsV2", words);
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let mut lines = Vec::with_capacity(output.contents().len());
        for object in output.contents() {
            let written = object.key().unwrap_or_default();
            let place = if encoded {
                from_url(written).ok_or_else(|| odd("a key in the listing is not UTF-8"))?
            } else {
                written.to_owned()
            };
            let key = place.strip_prefix(&*self.prefix);
            let key = key.ok_or_else(|| odd("a key in the listing lacks the prefix asked for"))?;
            // The prefix itself, as the console makes it to show a folder: it has no name here.
            if key.is_empty() {
                continue;
            }
            let size = object.size().and_then(|size| u64::try_from(size).ok());
            let size =
                size.ok_or_else(|| odd("the listing does not say how large an object is"))?;
            let etag = object.e_tag();
            let etag = etag.ok_or_else(|| odd("the listing does not say an object's etag"))?;
            lines.push(Listed {
                key: key.to_owned(),
                size,
                etag: Etag::new(etag),
            });
        }
        Ok(lines)
    }
}

struct Page {
    lines: Vec<Listed>,
    next: Option<String>,
}

#[async_trait]
impl BlobStore for S3Store {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let place = self.place(key)?;
        let nothing = |head| Fetched {
            bytes: Bytes::new(),
            head,
        };
        // HTTP has no range without bytes.
        if range.as_ref().is_some_and(Range::is_empty) {
            return self.look(key, &place).await.map(nothing);
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        for _ in 0..LOOKS {
            let answer = self
                .client
                .get_object()
                .bucket(&*self.bucket)
                .key(&place)
                .set_range(range.as_ref().map(as_header))
                .send()
                .await;
            match answer {
                Ok(output) => {
                    self.seen();
                    let read = read(output, max_bytes, range.is_some()).await;
                    return read.map_err(|error| failed(key, error));
                }
                Err(error) if starts_behind_the_end(&error) => {
                    let head = self.look(key, &place).await?;
                    // These two must speak of one object: one that has grown meanwhile has bytes there.
                    if head.size <= start {
                        return Ok(nothing(head));
                    }
                }
                Err(error) => return Err(failed(key, S3Error::of_call("GetObject", &error))),
            }
        }
        let words = "the object kept growing and shrinking while it was looked at";
        let error = S3Error::new(StoreErrorKind::Unavailable, "GetObject", words);
        Err(failed(key, error))
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let place = self.place(key)?;
        self.look(key, &place).await
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        let place = self.place(key)?;
        let size = blob.bytes.len() as u64;
        let facts = metadata::encode(&blob.metadata);
        let mut put = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(place)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_content_type(Some(blob.content_type).filter(|text| !text.is_empty()))
            .set_cache_control(blob.cache_control)
            .set_metadata(Some(facts.clone().into_iter().collect()))
            .body(ByteStream::from(blob.bytes));
        put = match &condition {
            Condition::Always => put,
            Condition::IfAbsent => put.if_none_match("*"),
            Condition::IfMatch(etag) => put.if_match(etag.as_str()),
        };
        let answer = put.send().await;
        let output = answer.map_err(|error| {
            let mut error = S3Error::of_call("PutObject", &error);
            if error.kind == StoreErrorKind::NotFound {
                // What is to be replaced isn't there.
                error.kind = match condition {
                    Condition::IfMatch(_) => StoreErrorKind::Conflict,
                    Condition::Always | Condition::IfAbsent => StoreErrorKind::Other,
                };
            }
            failed(key, error)
        })?;
        self.seen();
        let head = describe(
            "PutObject",
            Some(size),
            output.e_tag(),
            output.version_id(),
            None,
        );
        Ok(Head {
            metadata: metadata::decode(&facts),
            ..head.map_err(|error| failed(key, error))?
        })
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        // No key is that long, and S3 refuses to look.
        if self.prefix.len() + prefix.len() > LONGEST_KEY {
            return stream::empty().boxed();
        }
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let pages = stream::try_unfold(Some(None), move |token: Option<Option<String>>| {
            let (store, prefix) = (store.clone(), prefix.clone());
            async move {
                let Some(token) = token else {
                    return Ok(None);
                };
                let page = store.page(&prefix, token).await;
                let page = page.map_err(|error| failed(&prefix, error))?;
                Ok(Some((page.lines, page.next.map(Some))))
            }
        });
        let lines = pages.map_ok(|lines| stream::iter(lines.into_iter().map(Ok)));
        lines.try_flatten().boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        let place = self.place(key)?;
        let there = match &condition {
            // S3 has no such condition, and there is nothing that could be deleted under it.
            Condition::IfAbsent => self.look(key, &place).await,
            Condition::Always | Condition::IfMatch(_) => {
                let etag = match &condition {
                    Condition::IfMatch(etag) => Some(etag.as_str().to_owned()),
                    _ => None,
                };
                let answer = self
                    .client
                    .delete_object()
                    .bucket(&*self.bucket)
                    .key(&place)
                    .set_if_match(etag)
                    .send()
                    .await;
                match answer.map_err(|error| S3Error::of_call("DeleteObject", &error)) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind == StoreErrorKind::Conflict => {
                        // Another object is there, or none: services differ in what they say of a missing one.
                        self.look(key, &place).await
                    }
                    // Somebody else deleted it at the same moment.
                    Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(()),
                    Err(error) => Err(failed(key, error)),
                }
            }
        };
        match there {
            Ok(_) => Err(StoreError::new(StoreErrorKind::Conflict, key)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn failed(key: &str, error: S3Error) -> StoreError {
    StoreError::new(error.kind, key).because(error)
}

/// What an answer says of the whole object.
fn describe(
    operation: &'static str,
    size: Option<u64>,
    etag: Option<&str>,
    version: Option<&str>,
    facts: Option<&HashMap<String, String>>,
) -> Result<Head, S3Error> {
    let lacks = |what| {
        let words = format!("the answer does not say the object's {what}");
        S3Error::new(StoreErrorKind::Other, operation, words)
    };
    Ok(Head {
        size: size.ok_or_else(|| lacks("size"))?,
        etag: Etag::new(etag.ok_or_else(|| lacks("etag"))?),
        version: version.map(str::to_owned),
        metadata: facts.map_or_else(BTreeMap::new, metadata::decode),
    })
}

/// The content of an answer, never more than `max` bytes of it.
async fn read(output: GetObjectOutput, max: u64, in_part: bool) -> Result<Fetched, S3Error> {
    let too_large = |size, words: &str| {
        let kind = StoreErrorKind::TooLarge { size, max };
        S3Error::new(kind, "GetObject", words)
    };
    let broken = |words: String| S3Error::new(StoreErrorKind::Unavailable, "GetObject", words);

    let coming = output.content_length();
    let coming = coming.and_then(|length| u64::try_from(length).ok());
    let size = if in_part {
        output.content_range().and_then(whole_size)
    } else {
        coming
    };
    let head = describe(
        "GetObject",
        size,
        output.e_tag(),
        output.version_id(),
        output.metadata(),
    )?;
    let part = output.content_range().and_then(length_of_part);
    let coming = part.or(coming).unwrap_or(head.size);
    if coming > max {
        return Err(too_large(size, "nothing of it was read"));
    }

    let reserve = usize::try_from(coming.min(TAKEN_ON_TRUST)).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(reserve);
    let mut body = output.body;
    loop {
        let part = body.try_next().await;
        let part =
            part.map_err(|error| broken(format!("the content broke off: {}", innermost(&error))))?;
        let Some(part) = part else { break };
        if (bytes.len() + part.len()) as u64 > max {
            return Err(too_large(None, "more came than the answer had said"));
        }
        bytes.extend_from_slice(&part);
    }
    if bytes.len() as u64 != coming {
        let words = format!("{} bytes came, {coming} were said", bytes.len());
        return Err(broken(words));
    }
    Ok(Fetched {
        bytes: bytes.freeze(),
        head,
    })
}

/// `bytes=5-9` for `5..10`; open where the end is beyond what servers can count to.
fn as_header(range: &Range<u64>) -> String {
    let last = range.end - 1;
    if i64::try_from(last).is_ok() {
        format!("bytes={}-{last}", range.start)
    } else {
        format!("bytes={}-", range.start)
    }
}

/// The 5 of `bytes 5-9/1000`: how many bytes that is. The answer's own length can be wrong.
fn length_of_part(content_range: &str) -> Option<u64> {
    let (part, _) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

/// The 1000 of `bytes 5-9/1000`.
fn whole_size(content_range: &str) -> Option<u64> {
    let (_, size) = content_range.rsplit_once('/')?;
    size.parse().ok()
}

fn starts_behind_the_end<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    status == Some(416)
}

/// S3 writes a space as `+`, as forms do, and a plus sign as `%2B`.
fn from_url(written: &str) -> Option<String> {
    let spaces = written.replace('+', "%20");
    let text = percent_decode_str(&spaces).decode_utf8();
    text.ok().map(std::borrow::Cow::into_owned)
}
