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

variable "ingest_enabled" {
  description = "Whether the way in is open. While it is not, alarms that a pause would set off tell nobody."
  type        = bool
  default     = true
}

variable "topic_arns" {
  description = "The topics by channel."
  type        = map(string)

  validation {
    condition     = toset(keys(var.topic_arns)) == toset(["critical", "performance", "logs"])
    error_message = "topic_arns has critical, performance and logs."
  }
}

variable "runbook_url" {
  description = "Where the runbook is; alarms name their section of it."
  type        = string
  default     = "docs/runbook.md"
}

variable "switches" {
  description = "Whether alarms with a switch exist, by the switch's name."
  type        = map(bool)
  default     = {}
}

variable "thresholds" {
  description = "Thresholds by the variable's name; without one, that of the table."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0])
    error_message = "Thresholds are above 0: at 0 an alarm would never end."
  }
}

variable "alarms" {
  description = "Alarms, as in observability.json."
  type = list(object({
    name               = string
    mode               = string
    switch             = optional(string)
    expression         = optional(string)
    period             = number
    evaluation_periods = number
    datapoints         = number
    comparison         = string
    threshold          = number
    threshold_variable = optional(string)
    missing            = string
    channel            = string
    severity           = string
    actions            = string
    ok_notice          = bool
    quiet_when_paused  = bool
    about              = string
    todo               = string
    runbook            = string
    series = list(object({
      id        = string
      namespace = string
      metric    = string
      statistic = string
      dimension = optional(string)
    }))
  }))

  validation {
    condition     = alltrue([for alarm in var.alarms : contains(["breaching", "notBreaching"], alarm.missing)])
    error_message = "Every alarm says what missing data mean: breaching or notBreaching."
  }

  validation {
    condition     = alltrue([for alarm in var.alarms : contains(["critical", "performance", "logs"], alarm.channel)])
    error_message = "An alarm's channel is critical, performance or logs."
  }

  validation {
    condition     = alltrue([for alarm in var.alarms : contains(["own", "notice", "none"], alarm.actions)])
    error_message = "An alarm's actions are one of: own, notice, none."
  }

  validation {
    condition     = alltrue([for alarm in var.alarms : alarm.datapoints <= alarm.evaluation_periods && alarm.period * alarm.evaluation_periods <= 86400])
    error_message = "An alarm looks at a day at most, and no more of its datapoints can breach than it looks at."
  }

  validation {
    condition     = alltrue([for alarm in var.alarms : alarm.expression != null || length(alarm.series) == 1])
    error_message = "Several series need an expression."
  }
}

variable "composites" {
  description = "The composite alarm that holds notices back while everything is down."
  type = list(object({
    name              = string
    rule              = string
    channel           = string
    severity          = string
    ok_notice         = bool
    wait_seconds      = number
    extension_seconds = number
    about             = string
    todo              = string
    runbook           = string
  }))

  validation {
    condition     = length(var.composites) == 1
    error_message = "One composite holds back the notices of the others' parts; more than one is not provided for."
  }
}
