//! A whole deployment on this machine: moto has what Terraform made, and what AWS does between its services is done
//! here, by what the account says: events go from S3 to the function, lines become metrics, alarms tell topics.
//!
//! | who | does |
//! | --- | --- |
//! | moto, with the mends of `moto_cloud.py` | keeps buckets, queues, topics, the log, the role; S3's events; redrive; fan-out from topics; the role's permissions |
//! | this module | polls the queue; retries events and hands them to the failure destination; runs the deployed zip; writes its log; counts lines; evaluates alarms; moves the clock |
//! | the real `bootstrap` | everything else |
//!
//! The clock is a virtual one: a minute passes when it is told to, so that retries, visibility timeouts and alarms take no
//! time. Not done here: the age of the oldest message, a function that runs twice at once, throttling, and what CloudTrail records.

mod lambda;
mod watch;

pub use lambda::Invocation;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use axum::http::Method;
use pixmill_testkit::moto_server::MotoServer;
use serde_json::{Value, json};

use crate::alarms::{Change, Message, State};
use crate::aws::Aws;
use crate::deployment::Deployment;
use crate::events::{given_back, received};
use crate::metrics::Time;
use lambda::Lambda;
use watch::{Watch, list};

/// The seconds that Lambda waits before it tries an event again: after the first attempt, and after the second.
const RETRY_AFTER: [Time; 2] = [60, 120];

/// A deployment and what drives it.
pub struct Cloud {
    aws: Aws,
    lambda: Lambda,
    watch: Watch,
    way_in: WayIn,
    /// The dead-letter queue.
    dead: Queue,
    /// Everything that happened since it was last asked for.
    news: News,
}

/// How uploads reach the function, as the account says.
enum WayIn {
    Queue(Mapping),
    Direct(Async),
}

/// An event source mapping.
struct Mapping {
    queue: Queue,
    batch: u64,
    partial: bool,
    /// What is being kept from being seen until then.
    in_flight: Vec<(Time, String)>,
    visibility: Time,
}

/// Lambda's own queue of events, and what becomes of them.
struct Async {
    retries: usize,
    destination: Option<Queue>,
    waiting: VecDeque<Event>,
}

struct Event {
    payload: Value,
    attempts: usize,
    not_before: Time,
}

#[derive(Clone)]
struct Queue {
    name: String,
    url: String,
}

/// What happened.
#[derive(Debug, Default)]
pub struct News {
    /// Invocations of the function.
    pub invocations: Vec<Invocation>,
    /// Alarms that went on or off.
    pub changes: Vec<Change>,
    /// What topics were told.
    pub messages: Vec<Message>,
}

/// What Terraform says of the deployment, as far as it is needed here.
pub struct Outputs(pub Value);

impl Outputs {
    /// An output that is text; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0[name]["value"].as_str().unwrap_or_default()
    }
}

impl Cloud {
    /// What is deployed at `moto`. `python` unpacks the zip.
    pub fn deployed(moto: &MotoServer, outputs: &Outputs, python: &Path) -> Result<Self, String> {
        let aws = Aws::at(moto.url());
        let name = outputs.text("lambda_function_name");
        let (_, alias) = outputs
            .text("lambda_alias_arn")
            .rsplit_once(':')
            .ok_or("no alias")?;
        let lambda = Lambda::deployed(&aws, python, name, alias)?;
        let watch = Watch::new(&aws, &lambda)?;
        let way_in = WayIn::find(&aws, name, alias)?;
        let dead = Queue::by_url(outputs.text("dead_letter_queue_url"));
        Ok(Self {
            aws,
            lambda,
            watch,
            way_in,
            dead,
            news: News::default(),
        })
    }

    /// The account.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The function's configuration, as the account has it.
    pub fn configuration(&self) -> &Value {
        &self.lambda.configuration
    }

    /// The role's credentials.
    pub fn role(&self) -> &crate::aws::Role {
        &self.lambda.role
    }

    /// How many metric filters look at the log.
    pub fn filters(&self) -> usize {
        self.watch.filters()
    }

    /// What Terraform made of filters and alarms otherwise than `deployment` says.
    pub fn differences(&self, deployment: &Deployment) -> Vec<String> {
        self.watch.differences(deployment)
    }

    /// The state of every alarm, by name.
    pub fn states(&self) -> &BTreeMap<String, State> {
        self.watch.states()
    }

    /// Everything that happened since this was last asked.
    pub fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Works off what there is to do now; says how many times the function was invoked.
    pub fn settle(&mut self) -> Result<usize, String> {
        let mut count = 0;
        while self.turn()? {
            count += 1;
        }
        Ok(count)
    }

    /// One event or batch, if there is any.
    fn turn(&mut self) -> Result<bool, String> {
        match &mut self.way_in {
            WayIn::Queue(_) => self.poll(),
            WayIn::Direct(_) => self.next_event(),
        }
    }

