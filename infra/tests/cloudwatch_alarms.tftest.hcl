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

# The real table, through a small module that reads it: a test file can't read files itself.

variables {
  function_name    = "pictures-dev-processor"
  metric_namespace = "ImageProcessor/Lambda"
  topic_arns = {
    critical    = "arn:aws:sns:eu-central-1:123456789012:critical"
    performance = "arn:aws:sns:eu-central-1:123456789012:performance"
    logs        = "arn:aws:sns:eu-central-1:123456789012:logs"
  }
  queue_names = { queue = "uploads", dead_letters = "dead-letters" }
}

run "table" {
  module {
    source = "./tests/table"
  }

  # Every metric that an alarm or the dashboard speaks of is emitted: by a filter, by the code, or by AWS; with
  # the dimension that it is emitted with.
  assert {
    condition     = length(output.unknown_series) == 0
    error_message = "Nothing emits: ${join(", ", output.unknown_series)}"
  }
  assert {
    condition     = length(output.unused_metrics) == 0
    error_message = "Nobody looks at: ${join(", ", output.unused_metrics)}"
  }
  assert {
    condition     = alltrue([for alarm in output.alarms : contains(["breaching", "notBreaching"], alarm.missing)])
    error_message = "An alarm does not say what missing data mean."
  }
  assert {
    condition     = alltrue([for alarm in output.alarms : alarm.ok_notice])
    error_message = "An alarm does not tell its end."
  }
  assert {
    condition     = alltrue([for alarm in output.alarms : contains(output.channels, alarm.channel)])
    error_message = "An alarm's channel is none."
  }
  assert {
    condition     = alltrue([for alarm in output.alarms : alarm.severity != "critical" || alarm.channel == "critical"])
    error_message = "A critical problem is told elsewhere."
  }
  assert {
    condition     = alltrue([for alarm in output.alarms : alarm.runbook == alarm.name])
    error_message = "An alarm's section of the runbook is not called by its name."
  }
  assert {
    condition     = length(output.missing_runbook_sections) == 0
    error_message = "The runbook has no section for: ${join(", ", output.missing_runbook_sections)}"
  }
  assert {
    condition     = length(output.unused_variables) == 0 && length(output.wrong_defaults) == 0
    error_message = "Thresholds differ from their variables' defaults: ${join(", ", concat(output.unused_variables, output.wrong_defaults))}"
  }
  assert {
    condition     = length(output.unwired) == 0
    error_message = "A variable does nothing: ${join(", ", output.unwired)}"
  }
  assert {
    condition     = output.names_twice == 0
    error_message = "A name is there twice for one ingest mode."
  }
  assert {
    condition     = length(output.unknown_parts) == 0
    error_message = "A composite or the dashboard speaks of alarms that are not there: ${join(", ", output.unknown_parts)}"
  }
  assert {
    condition     = length(output.silent_alarms) == 0
    error_message = "No composite speaks for: ${join(", ", output.silent_alarms)}"
  }
}

