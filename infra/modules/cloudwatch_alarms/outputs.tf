output "alarm_names" {
  description = "The alarms' names, by name in the table."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.alarm_name }
}

output "composite_alarm_names" {
  description = "The names of the composite alarms: those of the table, and a notice for each alarm that is held back."
  value = merge(
    { for name, alarm in aws_cloudwatch_composite_alarm.this : name => alarm.alarm_name },
    { for name, alarm in aws_cloudwatch_composite_alarm.notice : "${name}-notice" => alarm.alarm_name },
  )
}
