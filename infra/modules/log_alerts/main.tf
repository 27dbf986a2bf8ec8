locals {
  # What the words in observability.json stand for.
  namespaces = {
    shared     = var.metric_namespace
    deployment = "${var.metric_namespace}/${var.function_name}"
  }
  dimensions = { function = { FunctionName = var.function_name } }

  alarms = {
    for alarm in var.alarms : alarm.name => merge(alarm, {
      threshold = alarm.threshold_variable == null ? alarm.threshold : lookup(var.thresholds, alarm.threshold_variable, alarm.threshold)
      enabled   = var.ingest_enabled || !alarm.quiet_when_paused
      topics    = [var.topic_arns[alarm.channel]]
    })
    if contains(["any", var.ingest_mode], alarm.mode) && (alarm.switch == null ? true : lookup(var.switches, alarm.switch, false))
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.function_name}-${each.key}"
  alarm_description = "${each.value.about} Do: ${each.value.todo} Runbook: ${var.runbook_url}#${each.value.runbook}"

  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.evaluation_periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing

  # One series by itself...
  namespace          = each.value.expression == null ? lookup(local.namespaces, each.value.series[0].namespace, each.value.series[0].namespace) : null
  metric_name        = each.value.expression == null ? each.value.series[0].metric : null
  dimensions         = each.value.expression == null && each.value.series[0].dimension != null ? local.dimensions[each.value.series[0].dimension] : null
  period             = each.value.expression == null ? each.value.period : null
  statistic          = each.value.expression == null && !startswith(each.value.series[0].statistic, "p") ? each.value.series[0].statistic : null
  extended_statistic = each.value.expression == null && startswith(each.value.series[0].statistic, "p") ? each.value.series[0].statistic : null

  # A percentile of few values is still the best that is known of them.
  evaluate_low_sample_count_percentiles = each.value.expression == null && startswith(each.value.series[0].statistic, "p") ? "evaluate" : null

  # ... or metric math over several.
  dynamic "metric_query" {
    for_each = each.value.expression == null ? [] : each.value.series

    content {
      id          = metric_query.value.id
      return_data = false

      metric {
        namespace   = lookup(local.namespaces, metric_query.value.namespace, metric_query.value.namespace)
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimension == null ? null : local.dimensions[metric_query.value.dimension]
        period      = each.value.period
        stat        = metric_query.value.statistic
      }
    }
  }

  dynamic "metric_query" {
    for_each = each.value.expression == null ? [] : [each.value.expression]

    content {
      id          = "result"
      label       = each.key
      expression  = metric_query.value
      return_data = true
    }
  }

  actions_enabled = each.value.enabled
  alarm_actions   = each.value.actions == "own" ? each.value.topics : []
  ok_actions      = each.value.actions == "own" && each.value.ok_notice ? each.value.topics : []

  tags = {
    Severity = each.value.severity
    Channel  = each.value.channel
  }
}
