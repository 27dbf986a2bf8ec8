//! `cargo xtask smoke`: a good and a bad canary through what is deployed.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::deploy::{answer, task, terraform_is_there};
use crate::machine::is_there;
use crate::{Failure, Task, python};

pub(crate) const TASK: Task = Task {
    name: "smoke",
    about: "Try out what is deployed: a good and a bad picture, the alarm and its message",
    usage: " [--endpoint URL] [--infra FOLDER] [-- TERRAFORM ARGUMENTS]",
    details: "\
Reads Terraform's outputs, looks whether subscriptions are confirmed, uploads a good and a cut-off picture under
smoke/TIME/, and waits for renditions and manifest, the failure record, the log's line, the metric, the alarm and
the message to its topic. Every step says what it saw, or what to look at; every command is printed before it
runs. What was uploaded and made is removed in the end (with versioning, old versions go by their rule).

The bad picture really sets off the alarm log-errors, and its channel is told. Takes two to eight minutes: alarms
look once a minute. Needs terraform and the aws command.

  --endpoint URL  an emulator instead of AWS; the same as AWS_ENDPOINT_URL
  --infra FOLDER  another folder than infra, on which terraform was run
  -- ...          goes to `terraform output`: -state=...",
    start,
};

/// How long renditions and records may take: a cold start and a queue.
const FOR_PICTURES: Duration = Duration::from_mins(2);

/// How long the log, metrics and alarms may take.
const FOR_ALARMS: Duration = Duration::from_mins(8);

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let mut words = words.into_iter().map(|w| w.to_string_lossy().into_owned());
    let (mut endpoint, mut infra, mut more) = (None, "infra".to_owned(), Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--" => more = words.by_ref().collect(),
            "--endpoint" => endpoint = Some(value(&word, words.next())?),
            "--infra" => infra = value(&word, words.next())?,
            _ => {
                let words = format!("'{word}' is not something that this task takes.");
                return Err(Failure::Usage(words));
            }
        }
    }
    terraform_is_there()?;
    if !is_there("aws") {
        return Err(task(
            "The aws command is not on this machine, and is needed: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
        ));
    }
    let smoke = Smoke::find(endpoint, &infra, &more)?;
    let result = smoke.run();
    // Also after a failure.
    smoke.clean_up();
    result?;
    let missed = smoke.missed.get();
    if missed > 0 {
        return Err(task(&format!(
            "\n{missed} of the steps failed; each says above what to look at."
        )));
    }
    eprintln!("\nEverything works.");
    Ok(ExitCode::SUCCESS)
}

/// A command's words, the plain ones first, then options whose values may be anything.
fn command(words: &str, options: &[(&str, &str)]) -> Vec<String> {
    let options = options.iter().flat_map(|(name, value)| [*name, *value]);
    words.split(' ').chain(options).map(str::to_owned).collect()
}

fn value(option: &str, word: Option<String>) -> Result<String, Failure> {
    word.ok_or_else(|| Failure::Usage(format!("{option} needs a value.")))
}