    /// A minute passes: what waited for it comes back, and alarms are evaluated.
    pub fn minute(&mut self) -> Result<(), String> {
        let visible = self.dead.visible(&self.aws)?;
        self.sqs(
            "ApproximateNumberOfMessagesVisible",
            &self.dead.name.clone(),
            visible,
        )?;
        if let WayIn::Queue(mapping) = &self.way_in {
            let queue = mapping.queue.clone();
            let visible = queue.visible(&self.aws)?;
            self.sqs("ApproximateNumberOfMessagesVisible", &queue.name, visible)?;
        }
        let (changes, messages) = self.watch.minute(&self.aws)?;
        self.news.changes.extend(changes);
        self.news.messages.extend(messages);
        let now = self.watch.now();
        if let WayIn::Queue(mapping) = &mut self.way_in {
            mapping.come_back(&self.aws, now)?;
        }
        Ok(())
    }

    /// Minutes pass until an alarm is in this state, and no more than so many; says how many it took.
    pub fn until(&mut self, alarm: &str, state: State, most: usize) -> Result<usize, String> {
        for minutes in 0..=most {
            if self.states().get(alarm) == Some(&state) {
                return Ok(minutes);
            }
            self.minute()?;
            self.settle()?;
        }
        Err(format!(
            "{alarm} is {} after {most} minutes, and {state} was expected",
            self.states()
                .get(alarm)
                .map_or("not there".to_owned(), State::to_string)
        ))
    }

    fn invoke(&mut self, payload: &Value) -> Result<Result<Value, Value>, String> {
        let done = self.lambda.invoke(payload);
        self.watch.invocation(&self.aws, &self.lambda, &done)?;
        let answer = done.answer.clone();
        self.news.invocations.push(done);
        Ok(answer)
    }

    fn sqs(&mut self, metric: &str, queue: &str, value: f64) -> Result<(), String> {
        self.watch
            .count(&self.aws, "AWS/SQS", metric, ("QueueName", queue), value)
    }

    fn of_lambda(&mut self, metric: &str) -> Result<(), String> {
        let name = self.lambda.name().to_owned();
        self.watch.count(
            &self.aws,
            "AWS/Lambda",
            metric,
            ("FunctionName", &name),
            1.0,
        )
    }

    /// What Lambda does with a queue: takes a batch in the role's name, deletes what was settled, and leaves the rest
    /// to its visibility timeout.
    fn poll(&mut self) -> Result<bool, String> {
        let WayIn::Queue(mapping) = &self.way_in else {
            return Ok(false);
        };
        let role = Some(&self.lambda.role);
        let messages = self.aws.json(
            role,
            "sqs",
            "AmazonSQS.ReceiveMessage",
            &json!({
                "QueueUrl": mapping.queue.url,
                "MaxNumberOfMessages": mapping.batch,
                "AttributeNames": ["All"],
                "WaitTimeSeconds": 0,
            }),
        )?;
        let messages = list(&messages["Messages"]).to_vec();
        if messages.is_empty() {
            return Ok(false);
        }
        let queue = mapping.queue.clone();
        let arn = format!("arn:aws:sqs:us-east-1:123456789012:{}", queue.name);
        let records: Vec<_> = messages.iter().map(|m| received(m, &arn)).collect();
        for message in &messages {
            if message["Attributes"]["ApproximateReceiveCount"] == "1" {
                self.sqs("NumberOfMessagesSent", &queue.name, 1.0)?;
            }
        }
        let answer = self.invoke(&json!({ "Records": records }))?;
        let WayIn::Queue(mapping) = &mut self.way_in else {
            return Ok(false);
        };
        for message in &messages {
            let id = message["MessageId"].as_str().unwrap_or_default();
            let fails = match &answer {
                Err(_) => true,
                Ok(reply) => mapping.partial && given_back(reply).contains(&id),
            };
            let receipt = message["ReceiptHandle"].as_str().unwrap_or_default();
            if fails {
                let until = self.watch.now() + mapping.visibility;
                mapping.in_flight.push((until, receipt.to_owned()));
            } else {
                self.aws.json(
                    Some(&self.lambda.role),
                    "sqs",
                    "AmazonSQS.DeleteMessage",
                    &json!({ "QueueUrl": queue.url, "ReceiptHandle": receipt }),
                )?;
            }
        }
        Ok(true)
    }

