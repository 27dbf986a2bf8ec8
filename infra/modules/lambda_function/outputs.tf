output "function_name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.this.arn
}

output "alias_arn" {
  description = "The ARN of the alias that uploads go to."
  value       = aws_lambda_alias.live.arn
}

output "function_version" {
  description = "The version that the alias leads to."
  value       = aws_lambda_function.this.version
}

output "role_arn" {
  description = "The function's role."
  value       = aws_iam_role.function.arn
}

output "log_group_name" {
  description = "The function's log group."
  value       = aws_cloudwatch_log_group.function.name
}

output "queue_name" {
  description = "The name of the queue of uploads; null in direct mode."
  value       = one(aws_sqs_queue.uploads[*].name)
}

output "queue_url" {
  description = "The queue of uploads; null in direct mode."
  value       = one(aws_sqs_queue.uploads[*].url)
}

output "dead_letter_queue_name" {
  description = "The name of the dead-letter queue."
  value       = aws_sqs_queue.dead_letters.name
}

output "dead_letter_queue_url" {
  description = "The dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "batch_role_arn" {
  description = "The role for S3 Batch Operations; null without one."
  value       = one(aws_iam_role.batch[*].arn)
}

output "dead_letter_queue_arn" {
  description = "The dead-letter queue's ARN."
  value       = local.dead_arn
}

output "canary_key" {
  description = "Where the canary is uploaded to."
  value       = local.canary_key
}
