//! A whole deployment on this machine, told as it goes: `cargo xtask cloud` prepares it and calls this.
//!
//! `cloud MODE FOLDER ZIP PYTHON`: `FOLDER` holds a copy of `infra/` on which `terraform init` was run with `data` as
//! its data folder; `ZIP` is the function's package; `PYTHON` has moto.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::http::Method;
use futures_util::StreamExt;
use pixmill::ports::BlobStore;
use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::moto_server::MotoServer;
use pixmill_tests::alarms::State;
use pixmill_tests::aws::{Aws, in_tags};
use pixmill_tests::cloud::{Cloud, Outputs};
use pixmill_tests::output::assert_same_output;
use pixmill_tests::programs::{convert, program, samples};
use serde_json::{Value, json};

/// The three channels, by the outputs that name their topics.
const CHANNELS: [(&str, &str); 3] = [
    ("critical", "critical_alerts_topic_arn"),
    ("performance", "performance_alerts_topic_arn"),
    ("logs", "log_alerts_topic_arn"),
];

/// Outputs that are null where their part is left out.
const MAY_BE_NULL: [&str; 2] = ["upload_queue_url", "batch_operations_role_arn"];

/// A photo, and the key that it is uploaded under: with a folder, a space and a letter beyond ASCII.
const PHOTO: (&str, &str) = ("cat.jpg", "photos/café menu/cat.jpg");

/// What AWS's tools need to know where nobody looks at it.
const CREDENTIALS: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("CHECKPOINT_DISABLE", "1"),
];

