output "topic_arns" {
  description = "The topics, by channel: critical, performance, logs."
  # By way of the policies: no alarm before its topic takes messages.
  value = { for channel, policy in aws_sns_topic_policy.channel : channel => policy.arn }
}

output "topic_names" {
  description = "The topics' names, by channel."
  value       = { for channel, topic in aws_sns_topic.channel : channel => topic.name }
}

output "kms_key_arn" {
  description = "The key that the topics' messages are encrypted with."
  value       = aws_kms_key.topics.arn
}

output "unconfirmed" {
  description = "Addresses that have to confirm their subscription, as channel/address."
  value       = sort(keys(local.emails))
}
