# Bakes a Debian web server: nginx and the static site of site/.
#
#   bakehouse build -var base_image=$(templates/debian/base.sh) templates/debian
#
# No credentials, cd or floppy are given: Bakehouse attaches a NoCloud seed with a key of its own.

variable "base_image" {
  type        = string
  description = "The disk to start from: what base.sh prints."
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
  type        = string
  default     = "8G"
  description = "The root file system grows to it at the first boot."
}

source "qemu" "debian" {
  disk_image   = true
  iso_url      = var.base_image
  iso_checksum = "none"

  cpus               = var.cpus
  memory             = var.memory
  disk_size          = var.disk_size
  disk_interface     = "virtio"
  disk_discard       = "unmap"
  disk_detect_zeroes = "unmap"
  net_device         = "virtio-net"
  headless           = true

  ssh_username     = "debian"
  ssh_timeout      = "10m"
  shutdown_command = "sudo poweroff"

  format           = "qcow2"
  disk_compression = true
  vm_name          = "debian.qcow2"
  output_directory = var.output_directory
}

build {
  sources = ["source.qemu.debian"]

  provisioner "file" {
    source      = "${path.root}/site"
    destination = "/tmp"
  }

  provisioner "shell" {
    script          = "${path.root}/install.sh"
    execute_command = "chmod +x {{.Path}}; {{.Vars}} sudo -E {{.Path}}"
  }

  provisioner "shell" {
    script          = "${path.root}/seal.sh"
    execute_command = "chmod +x {{.Path}}; {{.Vars}} sudo -E {{.Path}}"
  }

  post-processor "manifest" {
    output     = "${var.output_directory}/manifest.json"
    strip_path = true
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "${var.output_directory}/SHA256SUMS"
  }
}