/// What is settled besides the mode, so that both runs together try most of what can be chosen.
fn variables(mode: &str) -> &'static [&'static str] {
    match mode {
        "queue" => &[
            "enable_access_logs=true",
            "enable_access_audit=true",
            "alert_email=ops@example.com",
        ],
        _ => &[
            "enable_kms=true",
            "enable_batch_operations=true",
            "enable_no_invocation_alarm=true",
            "enable_tracing=true",
            "removals=delete",
            "alert_sms=+4915112345678",
        ],
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [mode, folder, zip, python] = &words[..] else {
        eprintln!("cloud MODE FOLDER ZIP PYTHON; `cargo xtask cloud` calls it");
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    let mut story = Story {
        begin,
        mode: mode.clone(),
        folder: folder.into(),
        zip: zip.into(),
        python: python.into(),
    };
    match story.run() {
        Ok(()) => {
            story.say("", "everything that was expected was seen");
            ExitCode::SUCCESS
        }
        Err(what) => {
            story.say("FAILED", &what);
            ExitCode::FAILURE
        }
    }
}

struct Story {
    begin: Instant,
    mode: String,
    folder: PathBuf,
    zip: PathBuf,
    python: PathBuf,
}

type Told = Result<(), String>;

/// Fails with what was expected and what was seen.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, expected: T) -> Told {
    if seen == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, seen {seen:?}"))
}

impl Story {
    /// One line of the transcript: when, who did it, what.
    fn say(&self, who: &str, what: &str) {
        let seconds = self.begin.elapsed().as_secs_f64();
        println!("{:<6} {seconds:>6.1} s  {who:<9}  {what}", self.mode);
    }

    fn run(&mut self) -> Told {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto_cloud.py");
        let log = self.folder.join("moto.log");
        let moto = MotoServer::of(Command::new(&self.python).arg(script).arg(log));
        self.say("moto", &format!("listens at {}", moto.url()));

        let outputs = self.deploy(&moto)?;
        let cloud = &mut Cloud::deployed(&moto, &outputs, &self.python)?;
        self.say(
            "harness",
            &format!(
                "took over: {} metric filters and {} alarms read from moto, all alarms OK; the deployed zip is unpacked, \
                 with the role's credentials",
                cloud.filters(),
                cloud.states().len(),
            ),
        );
        let mut ears = Ears::subscribe(cloud.aws(), &outputs)?;
        self.say("moto", "a queue is subscribed to each of the three topics");

        self.the_role_may_do_what_it_needs_and_no_more(cloud, &outputs)?;
        self.a_photo_becomes_renditions(cloud, &outputs)?;
        self.a_corrupt_picture_is_told(cloud, &outputs, &mut ears)?;
        self.a_poisoned_event_ends_in_the_dead_letters(cloud, &outputs, &mut ears)?;
        self.a_refused_write_is_told_and_made_good(cloud, &outputs, &mut ears)?;
        if self.mode == "queue" {
            self.smoke_finds_nothing_wrong(cloud, &moto)?;
        }
        ears.unsubscribe(cloud.aws())?;
        self.destroy(&moto)
    }

    // ---- Terraform

    fn deploy(&self, moto: &MotoServer) -> Result<Outputs, String> {
        let (_, said) = self.terraform(moto, "apply", &["-auto-approve"], &[0])?;
        let added = said
            .lines()
            .find(|line| line.starts_with("Apply complete!"));
        self.say("terraform", &format!("apply: {}", added.unwrap_or("?")));

        let (code, said) = self.terraform(moto, "plan", &["-detailed-exitcode"], &[0, 2])?;
        if code != 0 {
            let drift = said.lines().filter(|line| line.contains("  # "));
            let drift: Vec<_> = drift.collect();
            return Err(format!("the second plan is not empty: {drift:#?}"));
        }
        self.say("terraform", "a second plan is empty");

        let said = Command::new("terraform")
            .arg(format!("-chdir={}", self.folder.join("infra").display()))
            .args(["output", "-json"])
            .arg(format!("-state={}", self.folder.join("state").display()))
            .env("TF_DATA_DIR", self.folder.join("data"))
            .output()
            .map_err(|error| error.to_string())?;
        let outputs: Value = serde_json::from_slice(&said.stdout)
            .map_err(|error| format!("terraform output: {error}"))?;
        let declared = fs::read_to_string(self.folder.join("infra/outputs.tf"))
            .map_err(|error| error.to_string())?;
        let declared = declared
            .lines()
            .filter_map(|line| line.strip_prefix("output \""));
        let declared: BTreeSet<_> = declared.filter_map(|rest| rest.split('"').next()).collect();
        for name in &declared {
            let is_there = !outputs[name]["value"].is_null();
            if !is_there && !MAY_BE_NULL.contains(name) {
                return Err(format!("the output {name} has no value"));
            }
        }
        self.say(
            "terraform",
            &format!("{} outputs, all with values", declared.len()),
        );
        Ok(Outputs(outputs))
    }

    fn destroy(&self, moto: &MotoServer) -> Told {
        let aws = Aws::at(moto.url());
        let keys = left(&aws)?.get("objects").copied().unwrap_or(0);
        let (_, said) = self.terraform(moto, "destroy", &["-auto-approve"], &[0])?;
        let gone = said
            .lines()
            .find(|line| line.starts_with("Destroy complete!"));
        self.say(
            "terraform",
            &format!(
                "destroy, with {keys} objects in the buckets: {}",
                gone.unwrap_or("?")
            ),
        );
        let left = left(&aws)?;
        if left.values().any(|count| *count > 0) {
            return Err(format!("something is left after destroy: {left:?}"));
        }
        let kinds: Vec<_> = left.keys().copied().collect();
        self.say("moto", &format!("nothing is left of: {}", kinds.join(", ")));
        Ok(())
    }

    /// Runs it with the log in a file; fails with the log's end. Gives the exit code and what was said.
    fn terraform(
        &self,
        moto: &MotoServer,
        command: &str,
        words: &[&str],
        good: &[i32],
    ) -> Result<(i32, String), String> {
        let log = self.folder.join(format!("{command}.log"));
        let file = File::create(&log).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut all = vec!["-no-color".to_owned(), "-input=false".to_owned()];
        // Most of the time goes into the provider's own pauses, which overlap.
        all.push("-parallelism=40".to_owned());
        all.push(format!("-state={}", self.folder.join("state").display()));
        let settled = [
            format!("ingest_mode={}", self.mode),
            format!("lambda_zip_path={}", self.zip.display()),
            "force_destroy_buckets=true".to_owned(),
        ];
        let more = variables(&self.mode).iter().map(|word| (*word).to_owned());
        for variable in settled.into_iter().chain(more) {
            all.extend(["-var".to_owned(), variable]);
        }
        let status = Command::new("terraform")
            .arg(format!("-chdir={}", self.folder.join("infra").display()))
            .arg(command)
            .args(words)
            .args(&all)
            // Not `localhost`: the provider would look for buckets as its subdomains.
            .env("AWS_ENDPOINT_URL", moto.url())
            .envs(CREDENTIALS)
            .env_remove("AWS_PROFILE")
            .env("TF_DATA_DIR", self.folder.join("data"))
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .status()
            .map_err(|error| format!("terraform could not be started: {error}"))?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let code = status.code().unwrap_or(-1);
        if good.contains(&code) {
            return Ok((code, said));
        }
        let lines: Vec<_> = said.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        Err(format!(
            "terraform {command} failed ({}):\n{end}",
            log.display()
        ))
    }

    // ---- What is seen

    fn the_role_may_do_what_it_needs_and_no_more(&self, cloud: &Cloud, outputs: &Outputs) -> Told {
        let role = Some(cloud.role());
        let (uploads, processed) = (
            outputs.text("upload_bucket_name"),
            outputs.text("processed_bucket_name"),
        );
        let put = |bucket: &str| {
            let path = format!("/{bucket}/probe");
            cloud.aws().path(role, "s3", Method::PUT, &path, "x")
        };
        expect("the role writes renditions", put(processed).is_ok(), true)?;
        cloud.aws().path(
            role,
            "s3",
            Method::DELETE,
            &format!("/{processed}/probe"),
            "",
        )?;
        let refused = put(uploads).err().unwrap_or_default();
        expect(
            "the role's write to the uploads is refused",
            refused.contains("403"),
            true,
        )?;
        let queue = json!({ "QueueUrl": outputs.text("dead_letter_queue_url") });
        let purge = cloud
            .aws()
            .json(role, "sqs", "AmazonSQS.PurgeQueue", &queue);
        expect(
            "the role's purge of dead letters is refused",
            purge.is_err(),
            true,
        )?;
        self.say(
            "moto",
            &format!(
                "holds the role's calls against the policy that Terraform gave it: a write to {processed} passes, one to \
                 {uploads} and a purge of the dead letters are refused"
            ),
        );
        Ok(())
    }

    fn a_photo_becomes_renditions(&self, cloud: &mut Cloud, outputs: &Outputs) -> Told {
        let (file, key) = PHOTO;
        let photo = fs::read(samples().join(file)).map_err(|error| error.to_string())?;
        upload(cloud.aws(), outputs, key, &photo)?;
        self.say(
            "moto",
            &format!("S3 took samples/{file} as {key} and sent its event"),
        );
        let invocations = cloud.settle()?;
        let lines = self.lines(cloud, outputs, key)?;
        let outcomes: Vec<_> = lines.iter().filter_map(|l| l["outcome"].as_str()).collect();
        expect("the photo's outcome in the log", outcomes, vec!["done"])?;
        self.say(
            "function",
            &format!(
                "the deployed bootstrap, invoked {invocations} times (S3's test event among them in queue mode): {key} done \
                 in {} ms, at one cold start",
                lines[0]["processing_time"]
            ),
        );
        let made = made(cloud.aws(), outputs)?;
        let names: Vec<_> = made.keys().cloned().collect();
        let expected = convert(&BTreeMap::from([(key.to_owned(), photo)]));
        assert_same_output(made, expected);
        self.say(
            "moto",
            &format!(
                "{} objects in the processed bucket, manifest complete, every byte as `pixmill convert` makes it: {}",
                names.len(),
                names.join(", ")
            ),
        );
        cloud.minute()?;
        cloud.minute()?;
        let on = on(cloud);
        expect("alarms after a good photo", on, Vec::new())?;
        self.say("harness", "two virtual minutes later no alarm is on");
        Ok(())
    }

    fn a_corrupt_picture_is_told(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
    ) -> Told {
        let key = "photos/broken.jpg";
        let photo = fs::read(samples().join(PHOTO.0)).map_err(|error| error.to_string())?;
        upload(cloud.aws(), outputs, key, &photo[..photo.len() / 2])?;
        cloud.settle()?;
        let lines = self.lines(cloud, outputs, key)?;
        let [line] = &lines[..] else {
            return Err(format!("one line about {key} was expected, seen {lines:?}"));
        };
        expect(
            "the level of its line",
            line["level"].as_str(),
            Some("ERROR"),
        )?;
        self.say(
            "function",
            &format!(
                "half a photo: {} at {}: {} {} ({}): {}",
                line["level"],
                line["timestamp"],
                line["key"],
                line["outcome"],
                line["code"],
                line["error"]
            ),
        );
        let record = format!("failed/{key}.json");
        expect(
            "its failure record is there",
            made(cloud.aws(), outputs)?.contains_key(&record),
            true,
        )?;
        let sum = metric_sum(cloud, outputs, "LambdaErrors")?;
        expect("LambdaErrors at moto", sum, 1.0)?;
        self.say("harness", "counted the line: LambdaErrors is 1 at moto");
        self.fires(cloud, outputs, ears, "log-errors", "logs")?;
        self.ends(cloud, outputs, ears, "log-errors", "logs")
    }

    fn a_poisoned_event_ends_in_the_dead_letters(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
    ) -> Told {
        let poison = json!({ "what": "nobody knows" });
        let attempts = if self.mode == "queue" {
            let input = json!({ "QueueUrl": outputs.text("upload_queue_url"), "MessageBody": poison.to_string() });
            cloud
                .aws()
                .json(None, "sqs", "AmazonSQS.SendMessage", &input)?;
            self.say(
                "moto",
                "somebody sent a message to the queue that no upload is behind",
            );
            5
        } else {
            let path = format!(
                "/2015-03-31/functions/{}/invocations?Qualifier=live",
                outputs.text("lambda_function_name")
            );
            cloud.aws().event(&path, &poison)?;
            self.say(
                "moto",
                "somebody invoked the function asynchronously with what no upload is behind",
            );
            3
        };
        cloud.news();
        let dead = json!({ "QueueUrl": outputs.text("dead_letter_queue_url"), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0 });
        let mut minutes = 0;
        let letters = loop {
            cloud.settle()?;
            let found = cloud
                .aws()
                .json(None, "sqs", "AmazonSQS.ReceiveMessage", &dead)?;
            if let Some(found) = found["Messages"].as_array().filter(|all| !all.is_empty()) {
                break found.clone();
            }
            if minutes > 60 {
                return Err("an hour later the dead-letter queue is empty".to_owned());
            }
            cloud.minute()?;
            minutes += 1;
        };
        let invoked = cloud.news().invocations.len();
        expect("attempts", invoked, attempts)?;
        let body = letters[0]["Body"].as_str().unwrap_or_default();
        expect(
            "the letter holds the event",
            body.contains("nobody knows"),
            true,
        )?;
        let (who, how) = if self.mode == "queue" {
            (
                "moto",
                "moved it to the dead letters by the queue's redrive policy",
            )
        } else {
            (
                "harness",
                "sent the record of it to the failure destination, in the role's name",
            )
        };
        self.say(
            who,
            &format!("after {attempts} attempts and {minutes} virtual minutes {how}"),
        );
        self.fires(cloud, outputs, ears, "dead-letters", "critical")?;
        let purge = json!({ "QueueUrl": outputs.text("dead_letter_queue_url") });
        cloud
            .aws()
            .json(None, "sqs", "AmazonSQS.PurgeQueue", &purge)?;
        self.ends(cloud, outputs, ears, "dead-letters", "critical")
    }

    /// The runbook's "no permission".
    fn a_refused_write_is_told_and_made_good(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
    ) -> Told {
        let role = cloud.configuration()["Role"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let role = role.rsplit('/').next().unwrap_or_default();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*" }],
        });
        let iam = |action: &str, document: &str| {
            let mut fields = vec![
                ("Action", action),
                ("Version", "2010-05-08"),
                ("RoleName", role),
                ("PolicyName", "try"),
            ];
            if !document.is_empty() {
                fields.push(("PolicyDocument", document));
            }
            cloud.aws().form("iam", &fields).map(|_| ())
        };
        iam("PutRolePolicy", &policy.to_string())?;
        let key = "photos/dusk.png";
        let picture = fs::read(samples().join("dusk.png")).map_err(|error| error.to_string())?;
        upload(cloud.aws(), outputs, key, &picture)?;
        cloud.settle()?;
        let lines = self.lines(cloud, outputs, key)?;
        let line = lines.last().ok_or("no line about the refused picture")?;
        expect(
            "the level of its line",
            line["level"].as_str(),
            Some("CRITICAL"),
        )?;
        self.say(
            "function",
            &format!(
                "with a policy on the role that denies s3:PutObject: {} at {}: {} {} ({}, {})",
                line["level"],
                line["timestamp"],
                line["key"],
                line["outcome"],
                line["code"],
                line["stage"]
            ),
        );
        self.fires(cloud, outputs, ears, "s3-permission-errors", "critical")?;
        cloud.aws().form(
            "iam",
            &[
                ("Action", "DeleteRolePolicy"),
                ("Version", "2010-05-08"),
                ("RoleName", role),
                ("PolicyName", "try"),
            ],
        )?;
        let manifest = format!("{key}/manifest.json");
        for _ in 0..20 {
            cloud.minute()?;
            cloud.settle()?;
        }
        expect(
            "made after the policy was taken away",
            made(cloud.aws(), outputs)?.contains_key(&manifest),
            true,
        )?;
        self.say(
            "function",
            "with the policy taken away the next attempt made it; nothing was lost",
        );
        self.ends(cloud, outputs, ears, "s3-permission-errors", "critical")
    }

    /// What a deployer runs against AWS, with the real commands, while the clock goes on.
    fn smoke_finds_nothing_wrong(&self, cloud: &mut Cloud, moto: &MotoServer) -> Told {
        if Command::new("aws").arg("--version").output().is_err() {
            self.say(
                "harness",
                "LEFT OUT: cargo xtask smoke, because the aws command is not there",
            );
            return Ok(());
        }
        let log = self.folder.join("smoke.log");
        let file = File::create(&log).map_err(|error| error.to_string())?;
        let state = format!("-state={}", self.folder.join("state").display());
        let mut smoke = Command::new(program("xtask"))
            .args(["smoke", "--endpoint", moto.url(), "--infra"])
            .arg(self.folder.join("infra"))
            .args(["--", &state])
            .env("TF_DATA_DIR", self.folder.join("data"))
            .envs(CREDENTIALS)
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| error.to_string())?;
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || tell.send(smoke.wait()));
        let status = loop {
            cloud.settle()?;
            cloud.minute()?;
            match told.recv_timeout(Duration::from_millis(300)) {
                Ok(status) => break status.map_err(|error| error.to_string())?,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(error.to_string()),
            }
        };
        let said = fs::read_to_string(&log).unwrap_or_default();
        if !status.success() {
            return Err(format!("cargo xtask smoke failed:\n{said}"));
        }
        let seen = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("seen after "));
        let seen: Vec<_> = seen
            .filter_map(|line| Some(line.split_once(": ")?.1))
            .collect();
        self.say(
            "harness",
            &format!(
                "ran `cargo xtask smoke` by the real aws command; it saw {}",
                seen.join("; ")
            ),
        );
        Ok(())
    }

    /// The alarm goes on, and its channel hears of it.
    fn fires(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
        name: &str,
        channel: &str,
    ) -> Told {
        self.changes(cloud, outputs, ears, (name, channel), State::Alarm)
    }

    /// The alarm goes off, and its channel hears of it.
    fn ends(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
        name: &str,
        channel: &str,
    ) -> Told {
        self.changes(cloud, outputs, ears, (name, channel), State::Ok)
    }

    fn changes(
        &self,
        cloud: &mut Cloud,
        outputs: &Outputs,
        ears: &mut Ears,
        (name, channel): (&str, &str),
        state: State,
    ) -> Told {
        let alarm = format!("{}-{name}", outputs.text("lambda_function_name"));
        let minutes = cloud.until(&alarm, state, 10)?;
        let told = ears.wait(cloud.aws(), channel, &alarm, state)?;
        let description = told["AlarmDescription"].as_str().unwrap_or_default();
        let runbook = format!("runbook.md#{name}");
        expect(
            &format!("the message names the runbook's section ({description})"),
            description.contains(&runbook),
            true,
        )?;
        self.say(
            "harness",
            &format!(
                "{minutes} virtual minutes later {name} is {state} ({})",
                told["NewStateReason"].as_str().unwrap_or_default()
            ),
        );
        self.say(
            "moto",
            &format!("the topic {channel} handed the message on: {alarm}, {state}, ...{runbook}"),
        );
        Ok(())
    }

    /// The function's lines about an object that tell its outcome, as they are in the log at moto.
    fn lines(&self, cloud: &Cloud, outputs: &Outputs, key: &str) -> Result<Vec<Value>, String> {
        let found = cloud.aws().json(
            None,
            "logs",
            "Logs_20140328.FilterLogEvents",
            &json!({ "logGroupName": outputs.text("lambda_log_group_name") }),
        )?;
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let lines = events.iter().filter_map(|event| {
            let line: Value = serde_json::from_str(event["message"].as_str()?).ok()?;
            (line["key"] == key && line["signal"] == "finished").then_some(line)
        });
        Ok(lines.collect())
    }
}

