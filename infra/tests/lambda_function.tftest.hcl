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
  account          = { id = "123456789012", region = "eu-central-1", partition = "aws" }
  zip_path         = "main.tf"
  upload_bucket    = "uploads"
  processed_bucket = "processed"
}

run "queue" {
  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = aws_sqs_queue.uploads[0].visibility_timeout_seconds >= 6 * aws_lambda_function.this.timeout
    error_message = "The visibility timeout is below six times the function's."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.uploads[0].batch_size == 1 && aws_lambda_event_source_mapping.uploads[0].function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One picture each, and what failed comes again by itself."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.uploads[0].function_name == aws_lambda_alias.live.arn
    error_message = "The queue goes past the alias."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.uploads[0].redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letters.arn
    error_message = "What is given up is not kept."
  }
  assert {
    condition     = length(aws_lambda_permission.uploads) == 0 && length(aws_lambda_function_event_invoke_config.uploads) == 0
    error_message = "S3 has no business with the function in queue mode."
  }
  assert {
    condition     = length(aws_s3_bucket_notification.uploads.queue) == 1 && length(aws_s3_bucket_notification.uploads.lambda_function) == 0
    error_message = "The bucket tells the queue, once."
  }
  assert {
    condition     = aws_lambda_function.this.publish && aws_lambda_alias.live.function_version == aws_lambda_function.this.version
    error_message = "The alias does not lead to the published version."
  }
  assert {
    condition     = aws_lambda_function.this.logging_config[0].log_format == "JSON" && aws_lambda_function.this.logging_config[0].application_log_level == "INFO" && aws_lambda_function.this.logging_config[0].system_log_level == "INFO"
    error_message = "Metrics are counted from JSON lines of level INFO."
  }
  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "New accounts refuse reserved concurrency."
  }
}

run "the_role_has_no_wildcards" {
  module {
    source = "./modules/lambda_function"
  }
  variables {
    enable_kms              = true
    kms_key_arn             = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    enable_tracing          = true
    enable_batch_operations = true
  }

  assert {
    condition = alltrue([
      for action in flatten([data.aws_iam_policy_document.function.statement[*].actions, data.aws_iam_policy_document.batch[0].statement[*].actions]) : !strcontains(action, "*")
    ])
    error_message = "An action has a wildcard."
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.function.statement :
      statement.sid == "Traces" || !contains(statement.resources, "*")
    ])
    error_message = "Only the trace actions, which know no resources, may have the resource *."
  }
  assert {
    condition = toset(flatten(data.aws_iam_policy_document.function.statement[*].actions)) == toset([
      "s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "logs:CreateLogStream", "logs:PutLogEvents",
      "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "kms:Decrypt", "kms:GenerateDataKey",
      "xray:PutTraceSegments", "xray:PutTelemetryRecords",
    ])
    error_message = "The role may do more, or less, than the function does."
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.function.statement :
      length(setintersection(statement.actions, ["s3:PutObject", "s3:DeleteObject"])) == 0 || alltrue([for resource in statement.resources : startswith(resource, "arn:aws:s3:::processed/")])
    ])
    error_message = "The function may change uploads."
  }
}

