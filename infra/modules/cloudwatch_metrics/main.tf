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

  log_groups = { function = var.log_group_name, audit = var.audit_log_group_name }

  filters = {
    for filter in var.filters : filter.name => filter
    if filter.switch == null ? true : lookup(var.switches, filter.switch, false)
  }

  queries = { for query in var.queries : query.name => query.query }
}

# No default values: they exclude dimensions, and zeros drag averages down.
resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.filters

  name           = "${var.function_name}-${each.key}"
  log_group_name = local.log_groups[each.value.log]
  pattern        = replace(replace(each.value.pattern, "$${upload_bucket}", var.upload_bucket), "$${canary_key}", var.canary_key)

  metric_transformation {
    name       = each.value.metric
    namespace  = local.namespaces[each.value.namespace]
    value      = each.value.value
    unit       = each.value.unit
    dimensions = each.value.dimension == null ? null : { (var.dimension_name) = each.value.dimension }
  }
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = local.queries

  name            = "${var.function_name}/${each.key}"
  log_group_names = [var.log_group_name]
  query_string    = each.value
}

# ---- The dashboard ------------------------------------------------------------------------------

locals {
  widgets = [for widget in var.dashboard : widget if contains(["any", var.ingest_mode], widget.mode)]

  # Thresholds are drawn from the alarms that they are of.
  lines = {
    for alarm in var.alarms : alarm.name => {
      label = "${alarm.name} (${alarm.comparison == "LessThanThreshold" ? "below" : alarm.comparison == "GreaterThanThreshold" ? "above" : "from"})"
      value = alarm.threshold_variable == null ? alarm.threshold : lookup(var.thresholds, alarm.threshold_variable, alarm.threshold)
    } if contains(["any", var.ingest_mode], alarm.mode)
  }

  alarm_arns = concat(
    ["${local.alarm_arn}pipeline-down"],
    [
      for alarm in var.alarms : "${local.alarm_arn}${alarm.name}"
      if contains(["any", var.ingest_mode], alarm.mode) && (alarm.switch == null ? true : lookup(var.switches, alarm.switch, false))
    ],
  )
  alarm_arn = "arn:${var.account.partition}:cloudwatch:${var.account.region}:${var.account.id}:alarm:${var.function_name}-"

  # The kinds of widgets have different properties, so each is written as text by itself and read again below:
  # Terraform's lists want their members alike.
  properties = [
    for widget in local.widgets :
    widget.kind == "alarms" ? jsonencode({
      title  = widget.title
      alarms = local.alarm_arns
      }) : widget.kind == "query" ? jsonencode({
      title  = widget.title
      region = var.account.region
      view   = "table"
      query  = "SOURCE '${var.log_group_name}' | ${local.queries[widget.query]}"
      }) : jsonencode({
      title   = widget.title
      region  = var.account.region
      view    = "timeSeries"
      stacked = false
      period  = 300
      metrics = concat(
        [
          for series in widget.series : concat(
            [lookup(local.namespaces, series.namespace, series.namespace), series.metric],
            series.dimension == null ? [] : flatten([for name, value in local.dimensions[series.dimension] : [name, value]]),
            [{ id = series.id, stat = series.statistic, label = replace(series.id, "_", " "), yAxis = series.axis }],
          )
        ],
        [for expression in widget.expressions : [{ id = expression.id, expression = expression.expression, label = expression.label }]],
      )
      annotations = { horizontal = [for name in widget.thresholds : local.lines[name] if contains(keys(local.lines), name)] }
    })
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.enable_dashboard ? 1 : 0

  dashboard_name = "${var.function_name}-monitoring"
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type       = { alarms = "alarm", query = "log", metrics = "metric" }[widget.kind]
        x          = index % 2 * 12
        y          = floor(index / 2) * 6
        width      = 12
        height     = 6
        properties = jsondecode(local.properties[index])
      }
    ]
  })
}
