# One of everything.
packer {
  required_version = ">= 1.7.0"
  required_plugins {
    qemu = {
      version = "~> 1"
      source  = "github.com/hashicorp/qemu"
    }
  }
}
variable "name" {
  type    = string
  default = "wéb"
  validation {
    condition     = length(var.name) > 0
    error_message = "A name is needed."
  }
}
variables {
  ports = [80, 443]
}
variable "disk" {
  type    = object({ size = string, kind = optional(string, "thin") })
  default = { size = "10G" }
}
local "token" {
  expression = "t-${1 + 2 * 3}"
  sensitive  = true
}
data "null" "zone" { input = "eu" }
locals {
  full  = "${var.name}-${data.null.zone.output}%{ if var.disk.kind == "thin" } thin%{ else } thick%{ endif }"
  rules = [for i, port in var.ports : "${i}: ${port}" if port > 0]
  text  = <<-EOT
    a ${~ local.full ~} b
      %{ for port in var.ports ~}
      ${port}
      %{ endfor ~}
  EOT
  table = { for port in var.ports : "p${port}" => port... }
  first = var.ports[0] /* the one
    that counts */
  all   = [{ a = { b = [1] } }, { a = { b = [2] } }][*].a.b[0]
  sum   = max(var.ports...) >= 443 && !false ? -1 : var.nothing
}
source "null" "a" { communicator = "none" }
build {
  name = "web"
  dynamic "source" {
    for_each = ["x", "y"]
    labels   = ["null.a"]
    content { name = "${source.value}1" }
  }
  provisioner "shell-local" {
    inline = ["echo '${local.full}' $${HOME} %%{x} {{ build_name }} ${build.ID}"]
    only   = ["null.x1"]
  }
  post-processors {
    post-processor "manifest" { output = "m.json" }
    post-processor "checksum" { checksum_types = ["sha256"] }
  }
}
