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

# The whole of it, wired. The package may be any file here: nothing is deployed.
variables {
  aws_region      = "eu-central-1"
  lambda_zip_path = "main.tf"
  alert_email     = "ops@example.com"
}

run "queue_is_the_default" {
  command = apply

  assert {
    condition     = output.upload_queue_url != null
    error_message = "The default way in is the queue."
  }
  assert {
    condition     = length(output.cloudwatch_alarms) + length(output.log_based_alarms) == 18 + 7
    error_message = "An alarm is missing, or new: 12 with 5 notices and pipeline-down, and 7 on the log."
  }
  assert {
    condition = alltrue([
      for name in [
        "high-error-rate", "high-duration", "throttles", "high-concurrency", "log-errors", "low-success-rate",
      ] : contains(keys(output.cloudwatch_alarms), name)
      ]) && alltrue([
      for name in [
        "timeout-errors", "memory-errors", "image-processing-errors", "s3-permission-errors", "critical-errors", "large-images",
      ] : contains(keys(output.log_based_alarms), name)
    ])
    error_message = "An alarm of the original system is missing."
  }
  assert {
    condition     = !contains(keys(output.cloudwatch_alarms), "no-invocations")
    error_message = "A quiet night is no alarm unless somebody asks for it."
  }
  assert {
    condition     = startswith(output.upload_bucket_name, "image-processor-dev-upload-") && length(output.processed_bucket_name) <= 63
    error_message = "The buckets' names are not as they should be."
  }
}

run "direct" {
  command = apply
  variables {
    ingest_mode = "direct"
  }

  assert {
    condition     = output.upload_queue_url == null && contains(keys(output.cloudwatch_alarms), "async-dropped") && !contains(keys(output.cloudwatch_alarms), "queue-age")
    error_message = "Direct mode has no queue, and alarms of its own."
  }
}

run "everything_by_choice" {
  command = apply
  variables {
    enable_kms                 = true
    enable_access_logs         = true
    enable_access_audit        = true
    enable_batch_operations    = true
    enable_no_invocation_alarm = true
    enable_tracing             = true
    alert_sms                  = "+4915112345678"
    alert_webhook_url          = "https://hooks.example.com/alerts"
    removals                   = "delete"
    upload_suffixes            = [".jpg", ".png"]
  }

  assert {
    condition     = contains(keys(output.log_based_alarms), "audit-upload-deletions") && contains(keys(output.cloudwatch_alarms), "no-invocations") && output.batch_operations_role_arn != null
    error_message = "What was asked for is not there."
  }
}

run "the_longest_names_fit" {
  command = plan
  variables {
    project_name = "a-project-name-of-28-letters"
    environment  = "production"
    aws_region   = "ap-southeast-1"
  }

  assert {
    condition     = length(output.lambda_function_name) <= 52 && length(output.processed_bucket_name) <= 63
    error_message = "A name is too long."
  }
}

run "the_same_bucket_twice_is_refused" {
  command = plan
  variables {
    upload_bucket_name    = "pictures"
    processed_bucket_name = "pictures"
  }
  expect_failures = [var.processed_bucket_name]
}

run "names_that_aws_would_refuse_are_refused" {
  command = plan
  variables {
    project_name = "Image_Processor"
    environment  = "a-very-long-environment"
  }
  expect_failures = [var.project_name, var.environment]
}

run "a_concurrency_threshold_that_could_never_be_exceeded_is_refused" {
  command = plan
  variables {
    maximum_concurrency             = 50
    concurrent_executions_threshold = 50
  }
  expect_failures = [var.concurrent_executions_threshold]
}

run "durations_beyond_the_timeout_are_refused" {
  command = plan
  variables {
    lambda_timeout = 30
  }
  expect_failures = [var.duration_threshold_ms, var.duration_p99_threshold_ms]
}

run "thresholds_of_nothing_are_refused" {
  command = plan
  variables {
    error_threshold        = 0
    success_rate_threshold = 101
  }
  expect_failures = [var.error_threshold, var.success_rate_threshold]
}

run "what_is_no_address_number_or_word_is_refused" {
  command = plan
  variables {
    alert_email       = "nobody"
    alert_sms         = "0151 12345678"
    alert_webhook_url = "http://hooks.example.com"
    ingest_mode       = "both"
    log_level         = "LOUD"
    architecture      = "x86-64"
    upload_prefix     = "/in"
  }
  expect_failures = [var.alert_email, var.alert_sms, var.alert_webhook_url, var.ingest_mode, var.log_level, var.architecture, var.upload_prefix]
}
