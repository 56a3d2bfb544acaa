locals {
  a = "x"
}
