locals {
  prefix_arn   = "arn:${var.account.partition}"
  here         = "${var.account.region}:${var.account.id}"
  function_arn = "${local.prefix_arn}:lambda:${local.here}:function:${var.function_name}"
  upload_arn   = "${local.prefix_arn}:s3:::${var.upload_bucket}"
  output_arn   = "${local.prefix_arn}:s3:::${var.processed_bucket}"
  queue_name   = "${var.function_name}-uploads"
  dead_name    = "${var.function_name}-dead-letters"
  queue_arn    = "${local.prefix_arn}:sqs:${local.here}:${local.queue_name}"
  dead_arn     = "${local.prefix_arn}:sqs:${local.here}:${local.dead_name}"

  queued = var.ingest_mode == "queue"
  alias  = "live"

  # The function's settings; empty ones stay out, because all of them together may have 4 KB.
  environment = {
    for name, value in {
      UPLOAD_BUCKET    = var.upload_bucket
      PROCESSED_BUCKET = var.processed_bucket
      UPLOAD_PREFIX    = var.upload_prefix
      PROCESSED_PREFIX = var.processed_prefix
      RECIPE           = var.recipe_path
      REMOVALS         = var.removals
      LOG_LEVEL        = var.log_level
      METRIC_NAMESPACE = var.metric_namespace
    } : name => value if value != ""
  }

  events = concat(["s3:ObjectCreated:*"], var.removals == "delete" ? ["s3:ObjectRemoved:*"] : [])

  # A key that the bucket tells of, whatever prefix and suffixes say; what it is is seen from its content.
  canary_key    = "${var.upload_prefix}canary/canary${length(var.upload_suffixes) == 0 ? ".png" : sort(var.upload_suffixes)[0]}"
  canary_source = "${var.processed_prefix}canary-source.png"

  # One notification for each suffix; without any, one for everything below the prefix.
  suffixes = length(var.upload_suffixes) == 0 ? [""] : sort(var.upload_suffixes)
}

# Before the function, or Lambda makes one itself that keeps everything for ever.
resource "aws_cloudwatch_log_group" "function" {
  # checkov:skip=CKV_AWS_158: Encrypted with our key where enable_kms says so, and by CloudWatch itself in any case
  # checkov:skip=CKV_AWS_338: How long is for the operator to say (log_retention_days): the lines hold object names
  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = var.function_name
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

# No PutMetricData: metrics are lines in the log. No sns:Publish: alarms tell people.
data "aws_iam_policy_document" "function" {
  # checkov:skip=CKV_AWS_356: Only the two X-Ray actions have the resource *: they know no other
  # checkov:skip=CKV_AWS_111: The same
  statement {
    sid       = "ReadsUploads"
    actions   = ["s3:GetObject"]
    resources = ["${local.upload_arn}/${var.upload_prefix}*"]
  }

  # Without it S3 says "denied" of what isn't there, and a vanished upload looks like a fault.
  statement {
    sid       = "TellsAVanishedObjectFromADeniedOne"
    actions   = ["s3:ListBucket"]
    resources = [local.upload_arn, local.output_arn]
  }

  # Writing on a condition needs GetObject too.
  statement {
    sid       = "KeepsRenditionsManifestsAndRecords"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.output_arn}/${var.processed_prefix}*"]
  }

  statement {
    sid       = "WritesItsLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.prefix_arn}:logs:${local.here}:log-group:/aws/lambda/${var.function_name}:log-stream:*"]
  }

  dynamic "statement" {
    for_each = local.queued ? [1] : []

    content {
      sid       = "TakesFromItsQueue"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      resources = [local.queue_arn]
    }
  }

  dynamic "statement" {
    for_each = local.queued ? [] : [1]

    content {
      sid       = "KeepsEventsThatWereGivenUp"
      actions   = ["sqs:SendMessage"]
      resources = [local.dead_arn]
    }
  }

  dynamic "statement" {
    for_each = var.enable_kms ? [1] : []

    content {
      sid       = "UsesTheKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }

  dynamic "statement" {
    for_each = var.enable_tracing ? [1] : []

    content {
      sid       = "Traces"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "function"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_117: It reaches S3 and nothing else; a network of its own would only add a NAT gateway's bill
  # checkov:skip=CKV_AWS_115: Reserved concurrency is by choice: new accounts have too little to reserve any, and the queue bounds it
  # checkov:skip=CKV_AWS_116: Given up events go to the dead-letter queue by the queue's redrive or by the failure destination
  # checkov:skip=CKV_AWS_272: The package is deployed by its hash from the tree; signing is for who distributes it
  # checkov:skip=CKV_AWS_50: Tracing is by choice (enable_tracing)
  # checkov:skip=CKV_AWS_173: No secret is in the environment; encrypted with our key where enable_kms says so
  function_name = var.function_name
  description   = "Makes every rendition of an upload (Pixmill)"
  role          = aws_iam_role.function.arn

  filename         = var.zip_path
  source_code_hash = filebase64sha256(var.zip_path)
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  architectures    = [var.architecture]

  timeout     = var.timeout
  memory_size = var.memory_size
  kms_key_arn = var.kms_key_arn

  # Events that S3 sends directly can only be held back here: Lambda keeps them for six hours.
  reserved_concurrent_executions = !local.queued && !var.ingest_enabled ? 0 : coalesce(var.reserved_concurrency, -1)

  # Each deploy is a version of its own, so that the alias can go back to code, recipe and settings together.
  publish = true

  environment {
    variables = local.environment
  }

  # INFO and no higher: metrics are counted from lines of that level, whatever LOG_LEVEL says.
  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.function.name
  }

  tracing_config {
    mode = var.enable_tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      condition     = var.upload_bucket != var.processed_bucket || (var.upload_prefix != "" && var.processed_prefix != "" && !startswith(var.upload_prefix, var.processed_prefix) && !startswith(var.processed_prefix, var.upload_prefix))
      error_message = "Uploads and renditions share a bucket without prefixes that keep them apart: the function would process its own output."
    }
  }

  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_alias" "live" {
  name             = local.alias
  description      = "What uploads are processed by"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

# ---- The dead-letter queue: both ways in end here --------------------------------------------

resource "aws_sqs_queue" "dead_letters" {
  # checkov:skip=CKV_AWS_27: Encrypted with SQS's own key, or with ours where enable_kms says so
  name                      = local.dead_name
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.enable_kms ? null : true
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  count = local.queued ? 1 : 0

  queue_url = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.uploads[0].arn]
  })
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "NothingUnencryptedOnTheWay"
    effect    = "Deny"
    actions   = ["sqs:SendMessage", "sqs:ReceiveMessage"]
    resources = [local.dead_arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}

