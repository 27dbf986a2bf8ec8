output "upload_bucket" {
  description = "The upload bucket's name."
  value       = aws_s3_bucket.this["upload"].bucket
}

output "processed_bucket" {
  description = "The processed bucket's name."
  value       = aws_s3_bucket.this["processed"].bucket
}

output "upload_bucket_arn" {
  description = "The upload bucket's ARN."
  value       = local.arns.upload
}

output "processed_bucket_arn" {
  description = "The processed bucket's ARN."
  value       = local.arns.processed
}

output "kms_key_arn" {
  description = "The key for what is stored; null without one."
  value       = one(aws_kms_key.data[*].arn)
}

output "audit_log_group_name" {
  description = "The audit's log group; null without one."
  value       = one(aws_cloudwatch_log_group.audit[*].name)
}
