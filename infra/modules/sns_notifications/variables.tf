variable "name" {
  description = "What the topics' names begin with. Alarms whose names begin with it may publish."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,62}$", var.name))
    error_message = "name is made of small letters, digits and hyphens, and begins with a letter."
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

variable "emails" {
  description = "Addresses by channel."
  type = object({
    critical    = optional(set(string), [])
    performance = optional(set(string), [])
    logs        = optional(set(string), [])
  })
  default = {}

  validation {
    condition = alltrue([
      for address in setunion(var.emails.critical, var.emails.performance, var.emails.logs) :
      can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))
    ])
    error_message = "Each of emails is an address such as somebody@example.com."
  }
}

variable "sms" {
  description = "A telephone number for critical alerts, such as +4915112345678; empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.sms == "" || can(regex("^\\+[1-9][0-9]{6,14}$", var.sms))
    error_message = "sms is a number with + and the country's code, without spaces."
  }
}

variable "webhook_url" {
  description = "An https address that gets the messages too; empty: none. It must confirm its subscription."
  type        = string
  default     = ""

  validation {
    condition     = var.webhook_url == "" || startswith(var.webhook_url, "https://")
    error_message = "webhook_url begins with https://."
  }
}

variable "webhook_channels" {
  description = "The channels whose messages the webhook gets."
  type        = set(string)
  default     = ["critical"]

  validation {
    condition     = length(setsubtract(var.webhook_channels, ["critical", "performance", "logs"])) == 0
    error_message = "webhook_channels holds critical, performance or logs."
  }
}
