locals {
  a = "unterminated ${x
  b = [1, 
}
build {