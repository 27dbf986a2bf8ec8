//! What S3 may answer and no emulator does, and what it is asked.

use std::collections::BTreeMap;

use crate::network::{Answer, Network};
use futures_util::TryStreamExt;
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::ports::{Blob, BlobStore, Condition, Etag};
use pixmill_aws::{S3Store, s3_client};

const DENIED: StoreErrorKind = StoreErrorKind::Denied;
const UNAVAILABLE: StoreErrorKind = StoreErrorKind::Unavailable;
const CONFLICT: StoreErrorKind = StoreErrorKind::Conflict;
const NOT_FOUND: StoreErrorKind = StoreErrorKind::NotFound;
const OTHER: StoreErrorKind = StoreErrorKind::Other;

async fn store(network: &Network) -> S3Store {
    S3Store::new(s3_client(&network.config().await), "bucket", "in/")
}

async fn get(answer: Answer) -> StoreError {
    let store = store(&Network::answering([answer])).await;
    let error = store.get("cat.png", 100, None).await;
    error.expect_err("this call must fail")
}

async fn put(answer: Answer, condition: Condition) -> StoreError {
    let store = store(&Network::answering([answer])).await;
    let error = store.put("cat.png", Blob::default(), condition).await;
    error.expect_err("this call must fail")
}

fn matched() -> Condition {
    Condition::IfMatch(Etag::new("\"abc\""))
}

fn object(body: &str) -> Answer {
    Answer::status(200)
        .header("etag", "\"abc\"")
        .header("content-length", body.len().to_string())
        .body(body)
}

#[tokio::test]
async fn every_code_of_s3_has_its_meaning() {
    for (status, code, kind) in [
        (403, "AccessDenied", DENIED),
        (403, "AllAccessDisabled", DENIED),
        (403, "InvalidAccessKeyId", DENIED),
        (403, "SignatureDoesNotMatch", DENIED),
        (403, "RequestTimeTooSkewed", DENIED),
        (403, "InvalidObjectState", DENIED),
        (400, "ExpiredToken", DENIED),
        (400, "InvalidToken", DENIED),
        (404, "NoSuchKey", NOT_FOUND),
        (404, "NoSuchBucket", OTHER),
        (301, "PermanentRedirect", OTHER),
        (400, "AuthorizationHeaderMalformed", OTHER),
        (503, "SlowDown", UNAVAILABLE),
        (503, "ServiceUnavailable", UNAVAILABLE),
        (429, "TooManyRequests", UNAVAILABLE),
        (500, "InternalError", UNAVAILABLE),
        (400, "RequestTimeout", UNAVAILABLE),
        (409, "OperationAborted", UNAVAILABLE),
    ] {
        let error = get(Answer::s3_error(status, code, "Words of S3.")).await;
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert_eq!(error.key(), "cat.png");
    }
}

