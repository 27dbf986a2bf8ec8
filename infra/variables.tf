# ---- Where and what it is called ---------------------------------------------------------------

variable "aws_region" {
  description = "The region that everything is in."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is a region's name, such as eu-central-1."
  }
}

variable "environment" {
  description = "Which deployment this is: dev, staging, prod. Part of every name."
  type        = string
  default     = "dev"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,9}$", var.environment))
    error_message = "environment has ten small letters and digits at most and begins with a letter."
  }
}

variable "project_name" {
  description = "What every name begins with."
  type        = string
  default     = "image-processor"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,27}$", var.project_name)) && !endswith(var.project_name, "-")
    error_message = "project_name is made of small letters, digits and hyphens, begins with a letter, and has 28 characters at most."
  }
}

# ---- The function ------------------------------------------------------------------------------

variable "lambda_zip_path" {
  description = "The package; null: where cargo xtask package puts it for the architecture."
  type        = string
  default     = null
}

variable "architecture" {
  description = "The processor that the package was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is x86_64 or arm64."
  }
}

variable "recipe_path" {
  description = "A recipe file inside the package, such as recipe.toml; empty: the default recipe."
  type        = string
  default     = ""
}

variable "lambda_timeout" {
  description = "Seconds that one picture may take."
  type        = number
  default     = 60

  validation {
    condition     = var.lambda_timeout >= 3 && var.lambda_timeout <= 900 && floor(var.lambda_timeout) == var.lambda_timeout
    error_message = "lambda_timeout is a whole number of seconds from 3 to 900."
  }
}

variable "lambda_memory_size" {
  description = "Megabytes of memory. 1,769 bring one whole processor; with less everything takes longer and costs the same."
  type        = number
  default     = 1769

  validation {
    condition     = var.lambda_memory_size >= 256 && var.lambda_memory_size <= 10240 && floor(var.lambda_memory_size) == var.lambda_memory_size
    error_message = "lambda_memory_size is a whole number of megabytes from 256 to 10240."
  }
}

variable "log_level" {
  description = "Which detail lines the function writes. What is counted is always written."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level is DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "log_retention_days" {
  description = "How many days the function's log is kept."
  type        = number
  default     = 7

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
  }
}

variable "enable_tracing" {
  description = "Whether X-Ray traces invocations."
  type        = bool
  default     = false
}

# ---- The buckets -------------------------------------------------------------------------------

variable "upload_bucket_name" {
  description = "The upload bucket's name; null: one is made up."
  type        = string
  default     = null
}

variable "processed_bucket_name" {
  description = "The processed bucket's name; null: one is made up."
  type        = string
  default     = null

  validation {
    condition     = var.processed_bucket_name == null || var.processed_bucket_name != var.upload_bucket_name
    error_message = "processed_bucket_name is the upload bucket's: the function would process its own output."
  }
}

variable "upload_prefix" {
  description = "What uploads' keys begin with; not part of the renditions' keys. Ends with /."
  type        = string
  default     = ""

  validation {
    condition     = var.upload_prefix == "" || can(regex("^[^/*?].*/$", var.upload_prefix))
    error_message = "upload_prefix ends with / and does not begin with one."
  }
}

variable "processed_prefix" {
  description = "What everything written begins with. Ends with /."
  type        = string
  default     = ""

  validation {
    condition     = var.processed_prefix == "" || can(regex("^[^/*?].*/$", var.processed_prefix))
    error_message = "processed_prefix ends with / and does not begin with one."
  }
}

variable "upload_suffixes" {
  description = "Endings of the keys that are processed, such as .jpg; empty: all. S3 minds capitals."
  type        = set(string)
  default     = []
}

variable "removals" {
  description = "What becomes of renditions whose upload is removed: keep or delete."
  type        = string
  default     = "keep"

  validation {
    condition     = contains(["keep", "delete"], var.removals)
    error_message = "removals is keep or delete."
  }
}

variable "enable_s3_versioning" {
  description = "Whether overwritten and deleted objects are kept for a while."
  type        = bool
  default     = true
}

variable "noncurrent_version_days" {
  description = "After how many days old versions go."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_version_days >= 1 && floor(var.noncurrent_version_days) == var.noncurrent_version_days
    error_message = "noncurrent_version_days is a whole number, 1 or more."
  }
}

variable "enable_kms" {
  description = "Whether a key of the account encrypts pictures, queue, log and environment, instead of the services' own keys."
  type        = bool
  default     = false
}

variable "enable_access_logs" {
  description = "Whether S3 logs every request in a bucket of its own."
  type        = bool
  default     = false
}

variable "enable_access_audit" {
  description = "Whether CloudTrail records every request to objects, with alarms on refusals and on deleted uploads. Costs by request."
  type        = bool
  default     = false
}

variable "force_destroy_buckets" {
  description = "Whether terraform destroy deletes full buckets, with every picture in them."
  type        = bool
  default     = false
}

