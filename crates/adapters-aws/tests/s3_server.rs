//! What only a server shows, beside the contract: prefixes, refusals and throttling over a real connection.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use pixmill::error::StoreErrorKind;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::s3_server::S3Server;

async fn store(server: &S3Server, bucket: &str, prefix: &str) -> S3Store {
    let config = load_at(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
    S3Store::new(s3_client(&config), bucket, prefix)
}

#[tokio::test]
async fn a_prefix_is_put_before_every_key_and_seen_by_nobody() {
    let server = S3Server::start(&["uploads", "others"]);
    let bucket = server.bucket("uploads");
    for key in ["photos/", "photos/cat.png", "photos-old/cat.png"] {
        bucket.insert(key, "x");
    }
    let photos = store(&server, "uploads", "photos/").await;
    let blob = Blob::default();
    let put = photos.put("dog.png", blob, Condition::IfAbsent).await;
    put.expect("a put");
    assert!(bucket.keys().contains(&"photos/dog.png".to_owned()));
    let lines: Vec<_> = photos.list("").try_collect().await.expect("a listing");
    let keys: Vec<_> = lines.into_iter().map(|line| line.key).collect();
    assert_eq!(keys, ["cat.png", "dog.png"]);
    let missing = photos.head("photos/cat.png").await.expect_err("not there");
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
    assert!(server.bucket("others").keys().is_empty());
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_and_given_up_after_three() {
    let server = S3Server::start(&["uploads"]);
    server.bucket("uploads").insert("cat.png", "cat");
    let store = store(&server, "uploads", "").await;
    server.fail_next(2, "SlowDown");
    let got = store.get("cat.png", 3, None).await;
    assert_eq!(got.expect("the third try").bytes, "cat");
    assert_eq!(server.calls(), ["GetObject uploads/cat.png"; 3]);
    server.fail_next(3, "SlowDown");
    let error = store.get("cat.png", 3, None).await.expect_err("given up");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_never_a_missing_object() {
    let server = S3Server::start(&["uploads"]);
    let store = store(&server, "misnamed", "").await;
    let blob = Blob::default();
    let listed: Result<Vec<_>, _> = store.list("").try_collect().await;
    for error in [
        store.head("k").await.map(|_| ()).expect_err("no bucket"),
        store
            .get("k", 1, None)
            .await
            .map(|_| ())
            .expect_err("no bucket"),
        store
            .put("k", blob, Condition::Always)
            .await
            .map(|_| ())
            .expect_err("no bucket"),
        store
            .delete("k", Condition::Always)
            .await
            .expect_err("no bucket"),
        listed.map(|_| ()).expect_err("no bucket"),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
        assert!(error.to_string().contains("bucket"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_denied() {
    let server = S3Server::start(&["uploads"]);
    let config = load_at(&server.url(), S3Server::ACCESS_KEY, "another").await;
    let store = S3Store::new(s3_client(&config), "uploads", "");
    let error = store.get("k", 1, None).await.expect_err("a bad signature");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    assert!(
        error.to_string().contains("SignatureDoesNotMatch"),
        "{error}"
    );
}

#[tokio::test]
async fn metadata_beyond_what_s3_takes_fails_no_put_and_is_cut_with_a_mark() {
    let server = S3Server::start(&["uploads"]);
    let store = store(&server, "uploads", "").await;
    let key = "鹿".repeat(341);
    let blob = Blob {
        metadata: BTreeMap::from([
            ("processed-by".to_owned(), "pixmill".to_owned()),
            ("source".to_owned(), key.clone()),
        ]),
        ..Blob::default()
    };
    let put = store.put("cat.png", blob, Condition::Always).await;
    let put = put.expect("a put");
    assert_eq!(store.head("cat.png").await.expect("a head"), put);
    assert_eq!(put.metadata["processed-by"], "pixmill");
    let kept = put.metadata["source"].strip_suffix('…').expect("a mark");
    assert!(key.starts_with(kept) && !kept.is_empty());
}
