locals {
  # S3's names are unique in the world: the account and the region go in as a hash, so that names stay short.
  suffix = substr(sha256("${var.account.id}/${var.account.region}"), 0, 10)

  names = {
    upload    = coalesce(var.upload_bucket_name, "${var.name}-upload-${local.suffix}")
    processed = coalesce(var.processed_bucket_name, "${var.name}-processed-${local.suffix}")
    logs      = "${var.name}-access-logs-${local.suffix}"
    audit     = "${var.name}-audit-${local.suffix}"
  }

  # The buckets that there are. `expire_days`: everything in it goes after so many days; null: nothing does.
  buckets = merge(
    {
      upload    = { versioning = var.enable_versioning, expire_days = null, kms = var.enable_kms }
      processed = { versioning = var.enable_versioning, expire_days = null, kms = var.enable_kms }
    },
    # Neither S3's log delivery nor the trail is given the key: their buckets stay with AES256.
    var.enable_access_logs ? { logs = { versioning = false, expire_days = var.access_log_days, kms = false } } : {},
    var.enable_access_audit ? { audit = { versioning = true, expire_days = var.access_log_days, kms = false } } : {},
  )

  arns = { for key, name in local.names : key => "arn:${var.account.partition}:s3:::${name}" }

  trail_name = "${var.name}-audit"
  trail_arn  = "arn:${var.account.partition}:cloudtrail:${var.account.region}:${var.account.id}:trail/${local.trail_name}"
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_144: A copy in a second region is a decision about cost and law, not a default
  # checkov:skip=CKV_AWS_18: Access logs are there by choice (enable_access_logs): each costs storage
  # checkov:skip=CKV_AWS_21: Versioning is on unless enable_s3_versioning says otherwise; logs need none
  # checkov:skip=CKV_AWS_145: AES256 unless enable_kms says otherwise
  # checkov:skip=CKV_AWS_19: Every bucket of the table is encrypted below; the check does not follow for_each
  # checkov:skip=CKV2_AWS_62: The upload bucket notifies the function's module; the others have nobody to notify
  for_each = local.buckets

  bucket        = local.names[each.key]
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = each.value.kms ? "aws:kms" : "AES256"
      kms_master_key_id = each.value.kms ? aws_kms_key.data[0].arn : null
    }
    # One key for each bucket instead of one call to KMS for each object.
    bucket_key_enabled = each.value.kms
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    # A bucket that had versions can only suspend them.
    status = each.value.versioning ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  # checkov:skip=CKV_AWS_300: The first rule is just that; the check does not read it beside a dynamic one
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_version_days
    }
  }

  dynamic "rule" {
    for_each = each.value.expire_days == null ? [] : [each.value.expire_days]

    content {
      id     = "old-logs"
      status = "Enabled"
      filter {}

      expiration {
        days = rule.value
      }
    }
  }

  # Rules about versions are refused while versions aren't settled.
  depends_on = [aws_s3_bucket_versioning.this]
}

