//! What the real function does in each situation that a rehearsal knows: its log lines and how its
//! invocation ends, taken once from the real `bootstrap` on loopback and played as often as a scene asks.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use pixmill_testkit::pictures::{Png, photo};
use pixmill_testkit::s3_server::S3Server;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Mode};
use crate::events::{created, notification, queue_message};
use crate::runtime_api::Function;

/// More than anything here takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);

const UPLOADS: &str = "uploads";
const PROCESSED: &str = "processed";

const RECIPE: &str = "
version = 1
[limits]
large_bytes = 5000
[[variant]]
name = \"small\"
format = \"jpeg\"
width = 16
";

/// One situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// A good picture.
    Good,
    /// A good picture of many bytes.
    Large,
    /// The canary, again.
    Canary,
    /// A picture that is cut short.
    Corrupt,
    /// An event that can't be read.
    Unreadable,
    /// An event of a bucket that isn't the function's.
    Foreign,
    /// S3 refuses to give the upload.
    DeniedReading,
    /// S3 refuses to take the renditions.
    DeniedWriting,
    /// S3 asks to slow down, again and again.
    Unavailable,
    /// S3 doesn't answer, and the function gives the picture back before its time is up.
    OutOfTime,
    /// The picture needs more memory than there is, and the function gives it back.
    OutOfMemory,
    /// The function hangs, and Lambda ends it.
    Hung,
    /// The function's process is killed, as for want of memory.
    Killed,
}

/// Every situation.
pub const ACTS: [Act; 13] = [
    Act::Good,
    Act::Large,
    Act::Canary,
    Act::Corrupt,
    Act::Unreadable,
    Act::Foreign,
    Act::DeniedReading,
    Act::DeniedWriting,
    Act::Unavailable,
    Act::OutOfTime,
    Act::OutOfMemory,
    Act::Hung,
    Act::Killed,
];

/// How an invocation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its record needs not come again.
    Settled,
    /// The invocation is a success to Lambda, and the record goes back to the queue.
    GivenBack,
    /// The function answers with an error of this type.
    Error(String),
    /// Lambda ends it at its timeout.
    TimedOut,
    /// Its process ends.
    Killed,
}

/// What was seen of the real function.
#[derive(Clone, Debug)]
pub struct Performance {
    /// Its log lines, each a JSON object.
    pub lines: Vec<Value>,
    /// How the invocation ended.
    pub end: End,
}

/// Plays every act once, in this deployment's mode and under its function's name.
pub fn play_all(deployment: &Deployment) -> BTreeMap<Act, Performance> {
    thread::scope(|scope| {
        let running = ACTS.map(|act| scope.spawn(move || (act, play(act, deployment))));
        let played = running.map(|act| act.join().expect("no panic"));
        played.into_iter().collect()
    })
}

fn play(act: Act, deployment: &Deployment) -> Performance {
    let s3 = S3Server::start(&[UPLOADS, PROCESSED]);
    let mut function = function(act, &s3, deployment);
    let key = match act {
        Act::Canary => deployment.canary_key.clone(),
        _ => format!("{act:?}.png").to_lowercase(),
    };
    let bytes = match act {
        Act::Large => photo(60, 40).png(),
        Act::Corrupt => {
            let whole = photo(64, 48).png();
            whole[..whole.len() / 3].to_vec()
        }
        // By its header alone: nothing of it is decoded.
        Act::OutOfMemory => Png::new(7000, 7000, 8, 2).without_pixels(),
        _ => photo(20, 10).png(),
    };
    s3.bucket(UPLOADS).insert(&key, bytes);
    let event = match act {
        Act::Unreadable => json!({ "what": "this is" }),
        Act::Foreign => notification(&[created("elsewhere", &key, "01")]),
        _ => notification(&[created(UPLOADS, &key, "01")]),
    };
    let payload = match deployment.mode {
        Mode::Queue => json!({ "Records": [queue_message("1", &event.to_string())] }),
        Mode::Direct => event,
    };
    function.start().expect("it starts");
    let process = function.process().expect("it runs");
    let mut before = 0;
    let answer = match act {
        Act::DeniedReading => {
            s3.fail_next(1_000, "AccessDenied");
            function.invoke(&payload, LONG)
        }
        Act::DeniedWriting => {
            // The manifest, the failure record and the source are read first.
            s3.pass_next(3);
            s3.fail_next(1_000, "AccessDenied");
            function.invoke(&payload, LONG)
        }
        Act::Unavailable => {
            s3.fail_next(1_000, "SlowDown");
            function.invoke(&payload, LONG)
        }
        Act::OutOfTime => {
            s3.stall_next(1_000);
            function.invoke(&payload, Duration::from_secs(2))
        }
        Act::Hung => {
            signal("STOP", process);
            function.invoke(&payload, Duration::from_secs(1))
        }
        Act::Killed => {
            s3.stall_next(1_000);
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(s3.wait_for_stall(LONG), "it asks for the upload");
                    signal("KILL", process);
                });
                function.invoke(&payload, LONG)
            })
        }
        Act::Canary => {
            // The first time it is done; from then on it is as it was.
            let first = function.invoke(&payload, LONG);
            assert!(first.is_ok(), "{first:?}");
            before = function.log().len();
            function.invoke(&payload, LONG)
        }
        _ => function.invoke(&payload, LONG),
    };
    let lines = function.log().split_off(before);
    Performance {
        end: end(answer, deployment.mode),
        lines,
    }
}

fn function(act: Act, s3: &S3Server, deployment: &Deployment) -> Function {
    let memory = if act == Act::OutOfMemory {
        "128"
    } else {
        "3008"
    };
    let url = s3.url();
    Function::new([
        (
            "AWS_LAMBDA_FUNCTION_NAME",
            deployment.function_name.as_str(),
        ),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory),
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
        ("UPLOAD_BUCKET", UPLOADS),
        ("PROCESSED_BUCKET", PROCESSED),
        ("METRIC_NAMESPACE", deployment.namespace.as_str()),
        ("RECIPE", RECIPE),
    ])
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .stdin(Stdio::null())
        .status();
    assert!(sent.expect("kill runs").success(), "{name} {process}");
}

fn end(answer: Result<Value, Value>, mode: Mode) -> End {
    match answer {
        Ok(reply) if mode == Mode::Queue => match reply["batchItemFailures"].as_array() {
            Some(failures) if failures.is_empty() => End::Settled,
            Some(_) => End::GivenBack,
            None => panic!("not a batch's reply: {reply}"),
        },
        Ok(_) => End::Settled,
        Err(error) => match error["errorType"].as_str() {
            Some("Sandbox.Timedout") => End::TimedOut,
            Some("Runtime.ExitError") => End::Killed,
            Some(kind) => End::Error(kind.to_owned()),
            None => panic!("an error without a type: {error}"),
        },
    }
}
