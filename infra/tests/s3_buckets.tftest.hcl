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
  name    = "pictures-dev"
  account = { id = "123456789012", region = "eu-central-1", partition = "aws" }
}

run "two_buckets_closed_and_encrypted" {
  module {
    source = "./modules/s3_buckets"
  }

  assert {
    condition     = toset(keys(aws_s3_bucket.this)) == toset(["upload", "processed"])
    error_message = "Two buckets, unless more are asked for."
  }
  assert {
    condition = alltrue([
      for bucket in ["upload", "processed"] :
      aws_s3_bucket_public_access_block.this[bucket].block_public_acls && aws_s3_bucket_public_access_block.this[bucket].block_public_policy &&
      aws_s3_bucket_public_access_block.this[bucket].ignore_public_acls && aws_s3_bucket_public_access_block.this[bucket].restrict_public_buckets &&
      aws_s3_bucket_ownership_controls.this[bucket].rule[0].object_ownership == "BucketOwnerEnforced" &&
      aws_s3_bucket_versioning.this[bucket].versioning_configuration[0].status == "Enabled" &&
      one(one(aws_s3_bucket_server_side_encryption_configuration.this[bucket].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    ])
    error_message = "A bucket is open, or not encrypted, or has no versions."
  }
  assert {
    condition = alltrue([
      for document in data.aws_iam_policy_document.bucket :
      document.statement[0].effect == "Deny" && one(document.statement[0].condition).variable == "aws:SecureTransport"
    ])
    error_message = "A bucket takes requests without TLS."
  }
  assert {
    condition     = length(aws_kms_key.data) == 0 && length(aws_cloudtrail.audit) == 0 && !aws_s3_bucket.this["upload"].force_destroy
    error_message = "Something is there that nobody asked for."
  }
}

run "by_choice_a_key_logs_and_an_audit" {
  module {
    source = "./modules/s3_buckets"
  }
  variables {
    enable_kms          = true
    enable_access_logs  = true
    enable_access_audit = true
    enable_versioning   = false
    force_destroy       = true
  }

  assert {
    condition     = toset(keys(aws_s3_bucket.this)) == toset(["upload", "processed", "logs", "audit"]) && alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy])
    error_message = "A bucket is missing."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this["upload"].rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "The key is not used."
  }
  assert {
    condition     = contains(flatten([for statement in data.aws_iam_policy_document.key[0].statement : statement.actions if statement.sid == "UploadBucketMaySendToTheQueue"]), "kms:GenerateDataKey*")
    error_message = "S3 could not send to the encrypted queue."
  }
  assert {
    condition     = length(aws_s3_bucket_logging.this) == 2 && length(aws_cloudtrail.audit) == 1 && output.audit_log_group_name != null
    error_message = "Logs or audit are missing."
  }
  assert {
    condition     = !strcontains(jsonencode(aws_cloudtrail.audit[0].advanced_event_selector), "audit-")
    error_message = "The audit's own bucket is audited: each record would cause another."
  }
}

run "the_same_name_twice_is_refused" {
  command = plan
  module {
    source = "./modules/s3_buckets"
  }
  variables {
    upload_bucket_name    = "pictures"
    processed_bucket_name = "pictures"
  }
  expect_failures = [var.processed_bucket_name]
}

run "bad_names_and_days_are_refused" {
  command = plan
  module {
    source = "./modules/s3_buckets"
  }
  variables {
    name                    = "Pictures"
    upload_bucket_name      = "My Bucket"
    noncurrent_version_days = 0
    audit_retention_days    = 6
  }
  expect_failures = [var.name, var.upload_bucket_name, var.noncurrent_version_days, var.audit_retention_days]
}
