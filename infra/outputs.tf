output "upload_bucket_name" {
  description = "The bucket to upload to."
  value       = module.s3_buckets.upload_bucket
}

output "processed_bucket_name" {
  description = "The bucket that renditions are in."
  value       = module.s3_buckets.processed_bucket
}

output "upload_bucket_arn" {
  description = "The upload bucket's ARN."
  value       = module.s3_buckets.upload_bucket_arn
}

output "processed_bucket_arn" {
  description = "The processed bucket's ARN."
  value       = module.s3_buckets.processed_bucket_arn
}

output "upload_prefix" {
  description = "What uploads' keys begin with; not part of the renditions' keys."
  value       = var.upload_prefix
}

output "processed_prefix" {
  description = "What the keys of everything that is written begin with."
  value       = var.processed_prefix
}

output "lambda_function_name" {
  description = "The function's name."
  value       = module.lambda_function.function_name
}

output "lambda_function_arn" {
  description = "The function's ARN."
  value       = module.lambda_function.function_arn
}

output "lambda_alias_arn" {
  description = "The ARN of the alias that uploads go to."
  value       = module.lambda_function.alias_arn
}

output "lambda_function_version" {
  description = "The version that the alias leads to."
  value       = module.lambda_function.function_version
}

output "lambda_log_group_name" {
  description = "The function's log group."
  value       = module.lambda_function.log_group_name
}

output "upload_queue_url" {
  description = "The queue of uploads; null in direct mode."
  value       = module.lambda_function.queue_url
}

output "dead_letter_queue_url" {
  description = "Where uploads that were given up wait."
  value       = module.lambda_function.dead_letter_queue_url
}

output "batch_operations_role_arn" {
  description = "The role for S3 Batch Operations; null without one."
  value       = module.lambda_function.batch_role_arn
}

output "critical_alerts_topic_arn" {
  description = "The topic of critical alerts."
  value       = module.sns_notifications.topic_arns["critical"]
}

output "performance_alerts_topic_arn" {
  description = "The topic of performance alerts."
  value       = module.sns_notifications.topic_arns["performance"]
}

output "log_alerts_topic_arn" {
  description = "The topic of alerts about pictures and lines in the log."
  value       = module.sns_notifications.topic_arns["logs"]
}

output "cloudwatch_dashboard_name" {
  description = "The dashboard's name; null without one."
  value       = module.cloudwatch_metrics.dashboard_name
}

output "cloudwatch_dashboard_url" {
  description = "The dashboard in the console."
  value       = var.enable_cloudwatch_dashboard ? "https://${var.aws_region}.console.aws.amazon.com/cloudwatch/home?region=${var.aws_region}#dashboards:name=${module.cloudwatch_metrics.dashboard_name}" : "Dashboard not enabled"
}

output "metric_namespace" {
  description = "The namespace of the function's metrics."
  value       = var.metric_namespace
}

output "cloudwatch_alarms" {
  description = "Alarms on the function and its queue, and the composite alarms, by name."
  value       = merge(module.cloudwatch_alarms.alarm_names, module.cloudwatch_alarms.composite_alarm_names)
}

output "log_based_alarms" {
  description = "Alarms on what the log says, by name."
  value       = module.log_alerts.alarm_names
}

output "aws_region" {
  description = "The region that everything is in."
  value       = var.aws_region
}

output "upload_command_example" {
  description = "How to upload a picture."
  value       = "aws s3 cp photo.jpg s3://${module.s3_buckets.upload_bucket}/${var.upload_prefix}"
}

output "view_logs_command" {
  description = "How to watch the log."
  value       = "aws logs tail ${module.lambda_function.log_group_name} --follow --region ${var.aws_region}"
}

output "test_alarm_command" {
  description = "How to see a message arrive. The alarm goes back by itself."
  value       = "aws cloudwatch set-alarm-state --alarm-name ${module.log_alerts.alarm_names["critical-errors"]} --state-value ALARM --state-reason 'Trying out the channel' --region ${var.aws_region}"
}

output "redrive_command" {
  description = "How to send uploads that were given up back into the queue, once the cause is mended."
  value       = var.ingest_mode == "queue" ? "aws sqs start-message-move-task --source-arn ${module.lambda_function.dead_letter_queue_arn} --region ${var.aws_region}" : "pixmill redrive --dead-letters ${module.lambda_function.dead_letter_queue_url} --here; see the runbook under dead-letters"
}

output "sns_subscription_note" {
  description = "Who still has to confirm a subscription."
  value       = length(module.sns_notifications.unconfirmed) == 0 ? "No address is told of alarms: set alert_email or alert_emails" : "Each of these has to follow the link in an email from AWS before it hears anything: ${join(", ", module.sns_notifications.unconfirmed)}"
}
