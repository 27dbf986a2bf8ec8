//! An S3 server inside the test's own process, on loopback.
//!
//! HTTP, XML, signatures and errors are those of `s3s`; what a bucket does is what
//! [`MemoryStore`] does, because `s3s-fs` looks at a condition before it writes and not while it
//! does, so that both of two racing writers could win.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder as Connections;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::memory::MemoryStore;
use pixmill::ports::{Blob, BlobStore, Condition, Etag};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{SecretKey, SimpleAuth};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Crc32;
use s3s::dto::{
    Checksum, ChecksumMode, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition,
    EncodingType, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::path::check_bucket_name;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The most that one page of a listing holds: S3's own number.
const PAGE: usize = 1000;

/// What S3 leaves as it is when it is asked for URL encoding.
const LISTED_AS_IS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// A running server with named buckets; it ends when it is dropped.
///
/// It has a thread and a runtime of its own, so that it serves tests with and without one, and child
/// processes too. It knows get, head, put, delete and list of objects, with conditions, ranges,
/// metadata and checksums, and the head of a bucket; nothing else of S3.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    buckets: BTreeMap<String, MemoryStore>,
    cues: Mutex<Cues>,
    /// Told when a call stalls.
    stalls: Condvar,
}

#[derive(Debug, Default)]
struct Cues {
    calls: Vec<String>,
    next: VecDeque<Cue>,
    random: Option<Random>,
    stalled: usize,
    retired: bool,
}

/// What happens to one call.
#[derive(Clone, Debug)]
enum Cue {
    Passes,
    Fails(S3ErrorCode),
    Stalls,
    Suffers(Mishap),
}

/// What becomes of a call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The connection is reset before the call has an effect.
    ResetBefore,
    /// The call has its effect, and the connection is reset before any of the answer.
    ResetAfter,
    /// The connection is reset behind so many bytes of the answer, its headers counted.
    CutOff {
        /// Bytes that come through.
        after: usize,
    },
    /// The answer stands still behind so many bytes, its headers counted; the connection stays open.
    StandsStill {
        /// Bytes that come through.
        after: usize,
    },
    /// The answer to a get states a length that is wrong by so many bytes. What is too much for it isn't sent;
    /// where something lacks, the connection ends.
    WrongLength {
        /// What is added to the right length.
        by: i64,
    },
}

impl S3Server {
    /// The access key that it takes, until it is [retired](Self::retire_first_key).
    pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    /// The secret that belongs to it.
    pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    /// Another access key that it takes.
    pub const NEXT_ACCESS_KEY: &str = "AKIAI44QH8DHBEXAMPLE";
    /// The secret that belongs to it.
    pub const NEXT_SECRET_KEY: &str = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";