/// The alarms that are on.
fn on(cloud: &Cloud) -> Vec<&String> {
    let on = cloud
        .states()
        .iter()
        .filter(|(_, state)| **state == State::Alarm);
    on.map(|(name, _)| name).collect()
}

fn upload(aws: &Aws, outputs: &Outputs, key: &str, bytes: &[u8]) -> Told {
    let store = bucket(aws, outputs.text("upload_bucket_name"));
    let blob = pixmill::ports::Blob {
        bytes: bytes.to_vec().into(),
        content_type: "image/jpeg".to_owned(),
        ..Default::default()
    };
    let put = store.put(key, blob, pixmill::ports::Condition::Always);
    let put = aws.runtime().block_on(put);
    put.map(|_| ())
        .map_err(|error| format!("upload of {key}: {error}"))
}

fn bucket(aws: &Aws, name: &str) -> S3Store {
    let config = aws.runtime().block_on(load_at(aws.url(), "test", "test"));
    S3Store::new(s3_client(&config), name, "")
}

/// Every object of the processed bucket.
fn made(aws: &Aws, outputs: &Outputs) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let store = bucket(aws, outputs.text("processed_bucket_name"));
    aws.runtime().block_on(async {
        let mut made = BTreeMap::new();
        let mut list = store.list("");
        while let Some(line) = list.next().await {
            let key = line.map_err(|error| error.to_string())?.key;
            let got = store.get(&key, u64::MAX, None).await;
            let got = got.map_err(|error| format!("{key}: {error}"))?;
            made.insert(key, got.bytes.to_vec());
        }
        Ok(made)
    })
}

