# A Debian image with a small web service, baked offline but for the package mirror.
#
#   bakehouse build -var base_image=$(templates/debian/base.sh) templates/debian

variable "base_image" {
  type        = string
  description = "A Debian cloud disk, such as base.sh makes."
}

variable "output_directory" {
  type    = string
  default = "output/debian"
}

variable "cpus" {
  type    = number
  default = 2
}

variable "memory" {
  type        = number
  default     = 1024
  description = "In MiB."
}

variable "disk_size" {
  type    = string
  default = "4G"
}

locals {
  site = "${path.root}/site"
}

# No credentials and no seed: Bakehouse gives the guest a fresh key by a NoCloud seed of its own.
source "qemu" "debian" {
  disk_image       = true
  iso_url          = var.base_image
  iso_checksum     = "none"
  format           = "qcow2"
  disk_size        = var.disk_size
  disk_discard     = "unmap"
  disk_compression = true
  cpus             = var.cpus
  memory           = var.memory
  headless         = true
  output_directory = var.output_directory
  vm_name          = "debian.qcow2"
  ssh_username     = "debian"
  shutdown_command = "sudo systemctl poweroff"
}

build {
  sources = ["source.qemu.debian"]

  provisioner "file" {
    source      = local.site
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    script          = "${path.root}/provision.sh"
  }

  post-processor "manifest" {
    output = "${var.output_directory}/manifest.json"
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "${var.output_directory}/SHA256SUMS"
  }
}
