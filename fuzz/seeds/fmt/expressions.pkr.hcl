locals {
  a = 1 + 2 * 3 % 4 / -5 == !true ? [1, "b", null][*] : { (1) = 2, c : [] }.c[0]
  b = try(jsondecode("{\"a\":[1,2.5e3,true]}").a[1], can(x), 0xff)
  c = [for x in range(3) : x if x > 0]...
  d = format("%5.2f %s %#v %q", 1.5, "é", [1], "\u00e9\n")
  e = cidrsubnet("10.0.0.0/8", 8, 2)
  f = regex_replace("abc", "(b)", "[$1]") # comment
  g = formatdate("YYYY-MM-DD'T'hh:mm", timeadd("2020-01-01T00:00:00Z", "1h")) // another
  h = merge({ a = 1 }, { b = 2 })["a"] /* third */
  i = setproduct(["a"], ["b", "c"]).*.0
  j = yamldecode("a: [1, {b: c}]\nd: |\n  text\n")
  k = local.a.b.0[local.h].*.x
}
