locals {
  # What the words in observability.json stand for.
  namespaces = {
    shared     = var.metric_namespace
    deployment = "${var.metric_namespace}/${var.function_name}"
  }
  dimensions = merge(
    { function = { FunctionName = var.function_name } },
    { for queue, name in var.queue_names : queue => { QueueName = name } },
  )

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

# ---- Composite alarms -----------------------------------------------------------------------------

locals {
  composites = { for composite in var.composites : composite.name => composite }
  notices    = { for name, alarm in local.alarms : name => alarm if alarm.actions == "notice" }

  # The one composite that holds the others' notices back.
  suppressor = one(keys(local.composites))
}

resource "aws_cloudwatch_composite_alarm" "this" {
  for_each = local.composites

  alarm_name        = "${var.function_name}-${each.key}"
  alarm_description = "${each.value.about} Do: ${each.value.todo} Runbook: ${var.runbook_url}#${each.value.runbook}"
  alarm_rule        = replace(each.value.rule, "/ALARM\\(([a-z0-9-]+)\\)/", "ALARM(\"${var.function_name}-$1\")")

  # A pause that somebody wants looks like a silent stop.
  actions_enabled = var.ingest_enabled
  alarm_actions   = [var.topic_arns[each.value.channel]]
  ok_actions      = each.value.ok_notice ? [var.topic_arns[each.value.channel]] : []

  tags = {
    Severity = each.value.severity
    Channel  = each.value.channel
  }

  depends_on = [aws_cloudwatch_metric_alarm.this]
}

# A suppressor only mutes composites. So what is to be muted has no actions itself, and a composite of its
# own that tells of it.
resource "aws_cloudwatch_composite_alarm" "notice" {
  for_each = local.notices

  alarm_name        = "${var.function_name}-${each.key}-notice"
  alarm_description = "${each.value.about} Do: ${each.value.todo} Runbook: ${var.runbook_url}#${each.value.runbook}"
  alarm_rule        = "ALARM(\"${aws_cloudwatch_metric_alarm.this[each.key].alarm_name}\")"

  actions_enabled = each.value.enabled
  alarm_actions   = each.value.topics
  ok_actions      = each.value.ok_notice ? each.value.topics : []

  actions_suppressor {
    alarm            = aws_cloudwatch_composite_alarm.this[local.suppressor].alarm_name
    wait_period      = local.composites[local.suppressor].wait_seconds
    extension_period = local.composites[local.suppressor].extension_seconds
  }

  tags = {
    Severity = each.value.severity
    Channel  = each.value.channel
  }
}
