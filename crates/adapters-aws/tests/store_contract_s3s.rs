//! The S3 store keeps every promise of the port on a server that speaks S3's protocol in the test's
//! own process: real HTTP, XML, signatures and checksums over loopback.

use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::s3_server::S3Server;
use pixmill_testkit::store_contract::Subject;

async fn fresh_bucket() -> Subject {
    let server = S3Server::start(&["processed"]);
    let config = load_at(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
    let store = S3Store::new(s3_client(&config), "processed", "");
    Subject::keeping(store, server)
}

pixmill_testkit::blob_store_contract!(fresh_bucket().await);
