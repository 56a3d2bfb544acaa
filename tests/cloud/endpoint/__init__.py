"""An EC2 endpoint on loopback whose instances are real guests: moto's API surface, QEMU behind it."""