# ---- The way in: by a queue -------------------------------------------------------------------

resource "aws_sqs_queue" "uploads" {
  # checkov:skip=CKV_AWS_27: Encrypted with SQS's own key, or with ours where enable_kms says so
  count = local.queued ? 1 : 0

  name = local.queue_name
  # Six times the timeout, as AWS asks: room for retries while the function is throttled.
  visibility_timeout_seconds = 6 * var.timeout
  message_retention_seconds  = var.queue_retention_seconds
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = var.enable_kms ? null : true
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })
}

data "aws_iam_policy_document" "uploads" {
  count = local.queued ? 1 : 0

  statement {
    sid       = "OnlyTheUploadBucketSends"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arn]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.upload_arn]
    }
  }

  statement {
    sid       = "NothingUnencryptedOnTheWay"
    effect    = "Deny"
    actions   = ["sqs:SendMessage", "sqs:ReceiveMessage"]
    resources = [local.queue_arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "uploads" {
  count = local.queued ? 1 : 0

  queue_url = aws_sqs_queue.uploads[0].id
  policy    = data.aws_iam_policy_document.uploads[0].json
}

resource "aws_lambda_event_source_mapping" "uploads" {
  count = local.queued ? 1 : 0

  event_source_arn = aws_sqs_queue.uploads[0].arn
  function_name    = aws_lambda_alias.live.arn
  enabled          = var.ingest_enabled
  # One picture each: a timeout or a kill gives a whole batch back.
  batch_size              = 1
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.maximum_concurrency
  }
}

# ---- The way in: directly ---------------------------------------------------------------------

resource "aws_lambda_permission" "uploads" {
  count = local.queued ? 0 : 1

  statement_id   = "UploadBucketInvokes"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this.function_name
  qualifier      = aws_lambda_alias.live.name
  principal      = "s3.amazonaws.com"
  source_arn     = local.upload_arn
  source_account = var.account.id
}

resource "aws_lambda_function_event_invoke_config" "uploads" {
  count = local.queued ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_retry_attempts       = var.direct_retries
  maximum_event_age_in_seconds = var.direct_event_age_seconds

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }

  depends_on = [aws_iam_role_policy.function]
}

# ---- The bucket tells ---------------------------------------------------------------------------

