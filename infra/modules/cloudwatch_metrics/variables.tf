variable "function_name" {
  description = "The function's name: what names here begin with, and the dimension of its metrics."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,51}$", var.function_name))
    error_message = "function_name is made of small letters, digits and hyphens, and begins with a letter."
  }
}

variable "metric_namespace" {
  description = "The namespace of the function's metrics."
  type        = string
  default     = "ImageProcessor/Lambda"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/#:-]{1,190}$", var.metric_namespace)) && !startswith(var.metric_namespace, "AWS/")
    error_message = "metric_namespace is made of letters, digits and . _ / # : -, and does not begin with AWS/."
  }
}

variable "account" {
  description = "The account, region and partition (aws, aws-cn, ...) that everything is in."
  type = object({
    id        = string
    region    = string
    partition = string
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account.id))
    error_message = "account.id has twelve digits."
  }
}

variable "log_group_name" {
  description = "The function's log group."
  type        = string
}

variable "audit_log_group_name" {
  description = "The audit's log group, if there is one."
  type        = string
  default     = null
}

variable "upload_bucket" {
  description = "The upload bucket's name, for the audit's filters."
  type        = string
}

variable "queue_names" {
  description = "The names of the queues that series speak of: queue, dead_letters. Without the first in direct mode."
  type        = map(string)

  validation {
    condition     = length(setsubtract(keys(var.queue_names), ["queue", "dead_letters"])) == 0 && contains(keys(var.queue_names), "dead_letters")
    error_message = "queue_names has dead_letters and, in queue mode, queue."
  }
}

variable "ingest_mode" {
  description = "How uploads reach the function: queue, or direct."
  type        = string
  default     = "queue"

  validation {
    condition     = contains(["queue", "direct"], var.ingest_mode)
    error_message = "ingest_mode is queue or direct."
  }
}

variable "enable_dashboard" {
  description = "Whether there is a dashboard."
  type        = bool
  default     = true
}

variable "canary_key" {
  description = "The canary's key in the upload bucket, for the filter that counts it."
  type        = string
  default     = ""
}

variable "switches" {
  description = "Whether filters and alarms with a switch exist, by the switch's name."
  type        = map(bool)
  default     = {}
}

variable "thresholds" {
  description = "Thresholds by the variable's name, for the dashboard's lines."
  type        = map(number)
  default     = {}
}

variable "dimension_name" {
  description = "The dimension of the function's metrics."
  type        = string
  default     = "FunctionName"
}

variable "filters" {
  description = "Metric filters, as in observability.json."
  type = list(object({
    name      = string
    metric    = string
    log       = string
    switch    = optional(string)
    pattern   = string
    value     = string
    unit      = string
    namespace = string
    dimension = optional(string)
  }))

  validation {
    condition     = alltrue([for filter in var.filters : contains(["function", "audit"], filter.log) && contains(["shared", "deployment"], filter.namespace)])
    error_message = "A filter's log is function or audit, its namespace shared or deployment."
  }

  validation {
    condition     = alltrue([for filter in var.filters : (filter.namespace == "shared") == (filter.dimension != null)])
    error_message = "A filter in the shared namespace has a dimension, and no other: two deployments would mix."
  }

  validation {
    condition     = alltrue([for filter in var.filters : filter.value == "1" || startswith(filter.value, "$.")])
    error_message = "A filter's value is 1 or a field."
  }
}

variable "alarms" {
  description = "Alarms, as in observability.json: their states and thresholds are on the dashboard."
  type = list(object({
    name               = string
    mode               = string
    switch             = optional(string)
    comparison         = string
    threshold          = number
    threshold_variable = optional(string)
  }))
  default = []
}

variable "dashboard" {
  description = "The dashboard's widgets, as in observability.json."
  type = list(object({
    title      = string
    kind       = string
    mode       = string
    query      = optional(string)
    thresholds = list(string)
    expressions = list(object({
      id         = string
      label      = string
      expression = string
    }))
    series = list(object({
      id        = string
      namespace = string
      metric    = string
      statistic = string
      dimension = optional(string)
      axis      = string
    }))
  }))
  default = []

  validation {
    condition     = alltrue(flatten([for widget in var.dashboard : [for series in widget.series : contains(["left", "right"], series.axis)]]))
    error_message = "A series is drawn on the left or the right axis."
  }

  validation {
    condition     = alltrue([for widget in var.dashboard : contains(["alarms", "metrics", "query"], widget.kind)])
    error_message = "A widget's kind is alarms, metrics or query."
  }
}

variable "queries" {
  description = "Saved queries for CloudWatch Logs Insights, as in observability.json."
  type = list(object({
    name  = string
    query = string
  }))
  default = []
}
