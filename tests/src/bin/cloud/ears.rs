//! Who hears the topics.

use std::collections::BTreeMap;

use pixmill_tests::alarms::State;
use pixmill_tests::aws::Aws;
use pixmill_tests::cloud::Outputs;
use serde_json::{Value, json};

use super::Told;

/// The three channels, by the outputs that name their topics.
pub(super) const CHANNELS: [(&str, &str); 3] = [
    ("critical", "critical_alerts_topic_arn"),
    ("performance", "performance_alerts_topic_arn"),
    ("logs", "log_alerts_topic_arn"),
];

/// A queue on each topic, and what came by it so far.
pub(super) struct Ears {
    heard: BTreeMap<&'static str, Vec<Value>>,
}

impl Ears {
    pub(super) fn subscribe(aws: &Aws, outputs: &Outputs) -> Result<Self, String> {
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

    pub(super) fn unsubscribe(aws: &Aws) -> Told {
        for (channel, _) in CHANNELS {
            let queue = json!({ "QueueUrl": Self::url(aws, channel) });
            aws.json(None, "sqs", "AmazonSQS.DeleteQueue", &queue)?;
        }
        Ok(())
    }

    /// The message about this alarm's state on this channel, which must have come; it is heard once. On another
    /// channel it must not have come.
    pub(super) fn wait(
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