resource "aws_s3_bucket_notification" "uploads" {
  bucket = var.upload_bucket

  dynamic "queue" {
    for_each = local.queued ? local.suffixes : []

    content {
      id            = "uploads-${queue.key}"
      queue_arn     = aws_sqs_queue.uploads[0].arn
      events        = local.events
      filter_prefix = var.upload_prefix == "" ? null : var.upload_prefix
      filter_suffix = queue.value == "" ? null : queue.value
    }
  }

  dynamic "lambda_function" {
    for_each = local.queued ? [] : local.suffixes

    content {
      id                  = "uploads-${lambda_function.key}"
      lambda_function_arn = aws_lambda_alias.live.arn
      events              = local.events
      filter_prefix       = var.upload_prefix == "" ? null : var.upload_prefix
      filter_suffix       = lambda_function.value == "" ? null : lambda_function.value
    }
  }

  # S3 tries out whether it may send before it takes the setting.
  depends_on = [aws_sqs_queue_policy.uploads, aws_lambda_permission.uploads]
}

# ---- The canary: an upload that must come through, every few minutes ------------------------------

# Where nothing is told of: the schedule copies it into the upload bucket.
resource "aws_s3_object" "canary" {
  # checkov:skip=CKV_AWS_186: Encrypted as its bucket is, with our key where enable_kms says so
  count = var.enable_canary ? 1 : 0

  bucket       = var.processed_bucket
  key          = local.canary_source
  source       = "${path.module}/canary.png"
  source_hash  = filemd5("${path.module}/canary.png")
  content_type = "image/png"
}

data "aws_iam_policy_document" "canary_trust" {
  count = var.enable_canary ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }
}

data "aws_iam_policy_document" "canary" {
  count = var.enable_canary ? 1 : 0

  statement {
    sid       = "TakesTheCanary"
    actions   = ["s3:GetObject"]
    resources = ["${local.output_arn}/${local.canary_source}"]
  }

  statement {
    sid       = "UploadsIt"
    actions   = ["s3:PutObject"]
    resources = ["${local.upload_arn}/${local.canary_key}"]
  }

  dynamic "statement" {
    for_each = var.enable_kms ? [1] : []

    content {
      sid       = "UsesTheKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
}

resource "aws_iam_role" "canary" {
  count = var.enable_canary ? 1 : 0

  name               = "${var.function_name}-canary"
  assume_role_policy = data.aws_iam_policy_document.canary_trust[0].json
}

resource "aws_iam_role_policy" "canary" {
  count = var.enable_canary ? 1 : 0

  name   = "canary"
  role   = aws_iam_role.canary[0].id
  policy = data.aws_iam_policy_document.canary[0].json
}

resource "aws_scheduler_schedule" "canary" {
  # checkov:skip=CKV_AWS_297: Its input names two objects and holds no secret
  count = var.enable_canary ? 1 : 0

  name                = "${var.function_name}-canary"
  description         = "Uploads a picture that must come through (Pixmill)"
  schedule_expression = "rate(${var.canary_minutes} minutes)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "${local.prefix_arn}:scheduler:::aws-sdk:s3:copyObject"
    role_arn = aws_iam_role.canary[0].arn
    # The source's tags stay behind: copying them takes rights of its own.
    input = jsonencode({
      Bucket           = var.upload_bucket
      Key              = local.canary_key
      CopySource       = "${var.processed_bucket}/${local.canary_source}"
      TaggingDirective = "REPLACE"
    })

    retry_policy {
      maximum_event_age_in_seconds = 300
      maximum_retry_attempts       = 3
    }
  }

  depends_on = [aws_s3_object.canary, aws_iam_role_policy.canary, aws_s3_bucket_notification.uploads]
}

# ---- S3 Batch Operations: what lies there already, again ----------------------------------------

data "aws_iam_policy_document" "batch_trust" {
  count = var.enable_batch_operations ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["batchoperations.s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }
}

data "aws_iam_policy_document" "batch" {
  count = var.enable_batch_operations ? 1 : 0

  statement {
    sid       = "InvokesTheFunction"
    actions   = ["lambda:InvokeFunction"]
    resources = ["${local.function_arn}:${local.alias}"]
  }

  statement {
    sid       = "ReadsTheListAndWritesTheReport"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.output_arn}/${var.batch_prefix}*"]
  }

  dynamic "statement" {
    for_each = var.enable_kms ? [1] : []

    content {
      sid       = "UsesTheKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
}

resource "aws_iam_role" "batch" {
  count = var.enable_batch_operations ? 1 : 0

  name               = "${var.function_name}-batch"
  assume_role_policy = data.aws_iam_policy_document.batch_trust[0].json
}

resource "aws_iam_role_policy" "batch" {
  count = var.enable_batch_operations ? 1 : 0

  name   = "batch"
  role   = aws_iam_role.batch[0].id
  policy = data.aws_iam_policy_document.batch[0].json
}
