//! The S3 store against moto, which many people test their own code with: another program's idea of S3, over
//! a real connection.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::store_contract::Subject;

/// Longer than it takes on a machine that is busy with forty of them.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

const BROKEN_BY_MOTO: &[&str] = &[
    // Its routes are regular expressions in which a dot is no line break: a key with one finds no handler.
    "unusual_names_are_kept_as_they_are",
    // It looks at a condition and then writes, with nothing held in between: now and then two win.
    "of_racing_put_if_absent_exactly_one_wins",
    "of_racing_put_if_match_exactly_one_wins",
    "of_a_racing_put_and_delete_if_match_exactly_one_wins",
    "racing_read_and_put_if_match_loses_no_update",
];

/// A moto server on a port of its own; it is ended when it is dropped.
struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let program = env::var_os("PIXMILL_MOTO_SERVER")
            .expect("PIXMILL_MOTO_SERVER names the moto_server program: cargo xtask test sets it");
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server starts");
        let said = BufReader::new(process.stderr.take().expect("a pipe"));
        let (found, wait) = mpsc::channel();
        // It reads on to the end: a server whose pipe is full stands still.
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        let url = wait.recv_timeout(STARTS_WITHIN);
        let url = url.expect("moto_server says where it listens");
        Self { process, url }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn fresh_bucket() -> Subject {
    let moto = Moto::start();
    let client = s3_client(&load_at(&moto.url, "test", "test").await);
    let made = client.create_bucket().bucket("processed").send().await;
    made.expect("a new bucket");
    Subject::keeping(S3Store::new(client, "processed", "out/"), moto).excused(BROKEN_BY_MOTO)
}

pixmill_testkit::blob_store_contract!(
    #[ignore = "needs moto: cargo xtask test runs it"]
    fresh_bucket().await
);
