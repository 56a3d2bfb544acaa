# Bakes a Debian web server: nginx and the static site of site/. As a disk on this machine:
#
#   bakehouse build -only=qemu.debian -var base_image=$(templates/debian/base.sh) templates/debian
#
# No credentials, cd or floppy are given: Bakehouse attaches a NoCloud seed with a key of its own.
#
# As an AMI, with the same provisioners; without -only both are made side by side:
#
#   bakehouse build -only=amazon-ebs.debian templates/debian

variable "base_image" {
  type        = string
  default     = ""
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

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "instance_type" {
  type    = string
  default = "t3.micro"
}

variable "ami_name" {
  type    = string
  default = "bakehouse-debian-{{timestamp}}"
}

variable "source_ami" {
  type        = object({ name = string, owner = string, user = string })
  default     = { name = "debian-12-amd64-*", owner = "136693071363", user = "admin" }
  description = "The AMI to start from: Debian's own. `user` is whom its cloud-init gives the key."
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

source "amazon-ebs" "debian" {
  region        = var.region
  instance_type = var.instance_type

  source_ami_filter {
    filters     = { name = var.source_ami.name }
    owners      = [var.source_ami.owner]
    most_recent = true
  }

  ssh_username = var.source_ami.user
  ssh_timeout  = "10m"

  ami_name        = var.ami_name
  ami_description = "Debian web server, from {{ .SourceAMIName }}"
  imds_support    = "v2.0"
  tags            = { Name = "Debian web server", Base = "{{ .SourceAMI }}" }
}

build {
  sources = ["source.qemu.debian", "source.amazon-ebs.debian"]

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
    only       = ["qemu.debian"]
    output     = "${var.output_directory}/manifest.json"
    strip_path = true
  }

  post-processor "manifest" {
    only   = ["amazon-ebs.debian"]
    output = "${var.output_directory}-ami.json"
  }

  post-processor "checksum" {
    only           = ["qemu.debian"]
    checksum_types = ["sha256"]
    output         = "${var.output_directory}/SHA256SUMS"
  }
}