run "the_queue_takes_from_the_bucket_alone" {
  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = toset([for condition in data.aws_iam_policy_document.uploads[0].statement[0].condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"])
    error_message = "The queue's policy lacks the account's or the bucket's condition."
  }
}

run "prefixes_bound_the_role" {
  module {
    source = "./modules/lambda_function"
  }
  variables {
    upload_bucket    = "pictures"
    processed_bucket = "pictures"
    upload_prefix    = "in/"
    processed_prefix = "out/"
    upload_suffixes  = [".jpg", ".png"]
  }

  assert {
    condition     = data.aws_iam_policy_document.function.statement[0].resources == toset(["arn:aws:s3:::pictures/in/*"])
    error_message = "The role reads beyond the prefix."
  }
  assert {
    condition     = toset(aws_s3_bucket_notification.uploads.queue[*].filter_suffix) == toset([".jpg", ".png"]) && alltrue([for queue in aws_s3_bucket_notification.uploads.queue : queue.filter_prefix == "in/"])
    error_message = "The notifications are not filtered."
  }
}

run "direct" {
  module {
    source = "./modules/lambda_function"
  }
  variables {
    ingest_mode = "direct"
    removals    = "delete"
  }

  assert {
    condition     = length(aws_sqs_queue.uploads) == 0 && length(aws_lambda_event_source_mapping.uploads) == 0
    error_message = "There is a queue in direct mode."
  }
  assert {
    condition     = aws_lambda_permission.uploads[0].source_account == "123456789012" && aws_lambda_permission.uploads[0].source_arn == "arn:aws:s3:::uploads" && aws_lambda_permission.uploads[0].qualifier == "live"
    error_message = "The permission lacks the account, the bucket or the alias."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.uploads[0].destination_config[0].on_failure[0].destination == aws_sqs_queue.dead_letters.arn && aws_lambda_function_event_invoke_config.uploads[0].maximum_retry_attempts == 2
    error_message = "What is given up is not kept."
  }
  assert {
    condition     = toset(aws_s3_bucket_notification.uploads.lambda_function[0].events) == toset(["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    error_message = "Removals are not told of."
  }
  assert {
    condition     = contains(flatten(data.aws_iam_policy_document.function.statement[*].actions), "sqs:SendMessage") && !contains(flatten(data.aws_iam_policy_document.function.statement[*].actions), "sqs:ReceiveMessage")
    error_message = "The role is not that of direct mode."
  }
}

run "a_pause_rests_the_queue" {
  module {
    source = "./modules/lambda_function"
  }
  variables {
    ingest_enabled = false
  }

  assert {
    condition     = !aws_lambda_event_source_mapping.uploads[0].enabled && aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "The mapping goes on."
  }
}

run "a_pause_in_direct_mode_lets_lambda_keep_the_events" {
  module {
    source = "./modules/lambda_function"
  }
  variables {
    ingest_mode    = "direct"
    ingest_enabled = false
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 0
    error_message = "The function goes on."
  }
}

run "one_bucket_without_prefixes_is_refused" {
  command = plan
  module {
    source = "./modules/lambda_function"
  }
  variables {
    processed_bucket = "uploads"
  }
  expect_failures = [aws_lambda_function.this]
}

run "one_bucket_with_one_prefix_inside_the_other_is_refused" {
  command = plan
  module {
    source = "./modules/lambda_function"
  }
  variables {
    processed_bucket = "uploads"
    upload_prefix    = "in/"
    processed_prefix = "in/out/"
  }
  expect_failures = [aws_lambda_function.this]
}

run "settings_that_can_not_work_are_refused" {
  command = plan
  module {
    source = "./modules/lambda_function"
  }
  variables {
    zip_path             = "nowhere.zip"
    recipe_path          = "s3://bucket/recipe.toml"
    timeout              = 901
    memory_size          = 64
    maximum_concurrency  = 10
    reserved_concurrency = 5
    log_retention_days   = 6
    metric_namespace     = "AWS/Lambda"
  }
  expect_failures = [var.zip_path, var.recipe_path, var.timeout, var.memory_size, var.reserved_concurrency, var.log_retention_days, var.metric_namespace]
}

run "by_choice_a_canary_that_the_bucket_tells_of" {
  module {
    source = "./modules/lambda_function"
  }

  variables {
    upload_prefix    = "in/"
    processed_prefix = "out/"
    upload_suffixes  = [".png", ".jpg"]
    enable_canary    = true
    canary_minutes   = 10
  }

  assert {
    condition     = aws_scheduler_schedule.canary[0].schedule_expression == "rate(10 minutes)"
    error_message = "The schedule is not the variable's."
  }
  assert {
    condition = jsondecode(aws_scheduler_schedule.canary[0].target[0].input) == {
      Bucket           = "uploads"
      Key              = "in/canary/canary.jpg"
      CopySource       = "processed/out/canary-source.png"
      TaggingDirective = "REPLACE"
    }
    error_message = "The canary is not copied to where the bucket tells of it."
  }
  assert {
    condition     = output.canary_key == "in/canary/canary.jpg" && aws_s3_object.canary[0].key == "out/canary-source.png"
    error_message = "The canary's keys are not told."
  }
}

run "without_being_asked_for_there_is_no_canary" {
  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = length(aws_scheduler_schedule.canary) + length(aws_iam_role.canary) + length(aws_s3_object.canary) == 0
    error_message = "Something of the canary is there."
  }
}
