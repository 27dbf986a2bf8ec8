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
  account          = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  log_group_name   = "/aws/lambda/pictures-dev-processor"
  upload_bucket    = "uploads"
  queue_names      = { queue = "uploads", dead_letters = "dead-letters" }
}

run "table" {
  module {
    source = "./tests/table"
  }
}

run "filters_dashboard_and_queries" {
  module {
    source = "./modules/cloudwatch_metrics"
  }
  variables {
    filters   = run.table.filters
    alarms    = run.table.alarms
    dashboard = run.table.dashboard
    queries   = run.table.queries
  }

  # The five metrics of the first system and the six of its source keep their names.
  assert {
    condition = length(setsubtract([
      "LambdaErrors", "ImageProcessingTime", "SuccessfulProcesses", "ImageSizeBytes", "S3AccessDenied", "TimeoutErrors", "MemoryErrors",
      "ImageProcessingErrors", "S3PermissionErrors", "CriticalErrors", "LargeImageWarnings",
    ], [for filter in aws_cloudwatch_log_metric_filter.this : filter.metric_transformation[0].name])) == 0
    error_message = "A metric has another name than it had."
  }
  assert {
    condition     = alltrue([for filter in aws_cloudwatch_log_metric_filter.this : filter.metric_transformation[0].default_value == null && filter.metric_transformation[0].unit != "None"])
    error_message = "A filter has a default value, or no unit."
  }
  assert {
    condition = alltrue([
      for filter in aws_cloudwatch_log_metric_filter.this :
      filter.metric_transformation[0].namespace == "ImageProcessor/Lambda/pictures-dev-processor" || lookup(coalesce(filter.metric_transformation[0].dimensions, {}), "FunctionName", "") == "$.function"
    ])
    error_message = "Two deployments in one account would mix."
  }
  assert {
    condition     = !anytrue([for name in keys(aws_cloudwatch_log_metric_filter.this) : startswith(name, "audit-")])
    error_message = "A filter reads a log that is not there."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets) >= 7
    error_message = "The dashboard lacks widgets."
  }
  # On a grid of 24 columns, no two over each other.
  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.x + widget.width <= 24 && contains(["metric", "log", "alarm"], widget.type)
    ]) && length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : "${widget.x}/${widget.y}"])) == length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets)
    error_message = "The dashboard's widgets lie over each other or are of no known type."
  }
  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, "\"p99\"") && strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, "45000") && strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, "alarm:pictures-dev-processor-dead-letters")
    error_message = "The dashboard lacks p99, thresholds or alarms."
  }
  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == length(run.table.queries)
    error_message = "A saved query is missing."
  }
}

run "by_choice_an_audit_and_no_dashboard" {
  module {
    source = "./modules/cloudwatch_metrics"
  }
  variables {
    filters              = run.table.filters
    alarms               = run.table.alarms
    dashboard            = run.table.dashboard
    queries              = run.table.queries
    enable_dashboard     = false
    switches             = { enable_access_audit = true }
    audit_log_group_name = "/aws/cloudtrail/pictures-dev-audit"
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0
    error_message = "There is a dashboard."
  }
  assert {
    condition     = strcontains(aws_cloudwatch_log_metric_filter.this["audit-upload-deletions"].pattern, "$.requestParameters.bucketName = \"uploads\"")
    error_message = "The audit's filter is not about the upload bucket."
  }
}

run "tables_that_would_mix_deployments_are_refused" {
  command = plan
  module {
    source = "./modules/cloudwatch_metrics"
  }
  variables {
    filters   = [for filter in run.table.filters : merge(filter, { dimension = null, value = "1 ms" })]
    dashboard = run.table.dashboard
    queries   = run.table.queries
  }
  expect_failures = [var.filters]
}
