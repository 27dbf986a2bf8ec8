mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:topic" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:queue", id = "https://sqs.eu-central-1.amazonaws.com/123456789012/queue" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:name", version = "1" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:name:live" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:group" }
  }
}


variables {
  function_name    = "pictures-dev-processor"
  metric_namespace = "ImageProcessor/Lambda"
  topic_arns = {
    critical    = "arn:aws:sns:eu-central-1:123456789012:critical"
    performance = "arn:aws:sns:eu-central-1:123456789012:performance"
    logs        = "arn:aws:sns:eu-central-1:123456789012:logs"
  }
}

run "table" {
  module {
    source = "./tests/table"
  }
}

run "every_alarm_tells_its_channel" {
  module {
    source = "./modules/log_alerts"
  }
  variables {
    alarms   = [for alarm in run.table.alarms : alarm if alarm.module == "log_alerts"]
    switches = { enable_access_audit = true }
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => join(" ", alarm.alarm_actions) } == {
      "timeout-errors"          = var.topic_arns["critical"]
      "memory-errors"           = var.topic_arns["critical"]
      "image-processing-errors" = var.topic_arns["logs"]
      "s3-permission-errors"    = var.topic_arns["critical"]
      "critical-errors"         = var.topic_arns["critical"]
      "large-images"            = var.topic_arns["performance"]
      "failure-records"         = var.topic_arns["logs"]
      "audit-access-denied"     = var.topic_arns["critical"]
      "audit-upload-deletions"  = var.topic_arns["critical"]
    }
    error_message = "An alarm tells the wrong channel."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.ok_actions == alarm.alarm_actions && alarm.treat_missing_data == "notBreaching"])
    error_message = "An alarm does not tell its end, or takes silence for trouble."
  }
  assert {
    condition = alltrue([
      for name in ["timeout-errors", "memory-errors", "s3-permission-errors", "critical-errors", "audit-access-denied", "audit-upload-deletions"] :
      aws_cloudwatch_metric_alarm.this[name].comparison_operator == "GreaterThanOrEqualToThreshold" && aws_cloudwatch_metric_alarm.this[name].threshold == 1
    ])
    error_message = "A single event would pass unnoticed."
  }
  # The platform's lines have no field to make a dimension of: a namespace of the deployment's own keeps them apart.
  assert {
    condition = alltrue([
      for metric in flatten(aws_cloudwatch_metric_alarm.this["timeout-errors"].metric_query[*].metric) :
      (metric.namespace == "ImageProcessor/Lambda/pictures-dev-processor") == (metric.dimensions == null)
    ])
    error_message = "Two deployments in one account would mix."
  }
}

run "without_an_audit_no_alarms_on_it" {
  module {
    source = "./modules/log_alerts"
  }
  variables {
    alarms = [for alarm in run.table.alarms : alarm if alarm.module == "log_alerts"]
  }

  assert {
    condition     = !anytrue([for name in keys(aws_cloudwatch_metric_alarm.this) : startswith(name, "audit-")])
    error_message = "An alarm watches what is not there."
  }
}

run "bad_tables_are_refused" {
  command = plan
  module {
    source = "./modules/log_alerts"
  }
  variables {
    alarms = [for alarm in run.table.alarms : merge(alarm, { expression = null, actions = "notice" }) if alarm.module == "log_alerts"]
  }
  expect_failures = [var.alarms]
}