# ---- The way in --------------------------------------------------------------------------------

variable "ingest_mode" {
  description = "How uploads reach the function: queue (S3, SQS, function) or direct (S3, function)."
  type        = string
  default     = "queue"

  validation {
    condition     = contains(["queue", "direct"], var.ingest_mode)
    error_message = "ingest_mode is queue or direct."
  }
}

variable "ingest_enabled" {
  description = "False pauses processing; uploads wait."
  type        = bool
  default     = true
}

variable "maximum_concurrency" {
  description = "How many pictures are processed at once by way of the queue. New accounts may have only 10 in all."
  type        = number
  default     = 100

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency
    error_message = "maximum_concurrency is a whole number from 2 to 1000: SQS takes nothing else."
  }
}

variable "reserved_concurrency" {
  description = "Concurrency that is the function's own; null: none. New accounts have too little to reserve any."
  type        = number
  default     = null
}

variable "max_receive_count" {
  description = "How often an upload is tried before it goes to the dead letters."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 2 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count is a whole number, 2 or more."
  }
}

variable "enable_canary" {
  description = "Whether a small picture is uploaded on a schedule, with an alarm when it does not come through."
  type        = bool
  default     = false
}

variable "canary_minutes" {
  description = "Minutes between two uploads of the canary."
  type        = number
  default     = 15

  validation {
    condition     = var.canary_minutes >= 5 && var.canary_minutes <= 30 && floor(var.canary_minutes) == var.canary_minutes
    error_message = "canary_minutes is a whole number from 5 to 30: the alarm waits for an hour."
  }
}

variable "enable_batch_operations" {
  description = "Whether there is a role by which S3 Batch Operations may run the function over what lies in the upload bucket."
  type        = bool
  default     = false
}

# ---- Who is told -------------------------------------------------------------------------------

variable "alert_email" {
  description = "An address that hears all three channels; empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.alert_email == "" || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email is an address, or empty."
  }
}

variable "alert_emails" {
  description = "More addresses, by channel."
  type = object({
    critical    = optional(set(string), [])
    performance = optional(set(string), [])
    logs        = optional(set(string), [])
  })
  default = {}
}

variable "alert_sms" {
  description = "A telephone number for critical alerts, such as +4915112345678; empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.alert_sms == "" || can(regex("^\\+[1-9][0-9]{6,14}$", var.alert_sms))
    error_message = "alert_sms is a number with + and the country's code, without spaces."
  }
}

variable "alert_webhook_url" {
  description = "An https address that gets messages too; empty: none. It must confirm its subscription."
  type        = string
  default     = ""

  validation {
    condition     = var.alert_webhook_url == "" || startswith(var.alert_webhook_url, "https://")
    error_message = "alert_webhook_url begins with https://."
  }
}

variable "alert_webhook_channels" {
  description = "The channels whose messages the webhook gets."
  type        = set(string)
  default     = ["critical"]

  validation {
    condition     = length(setsubtract(var.alert_webhook_channels, ["critical", "performance", "logs"])) == 0
    error_message = "alert_webhook_channels holds critical, performance or logs."
  }
}

variable "runbook_url" {
  description = "Where the runbook is; every alarm links to its section."
  type        = string
  default     = "https://github.com/pixmill/pixmill/blob/main/docs/runbook.md"

  validation {
    condition     = startswith(var.runbook_url, "https://")
    error_message = "runbook_url begins with https://."
  }
}

# ---- What is watched ---------------------------------------------------------------------------

variable "metric_namespace" {
  description = "The namespace of the function's metrics."
  type        = string
  default     = "ImageProcessor/Lambda"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/#:-]{1,190}$", var.metric_namespace)) && !startswith(var.metric_namespace, "AWS/")
    error_message = "metric_namespace is made of letters, digits and . _ / # : -, and does not begin with AWS/."
  }
}

variable "enable_cloudwatch_dashboard" {
  description = "Whether there is a dashboard."
  type        = bool
  default     = true
}

variable "enable_no_invocation_alarm" {
  description = "Whether a quarter of an hour without any invocation is an alarm: only for deployments that never rest. A silent stop is noticed without it."
  type        = bool
  default     = false
}

# ---- Thresholds: this many is enough, unless the description says otherwise --------------------

variable "error_threshold" {
  description = "Failed invocations and pictures in five minutes (>=)."
  type        = number
  default     = 3

  validation {
    condition     = var.error_threshold > 0
    error_message = "error_threshold is above 0."
  }
}

variable "duration_threshold_ms" {
  description = "Average milliseconds of an invocation (more than, >)."
  type        = number
  default     = 45000

  validation {
    condition     = var.duration_threshold_ms > 0
    error_message = "duration_threshold_ms is above 0."
  }

  validation {
    condition     = var.duration_threshold_ms < 1000 * var.lambda_timeout
    error_message = "duration_threshold_ms is not below lambda_timeout: the function is ended before it could be reached."
  }
}

