locals {
  # The topics' names are those of the original system.
  topics = {
    critical    = "critical-alerts"
    performance = "performance-alerts"
    logs        = "log-alerts"
  }

  topic_arns = {
    for channel, name in local.topics : channel =>
    "arn:${var.account.partition}:sns:${var.account.region}:${var.account.id}:${var.name}-${name}"
  }

  emails = merge([
    for channel, addresses in var.emails : {
      for address in addresses : "${channel}/${address}" => { channel = channel, address = address }
    }
  ]...)
}

# Alarms can publish to an encrypted topic only if the key's own policy lets CloudWatch use it; the key that
# AWS manages for SNS does not. So there is a key of our own, always.
data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109: In a key's policy the resource * is the key itself, and the account must be able to administer it
  # checkov:skip=CKV_AWS_111: The same
  # checkov:skip=CKV_AWS_356: The same
  statement {
    sid       = "AccountAdministersTheKey"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${var.account.partition}:iam::${var.account.id}:root"]
    }
  }

  statement {
    sid       = "AlarmsOfThisAccountMayUseIt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }
}

resource "aws_kms_key" "topics" {
  description             = "Messages of the alarms of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "topics" {
  name          = "alias/${var.name}-alerts"
  target_key_id = aws_kms_key.topics.key_id
}

resource "aws_sns_topic" "channel" {
  for_each = local.topics

  name              = "${var.name}-${each.value}"
  display_name      = "${var.name} ${each.key}"
  kms_master_key_id = aws_kms_key.topics.arn
}

data "aws_iam_policy_document" "topic" {
  for_each = local.topics

  statement {
    sid       = "OnlyAlarmsOfThisDeploymentPublish"
    actions   = ["sns:Publish"]
    resources = [local.topic_arns[each.key]]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${var.account.partition}:cloudwatch:${var.account.region}:${var.account.id}:alarm:${var.name}-*"]
    }
  }

  statement {
    sid       = "NothingUnencrypted"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [local.topic_arns[each.key]]
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

resource "aws_sns_topic_policy" "channel" {
  for_each = local.topics

  arn    = aws_sns_topic.channel[each.key].arn
  policy = data.aws_iam_policy_document.topic[each.key].json
}

# An address hears nothing before somebody has followed the link in the first email.
resource "aws_sns_topic_subscription" "email" {
  for_each = local.emails

  topic_arn = aws_sns_topic.channel[each.value.channel].arn
  protocol  = "email"
  endpoint  = each.value.address
}

resource "aws_sns_topic_subscription" "sms" {
  count = var.sms == "" ? 0 : 1

  topic_arn = aws_sns_topic.channel["critical"].arn
  protocol  = "sms"
  endpoint  = var.sms
}

resource "aws_sns_topic_subscription" "webhook" {
  for_each = var.webhook_url == "" ? toset([]) : var.webhook_channels

  topic_arn = aws_sns_topic.channel[each.key].arn
  protocol  = "https"
  endpoint  = var.webhook_url
}
