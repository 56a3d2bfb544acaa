variable "name" {
  type    = string
  default = "world"
}
variable "number" {
  type    = number
  default = "42"
}
variable "list" {
  type    = list(string)
  default = [1, "b"]
}
variable "nothing" {
  type    = string
  default = null
}
variable "settings" {
  type = object({
    debug = bool
    tags  = map(string)
  })
  default = {
    debug = "true"
    tags  = { a = 1 }
  }
}
locals {
  text   = "hello"
  list   = [1, 2, 3]
  object = { a = "x", b = "y" }
  nested = { x = { y = [1, 2] } }
  people = [
    { name = "ann", age = 41, tags = ["a", "b"] },
    { name = "bob", age = 17, tags = ["c", "d"] },
  ]
}