data "aws_iam_policy_document" "bucket" {
  for_each = local.buckets

  statement {
    sid       = "NothingUnencryptedOnTheWay"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.arns[each.key], "${local.arns[each.key]}/*"]
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

  dynamic "statement" {
    for_each = each.key == "logs" ? [1] : []

    content {
      sid       = "AccessLogsOfOurBuckets"
      actions   = ["s3:PutObject"]
      resources = ["${local.arns[each.key]}/*"]
      principals {
        type        = "Service"
        identifiers = ["logging.s3.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [var.account.id]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [local.arns.upload, local.arns.processed]
      }
    }
  }

  dynamic "statement" {
    for_each = each.key == "audit" ? {
      TrailLooksAtTheBucket = { action = "s3:GetBucketAcl", resource = local.arns[each.key] }
      TrailWrites           = { action = "s3:PutObject", resource = "${local.arns[each.key]}/AWSLogs/${var.account.id}/*" }
    } : {}

    content {
      sid       = statement.key
      actions   = [statement.value.action]
      resources = [statement.value.resource]
      principals {
        type        = "Service"
        identifiers = ["cloudtrail.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [var.account.id]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [local.trail_arn]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = data.aws_iam_policy_document.bucket[each.key].json

  # S3 takes one change of a bucket's access at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_logging" "this" {
  for_each = var.enable_access_logs ? toset(["upload", "processed"]) : toset([])

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "${each.key}/"

  depends_on = [aws_s3_bucket_policy.this]
}

# One key for what is stored: both buckets, the queues, the function's log and its environment.
data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109: In a key's policy the resource * is the key itself, and the account must be able to administer it
  # checkov:skip=CKV_AWS_111: The same
  # checkov:skip=CKV_AWS_356: The same
  count = var.enable_kms ? 1 : 0

  statement {
    sid       = "AccountAdministersTheKey"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${var.account.partition}:iam::${var.account.id}:root"]
    }
  }

  # Without this S3 drops its notifications without a word.
  statement {
    sid       = "UploadBucketMaySendToTheQueue"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]
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
      values   = [local.arns.upload]
    }
  }

  statement {
    sid       = "LogGroupsOfThisDeployment"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${var.account.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${var.account.partition}:logs:${var.account.region}:${var.account.id}:log-group:*${var.name}-*"]
    }
  }
}

resource "aws_kms_key" "data" {
  count = var.enable_kms ? 1 : 0

  description             = "Pictures, queue and log of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key[0].json
}

resource "aws_kms_alias" "data" {
  count = var.enable_kms ? 1 : 0

  name          = "alias/${var.name}-data"
  target_key_id = aws_kms_key.data[0].key_id
}

# Who read, wrote and deleted what: by choice, because every request costs a little.
resource "aws_cloudwatch_log_group" "audit" {
  # checkov:skip=CKV_AWS_158: Encrypted with our key where enable_kms says so, and by CloudWatch itself in any case
  # checkov:skip=CKV_AWS_338: How long is for the operator to say; the bucket keeps the trail longer
  count = var.enable_access_audit ? 1 : 0

  name              = "/aws/cloudtrail/${local.trail_name}"
  retention_in_days = var.audit_retention_days
  kms_key_id        = var.enable_kms ? aws_kms_key.data[0].arn : null
}

data "aws_iam_policy_document" "trail_trust" {
  count = var.enable_access_audit ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["cloudtrail.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.trail_arn]
    }
  }
}

data "aws_iam_policy_document" "trail" {
  count = var.enable_access_audit ? 1 : 0

  statement {
    sid       = "WritesItsLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.audit[0].arn}:log-stream:*"]
  }
}

resource "aws_iam_role" "trail" {
  count = var.enable_access_audit ? 1 : 0

  name               = "${local.trail_name}-trail"
  assume_role_policy = data.aws_iam_policy_document.trail_trust[0].json
}

resource "aws_iam_role_policy" "trail" {
  count = var.enable_access_audit ? 1 : 0

  name   = "log"
  role   = aws_iam_role.trail[0].id
  policy = data.aws_iam_policy_document.trail[0].json
}

resource "aws_cloudtrail" "audit" {
  # checkov:skip=CKV_AWS_35: The trail's bucket is encrypted with AES256; a key would have to admit CloudTrail for nothing secret
  # checkov:skip=CKV_AWS_67: The two buckets are in one region, and nothing else is audited here
  # checkov:skip=CKV_AWS_252: Alarms on the log group tell people; a topic for each delivered file tells nobody anything
  count = var.enable_access_audit ? 1 : 0

  name                       = local.trail_name
  s3_bucket_name             = aws_s3_bucket.this["audit"].id
  cloud_watch_logs_group_arn = "${aws_cloudwatch_log_group.audit[0].arn}:*"
  cloud_watch_logs_role_arn  = aws_iam_role.trail[0].arn
  enable_log_file_validation = true

  advanced_event_selector {
    name = "Objects of both buckets"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }
    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }
    field_selector {
      field       = "resources.ARN"
      starts_with = ["${local.arns.upload}/", "${local.arns.processed}/"]
    }
  }

  depends_on = [aws_s3_bucket_policy.this, aws_iam_role_policy.trail]
}