    /// A server with these buckets, all empty. Names are those that S3 takes: three letters and more.
    pub fn start(buckets: &[&str]) -> Self {
        for name in buckets {
            assert!(check_bucket_name(name), "not a bucket's name: {name:?}");
        }
        let state = Arc::new(State {
            buckets: buckets
                .iter()
                .map(|name| ((*name).to_owned(), MemoryStore::new()))
                .collect(),
            cues: Mutex::default(),
            stalls: Condvar::new(),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound port");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let state = Arc::clone(&state);
            move || serve(listener, state, stopped)
        });
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Its address, for `AWS_ENDPOINT_URL`; buckets are named in the path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is in a bucket, shared with the server: to set a scene and to look at the result.
    pub fn bucket(&self, name: &str) -> MemoryStore {
        self.state.buckets[name].clone()
    }

    /// The next `count` calls fail with this S3 error code (`SlowDown`, `InternalError`, `AccessDenied`),
    /// its HTTP status and no effect. A client's own retries are calls too.
    pub fn fail_next(&self, count: usize, code: &str) {
        let code = S3ErrorCode::from_bytes(code.as_bytes()).expect("an S3 error code");
        let failures = std::iter::repeat_n(Cue::Fails(code), count);
        self.state.cues().next.extend(failures);
    }

    /// The next `count` calls are never answered and have no effect; their connections stay open. Of a put, what it
    /// brings isn't even read. A client's own retries are calls too.
    pub fn stall_next(&self, count: usize) {
        let stalls = std::iter::repeat_n(Cue::Stalls, count);
        self.state.cues().next.extend(stalls);
    }

    /// The next `count` calls meet this on their way. A client's own retries are calls too.
    pub fn meet_next(&self, count: usize, mishap: Mishap) {
        let mishaps = std::iter::repeat_n(Cue::Suffers(mishap), count);
        self.state.cues().next.extend(mishaps);
    }

    /// From now on about one call in `one_in` goes wrong, in every way that is known here: errors of S3 with HTTP 400 (of
    /// credentials), 403, 404 (of the bucket), 409, 412 (of puts), 500 and 503, connections that are reset at any place, answers
    /// that never begin, stand still or state a wrong length. The same seed and the same calls give the same;
    /// what is planned goes first.
    ///
    /// What S3 never does isn't among them: to say of an object that is there that it is gone.
    pub fn trouble_at_random(&self, seed: u64, one_in: u64) {
        self.state.cues().random = Some(Random { seed, one_in });
    }

    /// From now on the first access key has expired; [`NEXT_ACCESS_KEY`](Self::NEXT_ACCESS_KEY) is taken all along.
    pub fn retire_first_key(&self) {
        self.state.cues().retired = true;
    }

    /// The next `count` calls are answered as ever; what is planned after this comes after them.
    pub fn pass_next(&self, count: usize) {
        let passes = std::iter::repeat_n(Cue::Passes, count);
        self.state.cues().next.extend(passes);
    }

    /// Waits until a call stalls, or has since [`heal`](Self::heal); false where none does in this time.
    pub fn wait_for_stall(&self, most: Duration) -> bool {
        let cues = self.state.cues();
        let waited = self
            .state
            .stalls
            .wait_timeout_while(cues, most, |cues| cues.stalled == 0);
        let (cues, _) = waited.unwrap_or_else(PoisonError::into_inner);
        cues.stalled > 0
    }

    /// Whatever was planned for later calls does not happen: they are answered.
    pub fn heal(&self) {
        let mut cues = self.state.cues();
        cues.next.clear();
        cues.random = None;
        cues.stalled = 0;
    }

    /// Every call so far, failed ones too, in order: `PutObject bucket/key`.
    pub fn calls(&self) -> Vec<String> {
        self.state.cues().calls.clone()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn cues(&self) -> MutexGuard<'_, Cues> {
        self.cues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self, name: &str) -> S3Result<&MemoryStore> {
        let bucket = self.buckets.get(name);
        bucket.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }
}

fn serve(listener: std::net::TcpListener, state: Arc<State>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    let mut service = S3ServiceBuilder::new(Buckets(Arc::clone(&state)));
    let mut keys = SimpleAuth::from_single(S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
    keys.register(
        S3Server::NEXT_ACCESS_KEY.to_owned(),
        SecretKey::from(S3Server::NEXT_SECRET_KEY),
    );
    service.set_auth(keys);
    service.set_access(Doorkeeper(state));
    let service = service.build();
    let accept = async move {
        listener.set_nonblocking(true).expect("a socket can wait");
        let listener = TcpListener::from_std(listener).expect("a bound socket");
        while let Ok((connection, _)) = listener.accept().await {
            let service = service.clone();
            let fate = Fate::default();
            let line = Line {
                socket: connection,
                fate: fate.clone(),
            };
            tokio::spawn(FATE.scope(fate, async move {
                let connections = Connections::new(TokioExecutor::new());
                let connection = connections.serve_connection(TokioIo::new(line), service);
                // A client that hangs up is no trouble of ours.
                let _ = connection.await;
            }));
        }
    };
    runtime.block_on(future::select(pin!(accept), stopped));
}

/// How much more may be written on a connection, and what is then.
#[derive(Clone, Debug, Default)]
struct Fate(Arc<Mutex<Option<End>>>);

#[derive(Clone, Copy, Debug)]
struct End {
    left: usize,
    stands_still: bool,
}

tokio::task_local! {
    /// That of the connection that a call came by.
    static FATE: Fate;
}

impl Fate {
    fn end(&self) -> MutexGuard<'_, Option<End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that can break.
#[derive(Debug)]
struct Line {
    socket: TcpStream,
    fate: Fate,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let fate = self.fate.clone();
        let mut end = fate.end();
        let Some(end) = end.as_mut() else {
            return Pin::new(&mut self.socket).poll_write(context, bytes);
        };
        let bytes = &bytes[..bytes.len().min(end.left)];
        if bytes.is_empty() {
            if end.stands_still {
                return Poll::Pending;
            }
            // Closed like this, a socket says so at once and forgets what wasn't sent.
            let _ = self.socket.set_zero_linger();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            end.left -= count;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Numbers that look random and are the same on every run (`SplitMix64`).
#[derive(Clone, Copy, Debug)]
struct Random {
    seed: u64,
    one_in: u64,
}

impl Random {
    fn roll(&mut self, sides: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// What happens to a call of this operation.
    fn cue(&mut self, operation: &str) -> Option<Cue> {
        if self.roll(self.one_in) != 0 {
            return None;
        }
        let place = usize::try_from(self.roll(1200)).unwrap_or(0);
        let suffers = |mishap| Some(Cue::Suffers(mishap));
        let of_put = |code| match operation {
            "PutObject" => code,
            _ => S3ErrorCode::SlowDown,
        };
        let code = match self.roll(14) {
            0 => return Some(Cue::Stalls),
            1 => return suffers(Mishap::ResetBefore),
            2 => return suffers(Mishap::ResetAfter),
            3 | 4 => return suffers(Mishap::CutOff { after: place }),
            5 => return suffers(Mishap::StandsStill { after: place }),
            6 => return suffers(Mishap::WrongLength { by: 7 }),
            7 => return suffers(Mishap::WrongLength { by: -7 }),
            8 => S3ErrorCode::InternalError,
            9 => S3ErrorCode::AccessDenied,
            10 => S3ErrorCode::ExpiredToken,
            // The answer to a HEAD says no more than 404, which would be a lie about the object.
            11 if !operation.starts_with("Head") => S3ErrorCode::NoSuchBucket,
            12 => of_put(S3ErrorCode::PreconditionFailed),
            13 => of_put(S3ErrorCode::ConditionalRequestConflict),
            _ => S3ErrorCode::SlowDown,
        };
        Some(Cue::Fails(code))
    }
}

/// The answer's length is to be stated wrong by so much.
#[derive(Clone, Copy, Debug)]
struct WrongBy(i64);

/// Notes every call, and lets those fail that are to.
struct Doorkeeper(Arc<State>);

impl Doorkeeper {
    /// Notes a call and says what happens to it.
    fn next(&self, operation: &str, place: &str) -> Option<Cue> {
        let mut cues = self.0.cues();
        cues.calls.push(format!("{operation} {place}"));
        let planned = cues.next.pop_front();
        let cue = planned.or_else(|| {
            cues.random
                .as_mut()
                .and_then(|random| random.cue(operation))
        });
        if matches!(cue, Some(Cue::Stalls)) {
            cues.stalled += 1;
            self.0.stalls.notify_all();
        }
        cue
    }

    fn has_expired(&self, access_key: &str) -> bool {
        access_key == S3Server::ACCESS_KEY && self.0.cues().retired
    }
}

#[async_trait::async_trait]
impl S3Access for Doorkeeper {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let path = context.s3_path();
        let place = match (path.get_bucket_name(), path.get_object_key()) {
            (Some(bucket), Some(key)) => format!("{bucket}/{key}"),
            (Some(bucket), None) => bucket.to_owned(),
            _ => String::new(),
        };
        match self.next(context.s3_op().name(), &place) {
            Some(Cue::Fails(code)) => {
                return Err(S3Error::with_message(code, "This call fails on cue"));
            }
            Some(Cue::Stalls) => future::pending().await,
            Some(Cue::Suffers(mishap)) => suffer(mishap, context)?,
            Some(Cue::Passes) | None => {}
        }
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        };
        if self.has_expired(&credentials.access_key) {
            return Err(s3_error!(ExpiredToken, "The provided token has expired."));
        }
        Ok(())
    }
}

/// Sees to it that the call meets this. The error is one that nobody hears.
fn suffer(mishap: Mishap, context: &mut S3AccessContext<'_>) -> S3Result<()> {
    let (left, stands_still) = match mishap {
        Mishap::ResetBefore | Mishap::ResetAfter => (0, false),
        Mishap::CutOff { after } => (after, false),
        Mishap::StandsStill { after } => (after, true),
        Mishap::WrongLength { by } => {
            context.extensions_mut().insert(WrongBy(by));
            return Ok(());
        }
    };
    FATE.with(|fate| *fate.end() = Some(End { left, stands_still }));
    match mishap {
        Mishap::ResetBefore => Err(s3_error!(InternalError, "Nobody hears this")),
        _ => Ok(()),
    }
}

struct Buckets(Arc<State>);

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let wrong_by = request
            .extensions
            .get::<WrongBy>()
            .map_or(0, |wrong| wrong.0);
        let input = request.input;
        let bucket = self.0.bucket(&input.bucket)?;
        let found = bucket.get(&input.key, u64::MAX, None).await;
        let found = found.map_err(as_s3_error)?;
        // Nothing is awaited in between, and this server has one thread: still the same object.
        let blob = bucket.read(&input.key).unwrap_or_default();
        let whole = found.bytes.len() as u64;
        let part = match input.range {
            Some(range) => Some(range.check(whole)?),
            None => None,
        };
        let bytes = match &part {
            Some(part) => found.bytes.slice(index(part.start)..index(part.end)),
            None => found.bytes,
        };
        let asked = input.checksum_mode.as_ref().map(ChecksumMode::as_str);
        let checksum = if part.is_none() && asked == Some(ChecksumMode::ENABLED) {
            crc32(&bytes)
        } else {
            Checksum::default()
        };
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: blob.cache_control,
            checksum_crc32: checksum.checksum_crc32,
            content_length: Some((as_i64(bytes.len() as u64) + wrong_by).max(0)),
            content_range: part
                .map(|part| format!("bytes {}-{}/{whole}", part.start, part.end - 1)),
            content_type: Some(blob.content_type),
            e_tag: Some(etag(&found.head.etag)),
            last_modified: Some(SystemTime::UNIX_EPOCH.into()),
            metadata: Some(found.head.metadata.into_iter().collect()),
            version_id: found.head.version,
            body: Some(StreamingBlob::wrap(stream::iter([Ok::<
                _,
                std::convert::Infallible,
            >(bytes)]))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let bucket = self.0.bucket(&input.bucket)?;
        let head = bucket.head(&input.key).await.map_err(as_s3_error)?;
        let blob = bucket.read(&input.key).unwrap_or_default();
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: blob.cache_control,
            content_length: Some(as_i64(head.size)),
            content_type: Some(blob.content_type),
            e_tag: Some(etag(&head.etag)),
            last_modified: Some(SystemTime::UNIX_EPOCH.into()),
            metadata: Some(head.metadata.into_iter().collect()),
            version_id: head.version,
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let bucket = self.0.bucket(&input.bucket)?;
        let bytes = whole(input.body).await?;
        // They come before the body, or behind it.
        let trailers = request.trailing_headers;
        let trailing = trailers.and_then(|trailers| {
            trailers.read(|headers| {
                let sum = headers.get("x-amz-checksum-crc32")?;
                sum.to_str().ok().map(str::to_owned)
            })
        });
        let checksum = crc32(&bytes);
        let said = input.checksum_crc32.or(trailing.flatten());
        if said.is_some() && said != checksum.checksum_crc32 {
            return Err(s3_error!(BadDigest, "The CRC32 did not match"));
        }
        let condition = match (input.if_match, input.if_none_match) {
            (None, None) => Condition::Always,
            (None, Some(ETagCondition::Any)) => Condition::IfAbsent,
            (Some(ETagCondition::ETag(etag)), None) => {
                Condition::IfMatch(Etag::new(etag.into_value()))
            }
            _ => return Err(s3_error!(NotImplemented, "Not a condition of a put")),
        };
        let blob = Blob {
            bytes,
            content_type: input
                .content_type
                .unwrap_or_else(|| "binary/octet-stream".to_owned()),
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        };
        let on_etag = matches!(condition, Condition::IfMatch(_));
        let put = bucket.put(&input.key, blob, condition).await;
        let head = match put {
            Ok(head) => head,
            // S3's answer where a put is to replace what isn't there.
            Err(_) if on_etag && bucket.read(&input.key).is_none() => {
                return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
            }
            Err(error) => return Err(as_s3_error(error)),
        };
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32: checksum.checksum_crc32,
            e_tag: Some(etag(&head.etag)),
            version_id: head.version,
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let condition = match input.if_match {
            Some(ETagCondition::ETag(etag)) => Condition::IfMatch(Etag::new(etag.into_value())),
            Some(ETagCondition::Any) | None => Condition::Always,
        };
        let bucket = self.0.bucket(&input.bucket)?;
        let deleted = bucket.delete(&input.key, condition).await;
        deleted.map_err(as_s3_error)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.0.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let token = input.continuation_token.as_ref();
        let token = token.map(|token| percent_decode_str(token).decode_utf8_lossy().into_owned());
        let after = token.or(input.start_after);
        let page = input.max_keys.and_then(|most| usize::try_from(most).ok());
        let page = page.unwrap_or(PAGE).min(PAGE);
        let encoding = input.encoding_type;
        let by_url = encoding.as_ref().map(EncodingType::as_str) == Some(EncodingType::URL);
        let written = |key: &str| {
            if by_url {
                let encoded = utf8_percent_encode(key, LISTED_AS_IS).to_string();
                encoded.replace("%20", "+")
            } else {
                key.to_owned()
            }
        };
        let lines: Vec<_> = bucket.list(&prefix).collect().await;
        let lines = lines.into_iter().flatten();
        let rest = lines.filter(|line| after.as_ref().is_none_or(|after| line.key > *after));
        let mut rest: Vec<_> = rest.take(page + 1).collect();
        let more = rest.len() > page;
        rest.truncate(page);
        let last = rest.last().filter(|_| more);
        let next = last.map(|line| utf8_percent_encode(&line.key, NON_ALPHANUMERIC).to_string());
        let objects = rest.iter().map(|line| Object {
            key: Some(written(&line.key)),
            size: Some(as_i64(line.size)),
            e_tag: Some(etag(&line.etag)),
            last_modified: Some(SystemTime::UNIX_EPOCH.into()),
            ..Object::default()
        });
        let contents: Vec<_> = objects.collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(written(&prefix)),
            key_count: i32::try_from(contents.len()).ok(),
            max_keys: i32::try_from(page).ok(),
            contents: Some(contents),
            continuation_token: input.continuation_token,
            encoding_type: encoding,
            is_truncated: Some(more),
            next_continuation_token: next,
            ..ListObjectsV2Output::default()
        }))
    }
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(part) = body.next().await {
            let part = part.map_err(|e| S3Error::with_source(S3ErrorCode::IncompleteBody, e))?;
            bytes.extend_from_slice(&part);
        }
    }
    Ok(bytes.freeze())
}

fn crc32(bytes: &[u8]) -> Checksum {
    let mut hasher = ChecksumHasher {
        crc32: Some(Crc32::default()),
        ..ChecksumHasher::default()
    };
    hasher.update(bytes);
    hasher.finalize()
}

fn etag(etag: &Etag) -> ETag {
    ETag::Strong(etag.as_str().to_owned())
}

fn as_s3_error(error: StoreError) -> S3Error {
    let code = match error.kind() {
        StoreErrorKind::NotFound => S3ErrorCode::NoSuchKey,
        StoreErrorKind::Conflict => S3ErrorCode::PreconditionFailed,
        _ => S3ErrorCode::InternalError,
    };
    S3Error::with_source(code, Box::new(error))
}

fn as_i64(size: u64) -> i64 {
    i64::try_from(size).expect("a size of something in memory")
}

fn index(place: u64) -> usize {
    usize::try_from(place).expect("a place in something in memory")
}
