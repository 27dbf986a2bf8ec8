//! What lies in the account.

use std::collections::BTreeMap;

use axum::http::Method;
use futures_util::StreamExt;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_tests::aws::{Aws, in_tags};
use pixmill_tests::cloud::{Cloud, Outputs};
use serde_json::{Value, json};

use super::Told;

/// The function's lines about an object that tell its outcome, as they are in the log at moto.
pub(super) fn lines(cloud: &Cloud, outputs: &Outputs, key: &str) -> Result<Vec<Value>, String> {
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

pub(super) fn upload(aws: &Aws, outputs: &Outputs, key: &str, bytes: &[u8]) -> Told {
    let store = bucket(aws, outputs.text("upload_bucket_name"));
    let blob = Blob {
        bytes: bytes.to_vec().into(),
        content_type: "image/jpeg".to_owned(),
        ..Default::default()
    };
    let put = store.put(key, blob, Condition::Always);
    let put = aws.runtime().block_on(put);
    put.map(|_| ())
        .map_err(|error| format!("upload of {key}: {error}"))
}

fn bucket(aws: &Aws, name: &str) -> S3Store {
    let config = aws.runtime().block_on(load_at(aws.url(), "test", "test"));
    S3Store::new(s3_client(&config), name, "")
}

/// Every object of the processed bucket.
pub(super) fn made(aws: &Aws, outputs: &Outputs) -> Result<BTreeMap<String, Vec<u8>>, String> {
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
pub(super) fn metric_sum(cloud: &Cloud, outputs: &Outputs, metric: &str) -> Result<f64, String> {
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
pub(super) fn left(aws: &Aws) -> Result<BTreeMap<&'static str, usize>, String> {
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