/// The sum of one of the function's metrics since yesterday, as moto has it.
fn metric_sum(cloud: &Cloud, outputs: &Outputs, metric: &str) -> Result<f64, String> {
    let now = jiff::Timestamp::now().as_second();
    let answer = cloud.aws().json(
        None,
        "monitoring",
        "GraniteServiceVersion20100801.GetMetricStatistics",
        &json!({
            "Namespace": outputs.text("metric_namespace"),
            "MetricName": metric,
            "Dimensions": [{ "Name": "FunctionName", "Value": outputs.text("lambda_function_name") }],
            "StartTime": now - 86_400,
            "EndTime": now + 60,
            "Period": 86_400,
            "Statistics": ["Sum"],
        }),
    )?;
    let points = answer["Datapoints"].as_array().cloned().unwrap_or_default();
    Ok(points
        .iter()
        .filter_map(|point| point["Sum"].as_f64())
        .sum())
}

/// How much there is of each kind of thing.
fn left(aws: &Aws) -> Result<BTreeMap<&'static str, usize>, String> {
    let mut left = BTreeMap::new();
    let buckets = aws.path(None, "s3", Method::GET, "/", "")?;
    let buckets = String::from_utf8_lossy(&buckets).into_owned();
    let names = in_tags(&buckets, "Name");
    let mut objects = 0;
    for name in &names {
        let listed = aws.path(None, "s3", Method::GET, &format!("/{name}?list-type=2"), "")?;
        objects += in_tags(&String::from_utf8_lossy(&listed), "Key").len();
    }
    left.insert("buckets", names.len());
    left.insert("objects", objects);
    let functions = aws.path(None, "lambda", Method::GET, "/2015-03-31/functions/", "")?;
    let functions: Value = serde_json::from_slice(&functions).unwrap_or_default();
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    left.insert("functions", count(&functions["Functions"]));
    for (kind, service, target, field) in [
        ("queues", "sqs", "AmazonSQS.ListQueues", "QueueUrls"),
        (
            "log groups",
            "logs",
            "Logs_20140328.DescribeLogGroups",
            "logGroups",
        ),
        (
            "metric filters",
            "logs",
            "Logs_20140328.DescribeMetricFilters",
            "metricFilters",
        ),
        (
            "saved queries",
            "logs",
            "Logs_20140328.DescribeQueryDefinitions",
            "queryDefinitions",
        ),
        (
            "alarms",
            "monitoring",
            "GraniteServiceVersion20100801.DescribeAlarms",
            "MetricAlarms",
        ),
        (
            "dashboards",
            "monitoring",
            "GraniteServiceVersion20100801.ListDashboards",
            "DashboardEntries",
        ),
    ] {
        let found = aws.json(None, service, target, &json!({}))?;
        left.insert(kind, count(&found[field]));
    }
    let composite = json!({ "AlarmTypes": ["CompositeAlarm"] });
    let composite = aws.json(
        None,
        "monitoring",
        "GraniteServiceVersion20100801.DescribeAlarms",
        &composite,
    )?;
    left.insert("composite alarms", count(&composite["CompositeAlarms"]));
    let topics = aws.form(
        "sns",
        &[("Action", "ListTopics"), ("Version", "2010-03-31")],
    )?;
    left.insert("topics", in_tags(&topics, "TopicArn").len());
    let roles = aws.form("iam", &[("Action", "ListRoles"), ("Version", "2010-05-08")])?;
    left.insert("roles", in_tags(&roles, "RoleName").len());
    Ok(left)
}

