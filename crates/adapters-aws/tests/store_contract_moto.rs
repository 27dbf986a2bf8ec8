//! The S3 store against moto, which many people test their own code with: another program's idea of S3, over
//! a real connection.

use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::moto_server::MotoServer;
use pixmill_testkit::store_contract::Subject;

const BROKEN_BY_MOTO: &[&str] = &[
    // Its routes are regular expressions in which a dot is no line break: a key with one finds no handler.
    "unusual_names_are_kept_as_they_are",
    // It looks at a condition and then writes, with nothing held in between: now and then two win.
    "of_racing_put_if_absent_exactly_one_wins",
    "of_racing_put_if_match_exactly_one_wins",
    "of_a_racing_put_and_delete_if_match_exactly_one_wins",
    "racing_read_and_put_if_match_loses_no_update",
];

async fn fresh_bucket() -> Subject {
    let moto = MotoServer::start();
    let client = s3_client(&load_at(moto.url(), "test", "test").await);
    let made = client.create_bucket().bucket("processed").send().await;
    made.expect("a new bucket");
    Subject::keeping(S3Store::new(client, "processed", "out/"), moto).excused(BROKEN_BY_MOTO)
}

pixmill_testkit::blob_store_contract!(
    #[ignore = "needs moto: cargo xtask test runs it"]
    fresh_bucket().await
);
