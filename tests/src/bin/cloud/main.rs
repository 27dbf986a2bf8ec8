//! A whole deployment on this machine, told as it goes: `cargo xtask cloud` prepares it and calls this.
//!
//! `cloud MODE FOLDER ZIP PYTHON`: `FOLDER` holds a copy of `infra/` on which `terraform init` was run with `data` as
//! its data folder; `ZIP` is the function's package; `PYTHON` has moto.

mod account;
mod ears;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::http::Method;
use pixmill_testkit::moto_server::MotoServer;
use pixmill_tests::alarms::State;
use pixmill_tests::aws::Aws;
use pixmill_tests::cloud::{Cloud, Outputs};
use pixmill_tests::dashboard;
use pixmill_tests::deployment::{Deployment, Mode};
use pixmill_tests::output::assert_same_output;
use pixmill_tests::programs::{convert, program, samples};
use serde_json::{Value, json};

use account::{left, lines, made, metric_sum, upload};
use ears::{CHANNELS, Ears};

/// The default of the variable `runbook_url`.
const RUNBOOK: &str = "https://github.com/pixmill/pixmill/blob/main/docs/runbook.md";

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
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, expected: &T) -> Told {
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
        self.the_account_has_what_the_table_says(cloud, &outputs)?;
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
        Ears::unsubscribe(cloud.aws())?;
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
            &format!(
                "{} outputs; none is empty but those of parts that are left out",
                declared.len()
            ),
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

    /// What the rehearsals of alarms rest on.
    fn the_account_has_what_the_table_says(&self, cloud: &Cloud, outputs: &Outputs) -> Told {
        let mode = if self.mode == "queue" {
            Mode::Queue
        } else {
            Mode::Direct
        };
        let mut deployment = Deployment::new(mode);
        let switched_on = variables(&self.mode)
            .iter()
            .filter_map(|v| v.strip_suffix("=true"));
        deployment.switches = switched_on.map(|name| (name.to_owned(), true)).collect();
        let name = outputs.text("lambda_function_name");
        name.clone_into(&mut deployment.function_name);
        let uploads = outputs.text("upload_bucket_name");
        uploads.clone_into(&mut deployment.upload_bucket);
        RUNBOOK.clone_into(&mut deployment.runbook_url);
        for (channel, topic) in CHANNELS {
            let topic = outputs.text(topic).to_owned();
            deployment.topics.insert(channel.to_owned(), topic);
        }
        expect("differences", &cloud.differences(&deployment), &Vec::new())?;
        let dashboard = outputs.text("cloudwatch_dashboard_name");
        let body = cloud.aws().json(
            None,
            "monitoring",
            "GraniteServiceVersion20100801.GetDashboard",
            &json!({ "DashboardName": dashboard }),
        )?;
        let body = body["DashboardBody"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        expect(
            "the dashboard's faults",
            &dashboard::faults(&body),
            &Vec::new(),
        )?;
        expect("the dashboard", &body, &deployment.dashboard())?;
        self.say(
            "harness",
            "every filter, every alarm and the dashboard at moto are what the tests make of observability.json",
        );
        Ok(())
    }

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
        expect("the role writes renditions", &put(processed).is_ok(), &true)?;
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
            &refused.contains("403"),
            &true,
        )?;
        let queue = json!({ "QueueUrl": outputs.text("dead_letter_queue_url") });
        let purge = cloud
            .aws()
            .json(role, "sqs", "AmazonSQS.PurgeQueue", &queue);
        expect(
            "the role's purge of dead letters is refused",
            &purge.err().unwrap_or_default().contains("403"),
            &true,
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
        let test_event = match self.mode.as_str() {
            "queue" => ", once for S3's test event",
            _ => "",
        };
        let lines = lines(cloud, outputs, key)?;
        let outcomes: Vec<_> = lines.iter().filter_map(|l| l["outcome"].as_str()).collect();
        expect("the photo's outcome in the log", &outcomes, &vec!["done"])?;
        self.say(
            "function",
            &format!(
                "the deployed bootstrap, invoked {invocations} times{test_event}: {key} done in {} ms",
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
        expect("alarms after a good photo", &on, &Vec::new())?;
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
        let lines = lines(cloud, outputs, key)?;
        let [line] = &lines[..] else {
            return Err(format!("one line about {key} was expected, seen {lines:?}"));
        };
        expect(
            "the level of its line",
            &line["level"].as_str(),
            &Some("ERROR"),
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
            &made(cloud.aws(), outputs)?.contains_key(&record),
            &true,
        )?;
        let sum = metric_sum(cloud, outputs, "LambdaErrors")?;
        expect("LambdaErrors at moto", &sum, &1.0)?;
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
        expect("attempts", &invoked, &attempts)?;
        let body = letters[0]["Body"].as_str().unwrap_or_default();
        expect(
            "the letter holds the event",
            &body.contains("nobody knows"),
            &true,
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
        let lines = lines(cloud, outputs, key)?;
        let line = lines.last().ok_or("no line about the refused picture")?;
        expect(
            "the level of its line",
            &line["level"].as_str(),
            &Some("CRITICAL"),
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
            &made(cloud.aws(), outputs)?.contains_key(&manifest),
            &true,
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
        let when = match minutes {
            0 => "meanwhile".to_owned(),
            1 => "a virtual minute later".to_owned(),
            more => format!("{more} virtual minutes later"),
        };
        let told = ears.wait(cloud.aws(), channel, &alarm, state)?;
        let description = told["AlarmDescription"].as_str().unwrap_or_default();
        let runbook = format!("runbook.md#{name}");
        expect(
            &format!("the message names the runbook's section ({description})"),
            &description.contains(&runbook),
            &true,
        )?;
        self.say(
            "harness",
            &format!(
                "{when} {name} is {state} ({})",
                told["NewStateReason"].as_str().unwrap_or_default()
            ),
        );
        self.say(
            "moto",
            &format!("the topic {channel} handed the message on: {alarm}, {state}, ...{runbook}"),
        );
        Ok(())
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
