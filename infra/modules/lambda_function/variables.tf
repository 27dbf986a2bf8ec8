variable "function_name" {
  description = "The function's name; the queue, the role and the log group are named after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,51}$", var.function_name))
    error_message = "function_name is made of small letters, digits and hyphens, begins with a letter, and has 52 characters at most: names made from it end at 64."
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

variable "zip_path" {
  description = "The package that cargo xtask package builds."
  type        = string

  validation {
    condition     = fileexists(var.zip_path)
    error_message = "There is no file at zip_path. Build the package first: cargo xtask package"
  }
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

  validation {
    condition     = !can(regex("[=\\n]", var.recipe_path)) && !startswith(var.recipe_path, "/") && !startswith(var.recipe_path, "s3://")
    error_message = "recipe_path is a file's path inside the package, so that code and recipe go back together."
  }
}

variable "timeout" {
  description = "Seconds that one invocation may take."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout >= 3 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "timeout is a whole number of seconds from 3 to 900."
  }
}

variable "memory_size" {
  description = "Megabytes of memory; 1,769 bring one whole processor."
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_size >= 256 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size is a whole number of megabytes from 256 to 10240."
  }
}

variable "log_level" {
  description = "Which detail lines are written. What is counted is always written."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level is DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
  default     = 7

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
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

variable "upload_bucket" {
  description = "The bucket whose uploads are processed."
  type        = string
}

variable "processed_bucket" {
  description = "The bucket that everything is written to."
  type        = string
}

variable "upload_prefix" {
  description = "What uploads' keys begin with; empty, or ending with /."
  type        = string
  default     = ""

  validation {
    condition     = var.upload_prefix == "" || can(regex("^[^/*?].*/$", var.upload_prefix))
    error_message = "upload_prefix ends with / and does not begin with one."
  }
}

variable "processed_prefix" {
  description = "What everything written begins with; empty, or ending with /."
  type        = string
  default     = ""

  validation {
    condition     = var.processed_prefix == "" || can(regex("^[^/*?].*/$", var.processed_prefix))
    error_message = "processed_prefix ends with / and does not begin with one."
  }
}

variable "upload_suffixes" {
  description = "Endings of the keys that S3 tells of, such as .jpg; empty: all. S3 minds capitals."
  type        = set(string)
  default     = []

  validation {
    condition     = length(var.upload_suffixes) <= 20
    error_message = "upload_suffixes has 20 entries at most: each is a notification of its own."
  }
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
  description = "False pauses: uploads wait (in the queue for its retention, directly for six hours)."
  type        = bool
  default     = true
}

variable "maximum_concurrency" {
  description = "How many pictures are processed at once by way of the queue."
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

  validation {
    condition     = var.reserved_concurrency == null ? true : var.reserved_concurrency >= (var.ingest_mode == "queue" ? var.maximum_concurrency : 1)
    error_message = "reserved_concurrency is below maximum_concurrency: the queue would be throttled again and again."
  }
}

variable "max_receive_count" {
  description = "How often an upload is tried before it goes to the dead letters."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 2 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count is a whole number from 2 to 1000; throttling uses attempts up, so AWS asks for 5 or more."
  }
}

variable "queue_retention_seconds" {
  description = "How long an upload waits in the queue at most."
  type        = number
  default     = 345600

  validation {
    condition     = var.queue_retention_seconds >= 3600 && var.queue_retention_seconds <= 1209600
    error_message = "queue_retention_seconds is from an hour to fourteen days, and best below the dead-letter queue's fourteen days."
  }
}

variable "direct_retries" {
  description = "How often Lambda tries an event again that S3 sent directly."
  type        = number
  default     = 2

  validation {
    condition     = contains([0, 1, 2], var.direct_retries)
    error_message = "direct_retries is 0, 1 or 2."
  }
}

variable "direct_event_age_seconds" {
  description = "How long Lambda keeps an event that S3 sent directly."
  type        = number
  default     = 21600

  validation {
    condition     = var.direct_event_age_seconds >= 60 && var.direct_event_age_seconds <= 21600
    error_message = "direct_event_age_seconds is from 60 to 21600."
  }
}

variable "enable_kms" {
  description = "Whether kms_key_arn encrypts queues, log and environment. A switch of its own, because the ARN is not known before the key is made."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "The key, if there is one."
  type        = string
  default     = null
}

variable "enable_tracing" {
  description = "Whether X-Ray traces invocations."
  type        = bool
  default     = false
}

variable "enable_canary" {
  description = "Whether a small picture is uploaded on a schedule."
  type        = bool
  default     = false
}

variable "canary_minutes" {
  description = "Minutes between two uploads of the canary, 2 or more."
  type        = number
  default     = 15
}

variable "enable_batch_operations" {
  description = "Whether there is a role by which S3 Batch Operations may run the function over what lies in the upload bucket."
  type        = bool
  default     = false
}

variable "batch_prefix" {
  description = "Where in the processed bucket Batch Operations finds its list of objects and puts its report."
  type        = string
  default     = "batch-operations/"

  validation {
    condition     = can(regex("^[^/*?].*/$", var.batch_prefix))
    error_message = "batch_prefix ends with / and does not begin with one."
  }
}