#[tokio::test]
async fn an_error_tells_call_code_words_and_request_in_one_sentence() {
    let answer = Answer::s3_error(503, "SlowDown", "Please reduce your request rate.");
    let error = get(answer).await;
    assert_eq!(
        error.to_string(),
        "the store could not be reached for \"cat.png\": S3 GetObject: SlowDown: \
         Please reduce your request rate. (request id 4442587FB7D0A2F9)"
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times_and_a_refusal_once() {
    for (answer, tries) in [
        (Answer::s3_error(503, "SlowDown", ""), 3),
        (Answer::s3_error(500, "InternalError", ""), 3),
        (Answer::NoConnection, 3),
        (Answer::s3_error(403, "AccessDenied", ""), 1),
        (Answer::s3_error(404, "NoSuchKey", ""), 1),
    ] {
        let network = Network::answering([answer.clone()]);
        let get = store(&network).await.get("cat.png", 100, None).await;
        get.expect_err("this call must fail");
        assert_eq!(network.asked().len(), tries, "{answer:?}");
    }
}

#[tokio::test]
async fn a_second_try_that_succeeds_is_a_success() {
    let network = Network::answering([Answer::s3_error(503, "SlowDown", ""), object("cat")]);
    let got = store(&network).await.get("cat.png", 100, None).await;
    assert_eq!(got.expect("the second answer").bytes, "cat");
}

#[tokio::test]
async fn no_connection_and_no_answer_are_unavailable_in_words() {
    let error = get(Answer::NoConnection).await;
    assert_eq!(error.kind(), UNAVAILABLE);
    let words = error.to_string();
    assert!(
        words.ends_with("did not get through: connection refused"),
        "{words}"
    );

    let network = Network::answering([Answer::Silence]);
    let client = s3_client(&network.impatient_config().await);
    let store = S3Store::new(client, "bucket", "");
    let error = store.head("cat.png").await.expect_err("nobody answers");
    assert_eq!(error.kind(), UNAVAILABLE);
    let words = error.to_string();
    assert!(
        words.ends_with("S3 HeadObject: there was no answer in the time allowed"),
        "{words}"
    );
}

#[tokio::test]
async fn a_proxy_that_speaks_html_never_makes_an_object_look_gone() {
    let html = Answer::status(404).body("<html><body>blocked</body>");
    assert_eq!(get(html).await.kind(), OTHER);
}

#[tokio::test]
async fn a_put_whose_condition_fails_conflicts_whichever_way_s3_says_so() {
    for (status, code, condition) in [
        (412, "PreconditionFailed", Condition::IfAbsent),
        (412, "PreconditionFailed", matched()),
        (409, "ConditionalRequestConflict", Condition::IfAbsent),
        (409, "ConditionalRequestConflict", matched()),
        (404, "NoSuchKey", matched()),
    ] {
        let error = put(Answer::s3_error(status, code, "No."), condition).await;
        assert_eq!(error.kind(), CONFLICT, "{code}: {error}");
    }
    let error = put(Answer::s3_error(404, "NoSuchBucket", "No."), matched()).await;
    assert_eq!(error.kind(), OTHER, "{error}");
}

#[tokio::test]
async fn a_put_says_its_condition_checksum_and_headers() {
    let network = Network::answering([Answer::status(200)
        .header("etag", "\"new\"")
        .header("x-amz-version-id", "v1")]);
    let store = store(&network).await;
    let blob = Blob {
        bytes: "cat".into(),
        content_type: "image/png".to_owned(),
        cache_control: Some("max-age=60".to_owned()),
        metadata: BTreeMap::from([("source".to_owned(), "Mäuschen.png".to_owned())]),
    };
    let head = store
        .put("cat.png", blob.clone(), matched())
        .await
        .expect("a put");
    assert_eq!((head.size, head.etag.as_str()), (3, "\"new\""));
    assert_eq!(head.version.as_deref(), Some("v1"));
    assert_eq!(head.metadata, blob.metadata);
    store
        .put("cat.png", blob, Condition::IfAbsent)
        .await
        .expect("a put");

    let asked = network.asked();
    assert_eq!(
        asked[0].uri,
        "https://s3.example.com/bucket/in/cat.png?x-id=PutObject"
    );
    assert_eq!(asked[0].header("if-match"), Some("\"abc\""));
    assert_eq!(asked[0].header("content-type"), Some("image/png"));
    assert_eq!(asked[0].header("cache-control"), Some("max-age=60"));
    assert_eq!(
        asked[0].header("x-amz-meta-source"),
        Some("M%C3%A4uschen.png")
    );
    assert_eq!(
        asked[0].header("x-amz-sdk-checksum-algorithm"),
        Some("CRC32")
    );
    assert_eq!(asked[1].header("if-match"), None);
    assert_eq!(asked[1].header("if-none-match"), Some("*"));
}

#[tokio::test]
async fn a_missing_object_of_a_delete_is_a_success_however_s3_says_so() {
    for answers in [
        vec![Answer::status(204)],
        vec![Answer::s3_error(404, "NoSuchKey", "No.")],
        vec![
            Answer::s3_error(412, "PreconditionFailed", "No."),
            Answer::status(404),
            Answer::status(200),
        ],
    ] {
        let store = store(&Network::answering(answers)).await;
        store
            .delete("cat.png", matched())
            .await
            .expect("nothing to delete");
    }
}

#[tokio::test]
async fn a_delete_of_another_object_conflicts_and_says_which_one_it_meant() {
    let network = Network::answering([
        Answer::s3_error(412, "PreconditionFailed", "No."),
        object(""),
    ]);
    let store = store(&network).await;
    let error = store
        .delete("cat.png", matched())
        .await
        .expect_err("another");
    assert_eq!(error.kind(), CONFLICT);
    let asked = network.asked();
    assert_eq!(
        (asked[0].method.as_str(), asked[0].header("if-match")),
        ("DELETE", Some("\"abc\""))
    );
    assert_eq!(asked[1].method, "HEAD");
}

#[tokio::test]
async fn a_delete_if_absent_only_looks() {
    let network = Network::answering([object("")]);
    let store = store(&network).await;
    let error = store.delete("cat.png", Condition::IfAbsent).await;
    assert_eq!(error.expect_err("it is there").kind(), CONFLICT);
    assert!(network.asked().iter().all(|asked| asked.method == "HEAD"));
}

#[tokio::test]
async fn a_head_tells_a_missing_object_from_a_missing_bucket() {
    // HEAD of the object, then of the bucket: the answers have no body.
    let network = Network::answering([Answer::status(404), Answer::status(404)]);
    let error = store(&network).await.head("cat.png").await;
    let error = error.expect_err("no bucket");
    assert_eq!(error.kind(), OTHER);
    assert!(
        error
            .to_string()
            .ends_with("S3 HeadBucket: there is no bucket \"bucket\""),
        "{error}"
    );

    let network = Network::answering([
        Answer::status(404),
        Answer::status(200),
        Answer::status(404),
    ]);
    let store = store(&network).await;
    for calls in [2, 1] {
        let error = store.head("cat.png").await.expect_err("no object");
        assert_eq!(error.kind(), NOT_FOUND, "{error}");
        assert_eq!(
            network.asked().len(),
            calls,
            "the bucket is looked for once"
        );
    }
}

#[tokio::test]
async fn a_get_refuses_by_the_size_that_is_stated_and_by_what_comes() {
    let stated = Answer::status(200)
        .header("etag", "\"abc\"")
        .header("content-length", "101")
        .body("");
    let error = get(stated).await;
    assert_eq!(
        error.kind(),
        StoreErrorKind::TooLarge {
            size: Some(101),
            max: 100
        }
    );

    let lying = Answer::status(200)
        .header("etag", "\"abc\"")
        .header("content-length", "10")
        .body(vec![7; 101]);
    let error = get(lying).await;
    let is_limit = matches!(error.kind(), StoreErrorKind::TooLarge { max: 100, .. });
    assert!(is_limit || error.kind() == UNAVAILABLE, "{error}");

    let cut = Answer::status(200)
        .header("etag", "\"abc\"")
        .header("content-length", "50")
        .body("short");
    assert_eq!(get(cut).await.kind(), UNAVAILABLE);
}

#[tokio::test]
async fn content_that_does_not_match_its_checksum_is_refused() {
    let bad = object("cat").header("x-amz-checksum-crc32", "AAAAAA==");
    let error = get(bad).await;
    assert_eq!(error.kind(), UNAVAILABLE, "{error}");
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_range_behind_the_end_is_looked_at_again_if_the_object_has_grown() {
    let behind = || Answer::s3_error(416, "InvalidRange", "No.");
    let part = Answer::status(206)
        .header("etag", "\"abc\"")
        .header("content-length", "5")
        .header("content-range", "bytes 5-9/10")
        .body("56789");
    let network = Network::answering([behind(), object("0123456789"), part]);
    let got = store(&network).await.get("cat.png", 100, Some(5..20)).await;
    let got = got.expect("it has grown");
    assert_eq!((got.bytes.as_ref(), got.head.size), (&b"56789"[..], 10));

    let network = Network::answering([behind(), object("0123")]);
    let got = store(&network).await.get("cat.png", 100, Some(5..20)).await;
    let got = got.expect("the range is behind the end");
    assert_eq!((got.bytes.len(), got.head.size), (0, 4));

    let network = Network::answering((0..3).flat_map(|_| [behind(), object("0123456789")]));
    let error = store(&network).await.get("cat.png", 100, Some(5..20)).await;
    assert_eq!(error.expect_err("it never settles").kind(), UNAVAILABLE);
}

#[tokio::test]
async fn a_listing_is_asked_for_in_url_encoding_page_by_page_and_not_before_it_is_read() {
    let page = |contents: &str, next: &str| {
        Answer::status(200).body(format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
             <EncodingType>url</EncodingType>{next}{contents}</ListBucketResult>"
        ))
    };
    let line = |key: &str| {
        format!("<Contents><Key>{key}</Key><ETag>&quot;abc&quot;</ETag><Size>3</Size></Contents>")
    };
    let network = Network::answering([
        page(
            &(line("in/") + &line("in/a+b%2Bc%01%C3%A9%0A.png")),
            "<IsTruncated>true</IsTruncated><NextContinuationToken>go on</NextContinuationToken>",
        ),
        page(&line("in/z"), "<IsTruncated>false</IsTruncated>"),
    ]);
    let listing = store(&network).await.list("a%");
    assert!(network.asked().is_empty());
    let lines: Vec<_> = listing.try_collect().await.expect("two pages");
    let keys: Vec<_> = lines.iter().map(|line| line.key.as_str()).collect();
    assert_eq!(keys, ["a b+c\u{1}é\n.png", "z"]);
    assert_eq!((lines[0].size, lines[0].etag.as_str()), (3, "\"abc\""));
    let asked = network.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[0].uri.contains("encoding-type=url") && asked[0].uri.contains("prefix=in%2Fa%25")
    );
    assert!(asked[1].uri.contains("continuation-token=go%20on"));
}

#[tokio::test]
async fn a_listing_that_fails_ends_with_the_error() {
    let network = Network::answering([Answer::s3_error(403, "AccessDenied", "No.")]);
    let listing: Result<Vec<_>, _> = store(&network).await.list("a").try_collect().await;
    let error = listing.expect_err("no permission");
    assert_eq!((error.kind(), error.key()), (DENIED, "a"));
}

#[tokio::test]
async fn a_key_that_s3_can_t_hold_is_never_asked_for() {
    let network = Network::answering([object("")]);
    let store = store(&network).await;
    let long = "x".repeat(1022);
    for key in ["", &long] {
        for error in [
            store.head(key).await.map(|_| ()).expect_err("refused"),
            store
                .get(key, 1, None)
                .await
                .map(|_| ())
                .expect_err("refused"),
            store
                .put(key, Blob::default(), Condition::Always)
                .await
                .map(|_| ())
                .expect_err("refused"),
            store
                .delete(key, Condition::Always)
                .await
                .expect_err("refused"),
        ] {
            assert_eq!((error.kind(), error.key()), (DENIED, key));
        }
    }
    let lines: Vec<_> = store
        .list(&long)
        .try_collect()
        .await
        .expect("an empty listing");
    assert!(lines.is_empty() && network.asked().is_empty());
    store
        .head(&long[..1021])
        .await
        .expect("1,024 bytes with the prefix");
}
