variable "name" {
  description = "What the buckets' names begin with."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}$", var.name))
    error_message = "name is made of small letters, digits and hyphens, begins with a letter, and has 39 characters at most: S3's names end at 63."
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

variable "upload_bucket_name" {
  description = "The upload bucket's name; null: one is made up."
  type        = string
  default     = null

  validation {
    condition     = var.upload_bucket_name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.upload_bucket_name))
    error_message = "upload_bucket_name is not a name that S3 takes."
  }
}

variable "processed_bucket_name" {
  description = "The processed bucket's name; null: one is made up."
  type        = string
  default     = null

  validation {
    condition     = var.processed_bucket_name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.processed_bucket_name))
    error_message = "processed_bucket_name is not a name that S3 takes."
  }

  validation {
    condition     = var.processed_bucket_name == null || var.processed_bucket_name != var.upload_bucket_name
    error_message = "processed_bucket_name is the upload bucket's: the function would process its own output."
  }
}

variable "enable_versioning" {
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
  description = "Whether a key of the account encrypts what is stored, instead of AES256 with S3's own."
  type        = bool
  default     = false
}

variable "enable_access_logs" {
  description = "Whether S3 logs every request in a bucket of its own."
  type        = bool
  default     = false
}

variable "enable_access_audit" {
  description = "Whether CloudTrail records every request to objects of both buckets, in a log that alarms watch."
  type        = bool
  default     = false
}

variable "access_log_days" {
  description = "After how many days access logs and the trail's files go."
  type        = number
  default     = 90

  validation {
    condition     = var.access_log_days >= 1 && floor(var.access_log_days) == var.access_log_days
    error_message = "access_log_days is a whole number, 1 or more."
  }
}

variable "audit_retention_days" {
  description = "How many days the audit's log group keeps its lines."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.audit_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
  }
}

variable "force_destroy" {
  description = "Whether terraform destroy deletes full buckets, with every picture in them."
  type        = bool
  default     = false
}