run "queue" {
  module {
    source = "./modules/cloudwatch_alarms"
  }
  variables {
    alarms     = [for alarm in run.table.alarms : alarm if alarm.module == "cloudwatch_alarms"]
    composites = run.table.composites
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => join(" ", alarm.alarm_actions) } == {
      "high-error-rate"   = ""
      "high-duration"     = var.topic_arns["performance"]
      "high-duration-p99" = var.topic_arns["performance"]
      "throttles"         = ""
      "high-concurrency"  = var.topic_arns["performance"]
      "log-errors"        = var.topic_arns["logs"]
      "low-success-rate"  = ""
      "low-success-count" = ""
      "silent-stop"       = ""
      "dead-letters"      = var.topic_arns["critical"]
      "queue-age"         = ""
      "cold-start"        = var.topic_arns["performance"]
    }
    error_message = "An alarm tells the wrong channel."
  }
  assert {
    condition = { for name, alarm in aws_cloudwatch_composite_alarm.notice : name => join(" ", alarm.alarm_actions) } == {
      "high-error-rate"   = var.topic_arns["critical"]
      "throttles"         = var.topic_arns["critical"]
      "low-success-rate"  = var.topic_arns["performance"]
      "low-success-count" = var.topic_arns["performance"]
      "queue-age"         = var.topic_arns["performance"]
    }
    error_message = "A notice tells the wrong channel."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.ok_actions == alarm.alarm_actions]) && alltrue([for alarm in aws_cloudwatch_composite_alarm.notice : alarm.ok_actions == alarm.alarm_actions])
    error_message = "The end of an alarm is not told where its beginning was."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_composite_alarm.notice : alarm.actions_suppressor[0].alarm == "pictures-dev-processor-pipeline-down"])
    error_message = "A notice is not held back."
  }
  assert {
    condition     = aws_cloudwatch_composite_alarm.this["pipeline-down"].alarm_rule == "ALARM(\"pictures-dev-processor-silent-stop\") OR (ALARM(\"pictures-dev-processor-high-error-rate\") AND ALARM(\"pictures-dev-processor-low-success-count\"))"
    error_message = "The composite's rule is not what the table says."
  }
  assert {
    condition     = join(" ", aws_cloudwatch_composite_alarm.this["pipeline-down"].alarm_actions) == var.topic_arns["critical"]
    error_message = "That nothing gets through is critical."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains(["breaching", "notBreaching"], alarm.treat_missing_data)])
    error_message = "An alarm does not say what missing data mean."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["high-duration-p99"].extended_statistic == "p99" && aws_cloudwatch_metric_alarm.this["high-duration"].statistic == "Average"
    error_message = "A statistic is not what the table says."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_description) <= 1024 && strcontains(alarm.alarm_description, "Runbook: docs/runbook.md#")])
    error_message = "An alarm's description is too long or leads nowhere."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["dead-letters"].dimensions["QueueName"] == "dead-letters"
    error_message = "The dead letters' alarm looks at another queue."
  }
}

run "direct" {
  module {
    source = "./modules/cloudwatch_alarms"
  }
  variables {
    alarms      = [for alarm in run.table.alarms : alarm if alarm.module == "cloudwatch_alarms"]
    composites  = run.table.composites
    ingest_mode = "direct"
    queue_names = { dead_letters = "dead-letters" }
    switches    = { enable_no_invocation_alarm = true }
  }

  assert {
    condition     = length(setintersection(keys(aws_cloudwatch_metric_alarm.this), ["async-dropped", "destination-failures", "event-age", "no-invocations"])) == 4 && !contains(keys(aws_cloudwatch_metric_alarm.this), "queue-age")
    error_message = "The alarms are not those of direct mode."
  }
  assert {
    condition     = [for metric in flatten(aws_cloudwatch_metric_alarm.this["high-error-rate"].metric_query[*].metric) : metric.metric_name] == ["Errors"]
    error_message = "In direct mode a failed picture is a failed invocation: adding the two would count it twice."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-invocations"].treat_missing_data == "breaching"
    error_message = "Silence has no data."
  }
}

run "a_pause_is_no_alarm" {
  module {
    source = "./modules/cloudwatch_alarms"
  }
  variables {
    alarms         = [for alarm in run.table.alarms : alarm if alarm.module == "cloudwatch_alarms"]
    composites     = run.table.composites
    ingest_enabled = false
  }

  assert {
    condition     = !aws_cloudwatch_metric_alarm.this["silent-stop"].actions_enabled && !aws_cloudwatch_composite_alarm.this["pipeline-down"].actions_enabled && !aws_cloudwatch_composite_alarm.notice["queue-age"].actions_enabled && aws_cloudwatch_metric_alarm.this["dead-letters"].actions_enabled
    error_message = "A pause sets off alarms, or mutes what it should not."
  }
}

run "thresholds_by_variables" {
  module {
    source = "./modules/cloudwatch_alarms"
  }
  variables {
    alarms     = [for alarm in run.table.alarms : alarm if alarm.module == "cloudwatch_alarms"]
    composites = run.table.composites
    thresholds = { throttle_threshold = 7 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["throttles"].threshold == 7 && aws_cloudwatch_metric_alarm.this["high-duration"].threshold == 45000
    error_message = "A threshold is not overridden, or others are."
  }
}

run "bad_tables_are_refused" {
  command = plan
  module {
    source = "./modules/cloudwatch_alarms"
  }
  variables {
    alarms     = [for alarm in run.table.alarms : merge(alarm, { missing = "ignore", channel = "pager", datapoints = 9, actions = "some" }) if alarm.module == "cloudwatch_alarms"]
    composites = []
    thresholds = { error_threshold = 0 }
    topic_arns = { critical = "arn:aws:sns:eu-central-1:123456789012:critical" }
  }
  expect_failures = [var.alarms, var.composites, var.thresholds, var.topic_arns]
}
