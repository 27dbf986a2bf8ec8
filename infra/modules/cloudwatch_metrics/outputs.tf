output "dashboard_name" {
  description = "The dashboard's name; null without one."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}

output "filter_names" {
  description = "The metric filters' names."
  value       = sort([for filter in aws_cloudwatch_log_metric_filter.this : filter.name])
}
