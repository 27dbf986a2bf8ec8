# Reads observability.json, the runbook and the root's variables for the tests, and holds them against each
# other. Test files can't read files themselves.

locals {
  table     = jsondecode(file("${path.module}/../../observability.json"))
  runbook   = file("${path.module}/../../../docs/runbook.md")
  variables = file("${path.module}/../../variables.tf")
  wiring    = file("${path.module}/../../main.tf")

  # What is emitted, as namespace/metric/dimension.
  emitted = toset(concat(
    [for filter in local.table.filters : "${filter.namespace}/${filter.metric}/${filter.dimension == null ? "" : "function"}"],
    [for metric in local.table.code_metrics : "shared/${metric.metric}/function"],
    [for metric in local.table.aws_metrics["AWS/Lambda"] : "AWS/Lambda/${metric}/function"],
    flatten([for metric in local.table.aws_metrics["AWS/SQS"] : [for queue in ["queue", "dead_letters"] : "AWS/SQS/${metric}/${queue}"]]),
  ))
  used = toset([
    for series in concat(flatten(local.table.alarms[*].series), flatten(local.table.dashboard[*].series)) :
    "${series.namespace}/${series.metric}/${series.dimension == null ? "" : series.dimension}"
  ])

  names        = toset(local.table.alarms[*].name)
  parts        = flatten([for composite in local.table.composites : regexall("ALARM\\(([a-z0-9-]+)\\)", composite.rule)])
  variables_of = { for alarm in local.table.alarms : alarm.threshold_variable => alarm.threshold... if alarm.threshold_variable != null }
}

output "filters" {
  value = local.table.filters
}

output "alarms" {
  value = local.table.alarms
}

output "composites" {
  value = local.table.composites
}

output "dashboard" {
  value = local.table.dashboard
}

output "queries" {
  value = local.table.queries
}

output "channels" {
  value = local.table.channels
}

output "unknown_series" {
  value = sort(setsubtract(local.used, local.emitted))
}

# ImagesProcessed and ProcessingTime are for those who look them up: the sum and the time of the two others.
output "unused_metrics" {
  value = [
    for name in sort(setsubtract(local.emitted, local.used)) : name
    if !startswith(name, "AWS/") && !contains(["shared/ImagesProcessed/function", "shared/ProcessingTime/function"], name)
  ]
}

output "missing_runbook_sections" {
  value = [
    for section in concat(local.table.alarms[*].runbook, local.table.composites[*].runbook) : section
    if !strcontains(local.runbook, "\n## ${section}\n")
  ]
}

output "unused_variables" {
  value = [
    for match in regexall("variable \"([a-z0-9_]+_threshold[a-z_]*)\"", local.variables) : match[0]
    if !contains(keys(local.variables_of), match[0])
  ]
}

output "wrong_defaults" {
  value = [
    for name, thresholds in local.variables_of : name
    if length(distinct(thresholds)) != 1 || !can(regex("variable \"${name}\" \\{\n[^\n]*\n[^\n]*\n  default     = ${thresholds[0]}\n", local.variables))
  ]
}

output "names_twice" {
  value = sum([
    for mode in ["queue", "direct"] :
    length([for alarm in local.table.alarms : alarm.name if contains(["any", mode], alarm.mode)]) - length(distinct([for alarm in local.table.alarms : alarm.name if contains(["any", mode], alarm.mode)]))
  ])
}

output "unknown_parts" {
  value = sort(setsubtract(concat(local.parts, flatten(local.table.dashboard[*].thresholds)), local.names))
}

# Alarms that tell nobody themselves and that no composite speaks for.
output "silent_alarms" {
  value = [for alarm in local.table.alarms : alarm.name if alarm.actions == "none" && !contains(local.parts, alarm.name)]
}

# Thresholds and switches that the root does not hand on: their variables would do nothing.
output "unwired" {
  value = [
    for name in setunion(keys(local.variables_of), compact(concat(local.table.alarms[*].switch, local.table.filters[*].switch))) : name
    if !can(regex("\n    ${name} += var\\.${name}\n", local.wiring))
  ]
}
