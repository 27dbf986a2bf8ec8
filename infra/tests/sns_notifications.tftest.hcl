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

run "three_topics_that_alarms_can_publish_to" {
  module {
    source = "./modules/sns_notifications"
  }

  assert {
    condition     = toset(keys(output.topic_arns)) == toset(["critical", "performance", "logs"])
    error_message = "A channel is missing."
  }
  assert {
    condition     = alltrue([for topic in aws_sns_topic.channel : topic.kms_master_key_id == aws_kms_key.topics.arn])
    error_message = "A topic is not encrypted with our key."
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.key.statement :
      contains(one(statement.principals).identifiers, "cloudwatch.amazonaws.com") &&
      statement.actions == toset(["kms:Decrypt", "kms:GenerateDataKey*"]) &&
      toset([for condition in statement.condition : condition.variable]) == toset(["aws:SourceAccount"])
    ])
    error_message = "CloudWatch could not use the key, or for other accounts too."
  }
  assert {
    condition = alltrue([
      for document in data.aws_iam_policy_document.topic :
      toset([for condition in document.statement[0].condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"]) &&
      one(document.statement[0].principals).identifiers == toset(["cloudwatch.amazonaws.com"])
    ])
    error_message = "Others than this account's alarms may publish."
  }
  assert {
    condition     = length(aws_sns_topic_subscription.email) + length(aws_sns_topic_subscription.sms) + length(aws_sns_topic_subscription.webhook) == 0
    error_message = "Somebody is told whom nobody named."
  }
}

run "each_address_hears_its_channel" {
  module {
    source = "./modules/sns_notifications"
  }
  variables {
    emails           = { critical = ["a@example.com", "b@example.com"], logs = ["b@example.com"] }
    sms              = "+4915112345678"
    webhook_url      = "https://hooks.example.com/alerts"
    webhook_channels = ["critical", "performance"]
  }

  assert {
    condition     = toset(keys(aws_sns_topic_subscription.email)) == toset(["critical/a@example.com", "critical/b@example.com", "logs/b@example.com"])
    error_message = "An address hears the wrong channel."
  }
  assert {
    condition     = aws_sns_topic_subscription.sms[0].topic_arn == aws_sns_topic.channel["critical"].arn && length(aws_sns_topic_subscription.webhook) == 2
    error_message = "SMS or webhook hear the wrong channel."
  }
}

run "bad_addresses_are_refused" {
  command = plan
  module {
    source = "./modules/sns_notifications"
  }
  variables {
    emails           = { critical = ["nobody"] }
    sms              = "112"
    webhook_url      = "http://hooks.example.com"
    webhook_channels = ["everything"]
  }
  expect_failures = [var.emails, var.sms, var.webhook_url, var.webhook_channels]
}