    /// What Lambda does with an asynchronous event: tries it, twice more a while later, then keeps it elsewhere.
    fn next_event(&mut self) -> Result<bool, String> {
        let WayIn::Direct(events) = &mut self.way_in else {
            return Ok(false);
        };
        let came = self
            .aws
            .path(None, "lambda", Method::GET, "/harness/events", "")?;
        let came: Value = serde_json::from_slice(&came).unwrap_or_default();
        let came: Vec<_> = list(&came).to_vec();
        let now = self.watch.now();
        events.waiting.extend(came.iter().map(|event| Event {
            payload: event["payload"].clone(),
            attempts: 0,
            not_before: now,
        }));
        let due = events.waiting.iter().position(|e| e.not_before <= now);
        let event = due.and_then(|at| events.waiting.remove(at));
        for _ in &came {
            self.of_lambda("AsyncEventsReceived")?;
        }
        let Some(mut event) = event else {
            return Ok(false);
        };
        let answer = self.invoke(&event.payload)?;
        event.attempts += 1;
        let Err(error) = answer else {
            return Ok(true);
        };
        let WayIn::Direct(events) = &mut self.way_in else {
            return Ok(true);
        };
        if event.attempts <= events.retries {
            let after = RETRY_AFTER[(event.attempts - 1).min(RETRY_AFTER.len() - 1)];
            event.not_before = now + after;
            events.waiting.push_back(event);
            return Ok(true);
        }
        let destination = events.destination.clone();
        if let Some(queue) = destination {
            let record = self.given_up(&event, &error);
            let input = json!({ "QueueUrl": queue.url, "MessageBody": record.to_string() });
            let role = Some(&self.lambda.role);
            self.aws
                .json(role, "sqs", "AmazonSQS.SendMessage", &input)?;
        }
        self.of_lambda("AsyncEventsDropped")?;
        Ok(true)
    }

    /// The record that a failure destination gets.
    fn given_up(&self, event: &Event, error: &Value) -> Value {
        let last = self.news.invocations.last();
        json!({
            "version": "1.0",
            "timestamp": lambda::now(),
            "requestContext": {
                "requestId": last.map(|done| done.request_id.as_str()),
                "functionArn": self.lambda.configuration["FunctionArn"],
                "condition": "RetriesExhausted",
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": event.payload,
            "responseContext": {
                "statusCode": 200,
                "executedVersion": self.lambda.configuration["Version"],
                "functionError": "Unhandled",
            },
            "responsePayload": error,
        })
    }
}

impl WayIn {
    fn find(aws: &Aws, function: &str, alias: &str) -> Result<Self, String> {
        let path = "/2015-03-31/event-source-mappings/";
        let mappings = get(aws, path)?;
        if let Some(mapping) = list(&mappings["EventSourceMappings"]).first() {
            let arn = mapping["EventSourceArn"].as_str().unwrap_or_default();
            let function_arn = mapping["FunctionArn"].as_str().unwrap_or_default();
            if !function_arn.ends_with(&format!("{function}:{alias}")) {
                return Err(format!("the queue leads to {function_arn}"));
            }
            let queue = Queue::by_arn(aws, arn);
            let visibility = queue.attribute(aws, "VisibilityTimeout")?;
            return Ok(Self::Queue(Mapping {
                batch: mapping["BatchSize"].as_u64().unwrap_or(1),
                partial: list(&mapping["FunctionResponseTypes"])
                    .contains(&json!("ReportBatchItemFailures")),
                visibility: visibility.parse().unwrap_or(30),
                in_flight: Vec::new(),
                queue,
            }));
        }
        let path =
            format!("/2019-09-25/functions/{function}/event-invoke-config?Qualifier={alias}");
        let config = get(aws, &path)?;
        let destination = config["DestinationConfig"]["OnFailure"]["Destination"].as_str();
        let retries = config["MaximumRetryAttempts"].as_u64().unwrap_or(2);
        Ok(Self::Direct(Async {
            retries: usize::try_from(retries).unwrap_or(2),
            destination: destination.map(|arn| Queue::by_arn(aws, arn)),
            waiting: VecDeque::new(),
        }))
    }
}

impl Mapping {
    /// Visibility timeouts pass on our clock; moto's own would take real minutes.
    fn come_back(&mut self, aws: &Aws, now: Time) -> Result<(), String> {
        let (due, later) = self
            .in_flight
            .drain(..)
            .partition(|(until, _)| *until <= now);
        self.in_flight = later;
        let due: Vec<(Time, String)> = due;
        for (_, receipt) in due {
            aws.json(
                None,
                "sqs",
                "AmazonSQS.ChangeMessageVisibility",
                &json!({ "QueueUrl": self.queue.url, "ReceiptHandle": receipt, "VisibilityTimeout": 0 }),
            )?;
        }
        Ok(())
    }
}

impl Queue {
    fn by_url(url: &str) -> Self {
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        let url = url.to_owned();
        Self { name, url }
    }

    fn by_arn(aws: &Aws, arn: &str) -> Self {
        let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
        let url = format!("{}/123456789012/{name}", aws.url());
        Self { name, url }
    }

    fn attribute(&self, aws: &Aws, name: &str) -> Result<String, String> {
        let input = json!({ "QueueUrl": self.url, "AttributeNames": [name] });
        let found = aws.json(None, "sqs", "AmazonSQS.GetQueueAttributes", &input)?;
        let found = found["Attributes"][name].as_str();
        Ok(found.unwrap_or_default().to_owned())
    }

    fn visible(&self, aws: &Aws) -> Result<f64, String> {
        let count = self.attribute(aws, "ApproximateNumberOfMessages")?;
        Ok(count.parse().unwrap_or(0.0))
    }
}

fn get(aws: &Aws, path: &str) -> Result<Value, String> {
    let answer = aws.path(None, "lambda", Method::GET, path, "")?;
    serde_json::from_slice(&answer).map_err(|error| format!("{path}: {error}"))
}
