output "alarm_names" {
  description = "The alarms' names, by name in the table."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.alarm_name }
}