variable "duration_p99_threshold_ms" {
  description = "Milliseconds of the slowest hundredth of the invocations (more than, >)."
  type        = number
  default     = 50000

  validation {
    condition     = var.duration_p99_threshold_ms > 0
    error_message = "duration_p99_threshold_ms is above 0."
  }

  validation {
    condition     = var.duration_p99_threshold_ms < 1000 * var.lambda_timeout
    error_message = "duration_p99_threshold_ms is not below lambda_timeout: the function is ended before it could be reached."
  }
}

variable "throttle_threshold" {
  description = "Invocations that Lambda refused in five minutes (>=)."
  type        = number
  default     = 5

  validation {
    condition     = var.throttle_threshold > 0
    error_message = "throttle_threshold is above 0."
  }
}

variable "concurrent_executions_threshold" {
  description = "Invocations at once (more than, >). Below the maximum concurrency."
  type        = number
  default     = 50

  validation {
    condition     = var.concurrent_executions_threshold > 0
    error_message = "concurrent_executions_threshold is above 0."
  }

  validation {
    condition     = var.ingest_mode == "queue" ? var.concurrent_executions_threshold < var.maximum_concurrency : (var.reserved_concurrency == null ? true : var.concurrent_executions_threshold < var.reserved_concurrency)
    error_message = "concurrent_executions_threshold is not below the maximum concurrency (of the queue, or reserved): it could never be exceeded."
  }
}

variable "log_error_threshold" {
  description = "Lines of level ERROR in a minute (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.log_error_threshold > 0
    error_message = "log_error_threshold is above 0."
  }
}

variable "success_rate_threshold" {
  description = "Percent that went well (fewer than, <), of ten or more in five minutes."
  type        = number
  default     = 90

  validation {
    condition     = var.success_rate_threshold > 0
    error_message = "success_rate_threshold is above 0."
  }

  validation {
    condition     = var.success_rate_threshold <= 100
    error_message = "success_rate_threshold is a percentage."
  }
}

variable "min_success_threshold" {
  description = "Successes in five minutes in which pictures came to grief (fewer than, <)."
  type        = number
  default     = 1

  validation {
    condition     = var.min_success_threshold > 0
    error_message = "min_success_threshold is above 0."
  }
}

variable "queue_age_threshold_seconds" {
  description = "Seconds that the oldest upload has waited (more than, >)."
  type        = number
  default     = 900

  validation {
    condition     = var.queue_age_threshold_seconds > 0
    error_message = "queue_age_threshold_seconds is above 0."
  }
}

variable "cold_start_threshold_ms" {
  description = "Milliseconds that the slowest hundredth of the function's starts takes (more than, >)."
  type        = number
  default     = 1500

  validation {
    condition     = var.cold_start_threshold_ms > 0
    error_message = "cold_start_threshold_ms is above 0."
  }
}

variable "timeout_error_threshold" {
  description = "Pictures that time did not suffice for, in a minute (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.timeout_error_threshold > 0
    error_message = "timeout_error_threshold is above 0."
  }
}

variable "memory_error_threshold" {
  description = "Pictures that memory did not suffice for, in a minute (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.memory_error_threshold > 0
    error_message = "memory_error_threshold is above 0."
  }
}

variable "image_error_threshold" {
  description = "Pictures that can't be processed, in five minutes (>=)."
  type        = number
  default     = 3

  validation {
    condition     = var.image_error_threshold > 0
    error_message = "image_error_threshold is above 0."
  }
}

variable "permission_error_threshold" {
  description = "Refusals by S3 or KMS in a minute (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.permission_error_threshold > 0
    error_message = "permission_error_threshold is above 0."
  }
}

variable "critical_error_threshold" {
  description = "Other lines of level CRITICAL in a minute (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.critical_error_threshold > 0
    error_message = "critical_error_threshold is above 0."
  }
}

variable "large_image_threshold" {
  description = "Large uploads in five minutes (more than, >)."
  type        = number
  default     = 5

  validation {
    condition     = var.large_image_threshold > 0
    error_message = "large_image_threshold is above 0."
  }
}

variable "failure_record_threshold" {
  description = "Pictures that can't be processed, in a day (>=)."
  type        = number
  default     = 10

  validation {
    condition     = var.failure_record_threshold > 0
    error_message = "failure_record_threshold is above 0."
  }
}

variable "audit_denied_threshold" {
  description = "Refused requests to the buckets in five minutes (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.audit_denied_threshold > 0
    error_message = "audit_denied_threshold is above 0."
  }
}

variable "audit_deletion_threshold" {
  description = "Requests that deleted uploads, in five minutes (>=)."
  type        = number
  default     = 1

  validation {
    condition     = var.audit_deletion_threshold > 0
    error_message = "audit_deletion_threshold is above 0."
  }
}
