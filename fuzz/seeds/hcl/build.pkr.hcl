packer {
  required_version = ">= 1.7.0"
  required_plugins {
    qemu = { version = "~> 1", source = "github.com/hashicorp/qemu" }
  }
}
variable "names" {
  type    = list(object({ a = string, b = optional(number, 3) }))
  default = [{ a = "x" }]
  validation {
    condition     = length(var.names) > 0
    error_message = "None."
  }
}
locals {
  many = { for i, n in var.names : n.a => upper("${i}-${n.b}") if n.b != 2 }
  text = <<-END
    %{ for k, v in local.many ~}
    ${k} = ${v}
    %{ endfor ~}
  END
}
data "null" "x" { input = "y" }
source "null" "a" { communicator = "none" }
source "qemu" "b" {
  qemuargs = [["-m", 2 * 512 + 1]]
  dynamic "tags" {
    for_each = local.many
    content { name = tags.key }
  }
}
build {
  name    = "web"
  sources = ["source.null.a"]
  source "qemu.b" { name = "c" }
  provisioner "shell" {
    inline   = ["echo ${build.ID} ${source.name}", local.text]
    override = { a = { inline = ["x"] } }
    only     = ["null.a"]
  }
  post-processors {
    post-processor "manifest" {}
  }
}