/// What is deployed, and the canaries.
struct Smoke {
    endpoint: Option<String>,
    region: String,
    uploads: String,
    processed: String,
    upload_prefix: String,
    processed_prefix: String,
    function: String,
    log_group: String,
    namespace: String,
    topics: [(&'static str, String); 3],
    /// `smoke/TIME/`.
    folder: String,
    /// Seconds since 1970.
    begin: u64,
    missed: Cell<usize>,
}

impl Smoke {
    fn find(endpoint: Option<String>, infra: &str, more: &[String]) -> Result<Self, Failure> {
        eprintln!("# What is deployed");
        let infra = format!("-chdir={infra}");
        let output = |name: &str| {
            let mut words = vec![&*infra, "output", "-raw"];
            words.extend(more.iter().map(String::as_str));
            words.push(name);
            answer("terraform", &words)
        };
        let begin = SystemTime::now().duration_since(UNIX_EPOCH);
        let begin = begin.unwrap_or_default().as_secs();
        Ok(Self {
            endpoint,
            region: output("aws_region")?,
            uploads: output("upload_bucket_name")?,
            processed: output("processed_bucket_name")?,
            upload_prefix: output("upload_prefix")?,
            processed_prefix: output("processed_prefix")?,
            function: output("lambda_function_name")?,
            log_group: output("lambda_log_group_name")?,
            namespace: output("metric_namespace")?,
            topics: [
                ("critical", output("critical_alerts_topic_arn")?),
                ("performance", output("performance_alerts_topic_arn")?),
                ("logs", output("log_alerts_topic_arn")?),
            ],
            folder: format!("smoke/{begin}/"),
            begin,
            missed: Cell::new(0),
        })
    }

    fn run(&self) -> Result<(), Failure> {
        self.subscriptions()?;

        let (good, bad) = (
            format!("{}good.jpg", self.folder),
            format!("{}broken.jpg", self.folder),
        );
        self.upload(&good, &bad)?;
        self.outcomes(&good, &bad)?;
        self.telling(&bad);
        Ok(())
    }

    fn upload(&self, good: &str, bad: &str) -> Result<(), Failure> {
        eprintln!("\n# A good picture and one that is cut off");
        let sample = "samples/cat.jpg";
        let whole = fs::read(sample).map_err(|error| task(&format!("{sample}: {error}")))?;
        let broken = python::target_folder()?.join("smoke-broken.jpg");
        fs::write(&broken, &whole[..whole.len() / 2])
            .map_err(|error| task(&format!("{}: {error}", broken.display())))?;
        for (file, key) in [(sample, good), (&*broken.to_string_lossy(), bad)] {
            let to = format!("s3://{}/{}{key}", self.uploads, self.upload_prefix);
            self.aws(&["s3", "cp", "--only-show-errors", file, &to])?;
        }
        Ok(())
    }

    fn outcomes(&self, good: &str, bad: &str) -> Result<(), Failure> {
        eprintln!("\n# What becomes of them");
        let manifest = format!("{}{good}/manifest.json", self.processed_prefix);
        let record = format!("{}failed/{bad}.json", self.processed_prefix);
        let head = |key: &str| {
            command(
                "s3api head-object --query ContentLength --output text",
                &[("--bucket", &self.processed), ("--key", key)],
            )
        };
        let is_there = self.wait(
            "the good picture's renditions and manifest",
            FOR_PICTURES,
            &head(&manifest),
            |_| true,
            &format!(
                "Does the queue or the function get the event? {} Is .jpg among upload_suffixes? Runbook: silent-stop, dead-letters.",
                self.tail()
            ),
        );
        if is_there {
            let prefix = format!("{}{good}/", self.processed_prefix);
            let words = [
                "s3api",
                "list-objects-v2",
                "--bucket",
                &self.processed,
                "--prefix",
                &prefix,
                "--query",
                "Contents[].Key",
                "--output",
                "text",
            ];
            eprintln!(
                "  {}",
                self.aws(&words)?
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join("\n  ")
            );
        }
        self.wait(
            "the bad picture's failure record",
            FOR_PICTURES,
            &head(&record),
            |_| true,
            &format!(
                "{} Does the recipe keep records elsewhere than below failed/?",
                self.tail()
            ),
        );

        Ok(())
    }

    fn telling(&self, bad: &str) {
        eprintln!("\n# Whether anybody would know");
        let since = (self.begin * 1000).to_string();
        let pattern = format!("\"{bad}\"");
        self.wait(
            "the line of the bad picture in the log",
            FOR_ALARMS,
            &command(
                "logs filter-log-events --output text",
                &[
                    ("--log-group-name", &self.log_group),
                    ("--start-time", &since),
                    ("--filter-pattern", &pattern),
                    ("--query", "events[].message"),
                ],
            ),
            |said| said.contains("\"ERROR\"") && said.contains(bad),
            "Does the function write to its log group? Compare its role with terraform plan.",
        );
        let (from, until) = (self.begin - self.begin % 60, self.begin + 3600);
        let (from, until) = (from.to_string(), until.to_string());
        let dimension = format!("Name=FunctionName,Value={}", self.function);
        self.wait(
            "the metric LambdaErrors",
            FOR_ALARMS,
            &command(
                "cloudwatch get-metric-statistics --period 3600 --statistics Sum --output text",
                &[
                    ("--metric-name", "LambdaErrors"),
                    ("--namespace", &self.namespace),
                    ("--dimensions", &dimension),
                    ("--start-time", &from),
                    ("--end-time", &until),
                    ("--query", "Datapoints[].Sum"),
                ],
            ),
            |said| {
                said.split_whitespace()
                    .filter_map(|sum| sum.parse::<f64>().ok())
                    .any(|sum| sum >= 1.0)
            },
            "Is the metric filter lambda-errors on the log group? terraform plan says so.",
        );
        let alarm = format!("{}-log-errors", self.function);
        let history = |kind: &str| {
            command(
                "cloudwatch describe-alarm-history --output text",
                &[
                    ("--alarm-name", &alarm),
                    ("--history-item-type", kind),
                    ("--start-date", &from),
                    ("--query", "AlarmHistoryItems[].HistorySummary"),
                ],
            )
        };
        self.wait(
            "the alarm log-errors went on",
            FOR_ALARMS,
            &history("StateUpdate"),
            |said| said.contains("to ALARM"),
            "Was it on already? Then it does not go on again before it was off: wait, and try once more.",
        );
        let topic = &self.topics[2].1;
        self.wait(
            "its message went to the topic of the channel logs",
            FOR_ALARMS,
            &history("Action"),
            |said| said.contains("Successfully executed action") && said.contains(topic.as_str()),
            "Are the alarm's actions enabled, and does the topic's key let CloudWatch use it? The history names the reason.",
        );
    }

    /// Whether somebody hears each channel.
    fn subscriptions(&self) -> Result<(), Failure> {
        eprintln!("\n# Who is told");
        for (channel, topic) in &self.topics {
            let words = [
                "sns",
                "list-subscriptions-by-topic",
                "--topic-arn",
                topic,
                "--query",
                "Subscriptions[].[SubscriptionArn,Protocol,Endpoint]",
                "--output",
                "text",
            ];
            let said = self.aws(&words)?;
            if said.is_empty() {
                eprintln!("  nobody hears the channel {channel}: set alert_email or alert_emails");
            }
            for line in said.lines() {
                let (arn, who) = line.split_once('\t').unwrap_or((line, ""));
                let who = who.replace('\t', " ");
                if arn == "PendingConfirmation" {
                    self.miss(&format!("{channel}: {who} has not confirmed"), "Follow the link in the email from AWS, or send it again: aws sns subscribe.");
                } else {
                    eprintln!("  {channel}: {who} is confirmed");
                }
            }
        }
        Ok(())
    }

    /// Asks again and again until what is said is good; a command that fails has said nothing yet.
    fn wait(
        &self,
        what: &str,
        most: Duration,
        words: &[String],
        is_good: impl Fn(&str) -> bool,
        otherwise: &str,
    ) -> bool {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = self.in_place(&words);
        crate::deploy::say("aws", &words);
        let begin = Instant::now();
        loop {
            let said = Command::new("aws")
                .args(&words)
                .stdin(Stdio::null())
                .output();
            if let Ok(said) = said
                && said.status.success()
                && is_good(&String::from_utf8_lossy(&said.stdout))
            {
                eprintln!("  seen after {} s: {what}", begin.elapsed().as_secs());
                return true;
            }
            if begin.elapsed() >= most {
                self.miss(
                    &format!("within {} s nothing was seen of {what}", most.as_secs()),
                    otherwise,
                );
                return false;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    fn miss(&self, what: &str, otherwise: &str) {
        self.missed.set(self.missed.get() + 1);
        eprintln!("  FAILED: {what}.\n  {otherwise}");
    }

    fn tail(&self) -> String {
        format!("aws logs tail {} --since 10m", self.log_group)
    }

    fn clean_up(&self) {
        eprintln!("\n# The canaries go");
        for place in [
            format!(
                "s3://{}/{}{}",
                self.uploads, self.upload_prefix, self.folder
            ),
            format!(
                "s3://{}/{}{}",
                self.processed, self.processed_prefix, self.folder
            ),
            format!(
                "s3://{}/{}failed/{}",
                self.processed, self.processed_prefix, self.folder
            ),
        ] {
            if self
                .aws(&["s3", "rm", "--recursive", "--only-show-errors", &place])
                .is_err()
            {
                self.miss(
                    &format!("{place} could not be emptied"),
                    "Remove it by hand.",
                );
            }
        }
    }

    fn aws(&self, words: &[&str]) -> Result<String, Failure> {
        answer("aws", &self.in_place(words))
    }

    fn in_place<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let mut all = words.to_vec();
        all.extend(["--region", &self.region]);
        if let Some(endpoint) = &self.endpoint {
            all.extend(["--endpoint-url", endpoint]);
        }
        all
    }
}
