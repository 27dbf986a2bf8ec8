//! What only a server shows, beside the contract: prefixes, refusals and throttling over a real connection.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::StaticTimeSource;
use futures_util::TryStreamExt;
use pixmill::error::StoreErrorKind;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill_aws::{Patience, S3Store, SdkConfig, load_at, s3_client, with_patience};
use pixmill_testkit::s3_server::{Mishap, S3Server};

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

/// Loopback needs less patience than a network.
async fn impatient(server: &S3Server) -> SdkConfig {
    let config = load_at(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
    let mut patience = Patience::FUNCTION;
    patience.answer = Duration::from_millis(300);
    patience.attempt = Duration::from_millis(300);
    patience.call = Duration::from_secs(1);
    patience.stalled = Duration::from_millis(100);
    with_patience(config, patience)
}

#[tokio::test]
async fn whatever_becomes_of_an_answer_on_its_way_no_other_bytes_are_taken_for_the_objects() {
    let server = S3Server::start(&["uploads"]);
    let object: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    server.bucket("uploads").insert("cat.png", object.clone());
    let store = S3Store::new(s3_client(&impatient(&server).await), "uploads", "");
    for mishap in [
        Mishap::ResetBefore,
        Mishap::ResetAfter,
        Mishap::CutOff { after: 50 },
        Mishap::CutOff { after: 5_000 },
        Mishap::CutOff { after: 150_000 },
        Mishap::StandsStill { after: 50 },
        Mishap::StandsStill { after: 5_000 },
        Mishap::WrongLength { by: 1 },
        Mishap::WrongLength { by: -1 },
        Mishap::WrongLength { by: -100_000 },
    ] {
        for range in [None, Some(1_000..200_000)] {
            server.meet_next(3, mishap);
            let got = store.get("cat.png", 1 << 20, range.clone()).await;
            let error = got
                .map(|_| ())
                .err()
                .unwrap_or_else(|| panic!("{mishap:?} of {range:?} went unnoticed"));
            assert_eq!(
                error.kind(),
                StoreErrorKind::Unavailable,
                "{mishap:?} of {range:?}: {error}"
            );
            server.heal();
            let got = store.get("cat.png", 1 << 20, range.clone()).await;
            let got = got.unwrap_or_else(|error| panic!("after {mishap:?}: {error}"));
            let expected = match range {
                Some(_) => &object[1_000..200_000],
                None => &object[..],
            };
            assert!(got.bytes == expected, "after {mishap:?}");
        }
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_never_half_there() {
    let server = S3Server::start(&["uploads"]);
    let store = S3Store::new(s3_client(&impatient(&server).await), "uploads", "");
    let blob = Blob {
        bytes: vec![7; 300_000].into(),
        ..Blob::default()
    };
    for mishap in [
        Mishap::ResetBefore,
        Mishap::ResetAfter,
        Mishap::CutOff { after: 50 },
        Mishap::StandsStill { after: 50 },
    ] {
        server.meet_next(1, mishap);
        let put = store
            .put("cat.png", blob.clone(), Condition::IfAbsent)
            .await;
        // It is tried again by itself, and then finds its own first try where that had arrived.
        match put {
            Ok(_) => assert_eq!(mishap, Mishap::ResetBefore),
            Err(error) => assert_eq!(
                error.kind(),
                StoreErrorKind::Conflict,
                "{mishap:?}: {error}"
            ),
        }
        let there = server
            .bucket("uploads")
            .read("cat.png")
            .expect("it arrived");
        assert!(there.bytes == blob.bytes, "{mishap:?}");
        store
            .delete("cat.png", Condition::Always)
            .await
            .expect("a delete");
    }
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_an_error_and_never_a_shorter_listing() {
    let server = S3Server::start(&["uploads"]);
    for n in 0..200 {
        server.bucket("uploads").insert(&format!("{n:03}.png"), "x");
    }
    let store = S3Store::new(s3_client(&impatient(&server).await), "uploads", "");
    for mishap in [
        Mishap::ResetBefore,
        Mishap::CutOff { after: 10_000 },
        Mishap::StandsStill { after: 10_000 },
    ] {
        server.meet_next(3, mishap);
        let listed: Result<Vec<_>, _> = store.list("").try_collect().await;
        let error = listed.map(|_| ()).expect_err("three times is too often");
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unavailable,
            "{mishap:?}: {error}"
        );
        let listed: Vec<_> = store.list("").try_collect().await.expect("a listing");
        assert_eq!(listed.len(), 200);
    }
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_corrected_by_what_the_service_says() {
    let server = S3Server::start(&["uploads"]);
    server.bucket("uploads").insert("cat.png", "cat");
    let config = load_at(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
    let wrong = SystemTime::now() - Duration::from_hours(1);
    let config = config
        .into_builder()
        .time_source(StaticTimeSource::new(wrong))
        .build();
    // Refused once, then signed with the service's time, and so from then on.
    let store = S3Store::new(s3_client(&config), "uploads", "");
    for _ in 0..2 {
        let got = store.get("cat.png", 3, None).await;
        assert_eq!(got.expect("the second try").bytes, "cat");
    }
    let once = config.into_builder().retry_config(RetryConfig::disabled());
    let store = S3Store::new(s3_client(&once.build()), "uploads", "");
    let error = store
        .get("cat.png", 3, None)
        .await
        .expect_err("an old signature");
    assert_eq!(error.kind(), StoreErrorKind::Denied);
    assert!(
        error.to_string().contains("RequestTimeTooSkewed"),
        "{error}"
    );
}

/// Gives the first key, which is about to expire, and then the next one.
#[derive(Debug, Default)]
struct Rotating(AtomicUsize);

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let (key, secret) = match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => (S3Server::ACCESS_KEY, S3Server::SECRET_KEY),
            _ => (S3Server::NEXT_ACCESS_KEY, S3Server::NEXT_SECRET_KEY),
        };
        let soon = SystemTime::now() + Duration::from_secs(5);
        future::ProvideCredentials::ready(Ok(Credentials::new(
            key,
            secret,
            None,
            Some(soon),
            "rotating",
        )))
    }
}

#[tokio::test]
async fn credentials_that_expire_are_asked_for_anew() {
    let server = S3Server::start(&["uploads"]);
    server.bucket("uploads").insert("cat.png", "cat");
    let config = load_at(&server.url(), "", "").await;
    let rotating = SharedCredentialsProvider::new(Rotating::default());
    let config = config.into_builder().credentials_provider(rotating).build();
    let store = S3Store::new(s3_client(&config), "uploads", "");
    store.get("cat.png", 3, None).await.expect("they hold");
    server.retire_first_key();
    let got = store.get("cat.png", 3, None).await;
    assert_eq!(got.expect("the next ones hold").bytes, "cat");

    // Credentials that say nothing of their end are given up only by whoever gave them.
    let fixed = load_at(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
    let store = S3Store::new(s3_client(&fixed), "uploads", "");
    let error = store
        .get("cat.png", 3, None)
        .await
        .expect_err("they have expired");
    assert_eq!(error.kind(), StoreErrorKind::Denied);
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
}