/// A queue on each topic, and what came by it so far.
struct Ears {
    heard: BTreeMap<&'static str, Vec<Value>>,
}

impl Ears {
    fn subscribe(aws: &Aws, outputs: &Outputs) -> Result<Self, String> {
        for (channel, topic) in CHANNELS {
            let name = json!({ "QueueName": format!("ear-{channel}") });
            aws.json(None, "sqs", "AmazonSQS.CreateQueue", &name)?;
            let arn = format!("arn:aws:sqs:us-east-1:123456789012:ear-{channel}");
            aws.form(
                "sns",
                &[
                    ("Action", "Subscribe"),
                    ("Version", "2010-03-31"),
                    ("TopicArn", outputs.text(topic)),
                    ("Protocol", "sqs"),
                    ("Endpoint", &arn),
                ],
            )?;
        }
        let heard = CHANNELS.map(|(channel, _)| (channel, Vec::new())).into();
        Ok(Self { heard })
    }

    fn url(aws: &Aws, channel: &str) -> String {
        format!("{}/123456789012/ear-{channel}", aws.url())
    }

    fn unsubscribe(self, aws: &Aws) -> Told {
        for (channel, _) in CHANNELS {
            let queue = json!({ "QueueUrl": Self::url(aws, channel) });
            aws.json(None, "sqs", "AmazonSQS.DeleteQueue", &queue)?;
        }
        Ok(())
    }

