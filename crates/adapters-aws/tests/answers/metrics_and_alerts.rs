//! What CloudWatch and SNS are asked, and what is said when they refuse.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::network::{Answer, Network};
use pixmill::alert::{Alert, Channel};
use pixmill::outcome::Outcome;
use pixmill::ports::{AlertSink, MetricSink};
use pixmill::signal::{Finished, Signal};
use pixmill_aws::{CloudWatchMetrics, NAMESPACE, SnsAlerts, Topics, cloudwatch_client, sns_client};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_030)
}

async fn metrics(network: &Network) -> CloudWatchMetrics {
    let client = cloudwatch_client(&network.config().await);
    CloudWatchMetrics::new(client, NAMESPACE, "mill").with_clock(noon)
}

fn record(metrics: &CloudWatchMetrics, outcome: &Outcome, micros: u64) {
    metrics.record(&Signal::Finished(Finished {
        source: "cat.png",
        outcome,
        image_size: None,
        written_bytes: 0,
        processing_time: Duration::from_micros(micros),
        stages: &[],
    }));
}

fn done() -> Answer {
    Answer::status(200)
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .body([0xa0])
}

fn refused() -> Answer {
    // CBOR: {"__type": "LimitExceeded", "message": "No."}
    let mut body = vec![0xa2, 0x66];
    body.extend(b"__type");
    body.push(0x6d);
    body.extend(b"LimitExceeded");
    body.push(0x67);
    body.extend(b"message");
    body.push(0x63);
    body.extend(b"No.");
    Answer::status(400)
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .body(body)
}

fn count_of(haystack: &[u8], needle: &str) -> usize {
    haystack
        .windows(needle.len())
        .filter(|window| *window == needle.as_bytes())
        .count()
}

#[tokio::test]
async fn nothing_recorded_is_nothing_sent() {
    let network = Network::answering([done()]);
    let metrics = metrics(&network).await;
    record(&metrics, &Outcome::Stale, 1);
    metrics.flush().await.expect("nothing to send");
    assert!(network.asked().is_empty());
}

#[tokio::test]
async fn figures_are_sent_once_and_together() {
    let network = Network::answering([done()]);
    let metrics = metrics(&network).await;
    for micros in [1500, 1500, 2500] {
        record(&metrics, &Outcome::Unchanged, micros);
    }
    metrics.flush().await.expect("a flush");
    metrics.flush().await.expect("nothing is left");
    let asked = network.asked();
    assert_eq!(asked.len(), 1);
    for name in [
        "ProcessingTime",
        "ImagesProcessed",
        "ProcessingSuccess",
        "ProcessingFailure",
    ] {
        assert_eq!(count_of(&asked[0].body, name), 1, "{name}");
    }
    assert_eq!(count_of(&asked[0].body, "ImageProcessor/Lambda"), 1);
    assert_eq!(count_of(&asked[0].body, "FunctionName"), 4);
}

#[tokio::test]
async fn many_different_figures_are_split_at_the_limits_of_the_service() {
    let network = Network::answering([done()]);
    let metrics = metrics(&network).await;
    for micros in 0..60_000 {
        record(&metrics, &Outcome::Unchanged, micros);
    }
    metrics.flush().await.expect("a flush");
    let asked = network.asked();
    // 60,000 times in data of 150, and three counts.
    let data: usize = asked
        .iter()
        .map(|call| count_of(&call.body, "FunctionName"))
        .sum();
    assert_eq!(data, 403);
    assert!(asked.len() > 1);
    for call in &asked {
        assert!(call.body.len() < 1_000_000, "{} bytes", call.body.len());
    }
}

#[tokio::test]
async fn what_was_not_delivered_is_said_and_not_sent_again() {
    let network = Network::answering([refused(), done()]);
    let metrics = metrics(&network).await;
    record(&metrics, &Outcome::Unchanged, 1000);
    let error = metrics.flush().await.expect_err("refused");
    let words = error.to_string();
    assert!(
        words.starts_with("4 of 4 metric data were not delivered to CloudWatch: PutMetricData: "),
        "{words}"
    );
    assert!(words.contains("LimitExceeded: No."), "{words}");
    metrics.flush().await.expect("nothing is left");
}

#[tokio::test]
async fn figures_beyond_what_is_kept_are_dropped_and_counted() {
    let network = Network::answering([done()]);
    let metrics = metrics(&network).await;
    for _ in 0..100_002 {
        record(&metrics, &Outcome::Unchanged, 1000);
    }
    let error = metrics.flush().await.expect_err("two were dropped");
    let words = error.to_string();
    assert!(
        words.starts_with("the figures of 2 jobs were dropped"),
        "{words}"
    );
}

async fn alerts(network: &Network) -> SnsAlerts {
    let topic = |name: &str| format!("arn:aws:sns:us-east-1:123456789012:{name}");
    let topics = Topics {
        critical: topic("critical"),
        performance: topic("performance"),
        logs: topic("logs"),
    };
    SnsAlerts::new(sns_client(&network.config().await), topics)
}

fn alert(channel: Channel) -> Alert {
    Alert {
        channel,
        subject: "1 of 2 pictures was not made".to_owned(),
        body: "first line\nsecond line".to_owned(),
    }
}

#[tokio::test]
async fn each_channel_has_its_topic() {
    let answer = Answer::status(200).body(
        "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>",
    );
    for channel in [Channel::Critical, Channel::Performance, Channel::Logs] {
        let network = Network::answering([answer.clone()]);
        let sent = alerts(&network).await.send(&alert(channel)).await;
        sent.expect("it was sent");
        let asked = network.asked();
        let form = String::from_utf8_lossy(&asked[0].body).into_owned();
        let word = channel.word();
        for part in [
            format!("TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3A{word}&"),
            "Subject=1%20of%202%20pictures%20was%20not%20made".to_owned(),
            "Message=first%20line%0Asecond%20line".to_owned(),
            format!("StringValue={word}"),
        ] {
            assert!(form.contains(&part), "{part} in {form}");
        }
    }
}

#[tokio::test]
async fn an_alert_that_reaches_nobody_says_why() {
    let refused = Answer::status(403).body(
        "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code>\
         <Message>Not you.</Message></Error><RequestId>r-1</RequestId></ErrorResponse>",
    );
    let network = Network::answering([refused]);
    let error = alerts(&network).await.send(&alert(Channel::Logs)).await;
    let words = error.expect_err("refused").to_string();
    assert!(
        words.starts_with(
            "nobody was told on the channel logs (arn:aws:sns:us-east-1:123456789012:logs): \
             SNS Publish: AuthorizationError: Not you."
        ),
        "{words}"
    );
}
