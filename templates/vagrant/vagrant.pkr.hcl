# Bakes a Debian Vagrant box: for libvirt, and for VirtualBox from the same disk.
#
#   bakehouse build -var base_image=$(templates/debian/base.sh) templates/vagrant
#   vagrant box add output/vagrant/metadata.json

variable "base_image" {
  type        = string
  description = "The disk to start from: what templates/debian/base.sh prints."
}

variable "output_directory" {
  type    = string
  default = "output/vagrant"
}

variable "box_tag" {
  type    = string
  default = "bakehouse/debian"
}

variable "version" {
  type    = string
  default = "1.0.0"
}

variable "keep_versions" {
  type        = number
  default     = 5
  description = "So many versions stay listed in the catalog."
}

variable "disk_size" {
  type        = string
  default     = "8G"
  description = "The root file system has grown to it in the box."
}

source "qemu" "debian" {
  disk_image   = true
  iso_url      = var.base_image
  iso_checksum = "none"

  cpus               = 2
  memory             = 1024
  disk_size          = var.disk_size
  disk_discard       = "unmap"
  disk_detect_zeroes = "unmap"
  headless           = true

  ssh_username     = "debian"
  ssh_timeout      = "10m"
  shutdown_command = "sudo poweroff"

  # Not compressed: the box is.
  format           = "qcow2"
  vm_name          = "debian.qcow2"
  output_directory = "${var.output_directory}/disk"
}

build {
  sources = ["source.qemu.debian"]

  provisioner "shell" {
    script          = "${path.root}/setup.sh"
    execute_command = "chmod +x {{.Path}}; {{.Vars}} sudo -E {{.Path}}"
  }

  # Each chain starts from the disk; the catalog lists a box under its version and provider.
  post-processors {
    post-processor "vagrant" {
      output              = "${var.output_directory}/debian-${var.version}-{{.Provider}}.box"
      keep_input_artifact = true
    }
    post-processor "vagrant-catalog" {
      output        = "${var.output_directory}/metadata.json"
      box_tag       = var.box_tag
      version       = var.version
      description   = "Debian 12 with OpenSSH, sudo and rsync"
      keep_versions = var.keep_versions
    }
  }

  post-processors {
    post-processor "vagrant" {
      provider_override   = "virtualbox"
      output              = "${var.output_directory}/debian-${var.version}-{{.Provider}}.box"
      keep_input_artifact = true
    }
    post-processor "vagrant-catalog" {
      output        = "${var.output_directory}/metadata.json"
      box_tag       = var.box_tag
      version       = var.version
      keep_versions = var.keep_versions
    }
  }
}
