# Wiring only: what is made is in the modules, what is watched is in observability.json.

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = var.project_name
      Environment = var.environment
      ManagedBy   = "Terraform"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name          = "${var.project_name}-${var.environment}"
  function_name = "${local.name}-processor"

  account = {
    id        = data.aws_caller_identity.current.account_id
    region    = var.aws_region
    partition = data.aws_partition.current.partition
  }

  zip_path = coalesce(var.lambda_zip_path, "${path.root}/../target/lambda/${replace(var.architecture, "_", "-")}/bootstrap.zip")

  everybody = var.alert_email == "" ? [] : [var.alert_email]
  emails = {
    critical    = setunion(local.everybody, var.alert_emails.critical)
    performance = setunion(local.everybody, var.alert_emails.performance)
    logs        = setunion(local.everybody, var.alert_emails.logs)
  }

  observability = jsondecode(file("${path.module}/observability.json"))

  # By the names that observability.json calls them.
  switches = {
    enable_access_audit        = var.enable_access_audit
    enable_canary              = var.enable_canary
    enable_no_invocation_alarm = var.enable_no_invocation_alarm
  }
  thresholds = {
    error_threshold                 = var.error_threshold
    duration_threshold_ms           = var.duration_threshold_ms
    duration_p99_threshold_ms       = var.duration_p99_threshold_ms
    throttle_threshold              = var.throttle_threshold
    concurrent_executions_threshold = var.concurrent_executions_threshold
    log_error_threshold             = var.log_error_threshold
    success_rate_threshold          = var.success_rate_threshold
    min_success_threshold           = var.min_success_threshold
    queue_age_threshold_seconds     = var.queue_age_threshold_seconds
    cold_start_threshold_ms         = var.cold_start_threshold_ms
    timeout_error_threshold         = var.timeout_error_threshold
    memory_error_threshold          = var.memory_error_threshold
    image_error_threshold           = var.image_error_threshold
    permission_error_threshold      = var.permission_error_threshold
    critical_error_threshold        = var.critical_error_threshold
    large_image_threshold           = var.large_image_threshold
    failure_record_threshold        = var.failure_record_threshold
    audit_denied_threshold          = var.audit_denied_threshold
    audit_deletion_threshold        = var.audit_deletion_threshold
  }

  queue_names = merge(
    { dead_letters = module.lambda_function.dead_letter_queue_name },
    var.ingest_mode == "queue" ? { queue = module.lambda_function.queue_name } : {},
  )
}

module "sns_notifications" {
  source = "./modules/sns_notifications"

  name             = local.name
  account          = local.account
  emails           = local.emails
  sms              = var.alert_sms
  webhook_url      = var.alert_webhook_url
  webhook_channels = var.alert_webhook_channels
}

module "s3_buckets" {
  source = "./modules/s3_buckets"

  name                    = local.name
  account                 = local.account
  upload_bucket_name      = var.upload_bucket_name
  processed_bucket_name   = var.processed_bucket_name
  enable_versioning       = var.enable_s3_versioning
  noncurrent_version_days = var.noncurrent_version_days
  enable_kms              = var.enable_kms
  enable_access_logs      = var.enable_access_logs
  enable_access_audit     = var.enable_access_audit
  force_destroy           = var.force_destroy_buckets
}

module "lambda_function" {
  source = "./modules/lambda_function"

  function_name           = local.function_name
  account                 = local.account
  zip_path                = local.zip_path
  architecture            = var.architecture
  recipe_path             = var.recipe_path
  timeout                 = var.lambda_timeout
  memory_size             = var.lambda_memory_size
  log_level               = var.log_level
  log_retention_days      = var.log_retention_days
  metric_namespace        = var.metric_namespace
  upload_bucket           = module.s3_buckets.upload_bucket
  processed_bucket        = module.s3_buckets.processed_bucket
  upload_prefix           = var.upload_prefix
  processed_prefix        = var.processed_prefix
  upload_suffixes         = var.upload_suffixes
  removals                = var.removals
  ingest_mode             = var.ingest_mode
  ingest_enabled          = var.ingest_enabled
  maximum_concurrency     = var.maximum_concurrency
  reserved_concurrency    = var.reserved_concurrency
  max_receive_count       = var.max_receive_count
  enable_kms              = var.enable_kms
  kms_key_arn             = module.s3_buckets.kms_key_arn
  enable_tracing          = var.enable_tracing
  enable_batch_operations = var.enable_batch_operations
  enable_canary           = var.enable_canary
  canary_minutes          = var.canary_minutes
}

module "cloudwatch_metrics" {
  source = "./modules/cloudwatch_metrics"

  function_name        = local.function_name
  account              = local.account
  metric_namespace     = var.metric_namespace
  log_group_name       = module.lambda_function.log_group_name
  audit_log_group_name = module.s3_buckets.audit_log_group_name
  upload_bucket        = module.s3_buckets.upload_bucket
  canary_key           = module.lambda_function.canary_key
  queue_names          = local.queue_names
  ingest_mode          = var.ingest_mode
  enable_dashboard     = var.enable_cloudwatch_dashboard
  switches             = local.switches
  thresholds           = local.thresholds
  dimension_name       = local.observability.dimension_name
  filters              = local.observability.filters
  alarms               = local.observability.alarms
  dashboard            = local.observability.dashboard
  queries              = local.observability.queries
}

module "cloudwatch_alarms" {
  source = "./modules/cloudwatch_alarms"

  function_name    = local.function_name
  metric_namespace = var.metric_namespace
  queue_names      = local.queue_names
  ingest_mode      = var.ingest_mode
  ingest_enabled   = var.ingest_enabled
  topic_arns       = module.sns_notifications.topic_arns
  runbook_url      = var.runbook_url
  switches         = local.switches
  thresholds       = local.thresholds
  alarms           = [for alarm in local.observability.alarms : alarm if alarm.module == "cloudwatch_alarms"]
  composites       = local.observability.composites
}

module "log_alerts" {
  source = "./modules/log_alerts"

  function_name    = local.function_name
  metric_namespace = var.metric_namespace
  ingest_mode      = var.ingest_mode
  ingest_enabled   = var.ingest_enabled
  topic_arns       = module.sns_notifications.topic_arns
  runbook_url      = var.runbook_url
  switches         = local.switches
  thresholds       = local.thresholds
  alarms           = [for alarm in local.observability.alarms : alarm if alarm.module == "log_alerts"]
}