    /// The message about this alarm's state on this channel, which must have come; it is heard once. On another
    /// channel it must not have come.
    fn wait(
        &mut self,
        aws: &Aws,
        channel: &str,
        alarm: &str,
        state: State,
    ) -> Result<Value, String> {
        for (of, heard) in &mut self.heard {
            let input = json!({ "QueueUrl": Self::url(aws, of), "MaxNumberOfMessages": 10 });
            loop {
                let came = aws.json(None, "sqs", "AmazonSQS.ReceiveMessage", &input)?;
                let came = came["Messages"].as_array().cloned().unwrap_or_default();
                if came.is_empty() {
                    break;
                }
                heard.extend(came.iter().filter_map(|message| {
                    let wrapped: Value = serde_json::from_str(message["Body"].as_str()?).ok()?;
                    serde_json::from_str(wrapped["Message"].as_str()?).ok()
                }));
            }
        }
        let is_it = |told: &Value| {
            let name = told["AlarmName"].as_str().unwrap_or_default();
            name.trim_end_matches("-notice") == alarm && told["NewStateValue"] == state.to_string()
        };
        for (of, heard) in &mut self.heard {
            if let Some(at) = heard.iter().position(is_it) {
                let told = heard.remove(at);
                return if *of == channel {
                    Ok(told)
                } else {
                    Err(format!(
                        "{alarm} was told on {of}, and {channel} was expected"
                    ))
                };
            }
        }
        let heard: Vec<_> = self.heard[channel]
            .iter()
            .map(|told| &told["AlarmName"])
            .collect();
        Err(format!(
            "no message that {alarm} is {state} came on {channel}; heard there: {heard:?}"
        ))
    }
}
