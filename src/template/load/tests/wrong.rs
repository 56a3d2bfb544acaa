//! Wrong templates, and what is said of them.

use super::*;

#[test]
fn wrong_templates_syntax() {
    let case = Case::hcl(
        "source \"qemu\" \"a\" {\n  iso_urls = [\"a\" \"b\"]\n  memory   = 1024,\n  name = 'x'\n  cd_files = [\n    \"a\",\n  headless = true\n}\n\nbuild {\n  sources = [\"qemu.a\n}\n",
    );
    insta::assert_snapshot!(case.shown(), @r#"
    error: expected `,` or `]`, but here a string begins
     --> a.pkr.hcl:2:19
      |
    2 |   iso_urls = ["a" "b"]
      |                   ^

    error: attributes are separated by line breaks, not by commas
     --> a.pkr.hcl:3:18
      |
    3 |   memory   = 1024,
      |                  ^

    error: a string is written in double quotes
     --> a.pkr.hcl:4:10
      |
    4 |   name = 'x'
      |          ^

    error: this `[` is never closed
     --> a.pkr.hcl:5:14
      |
    5 |   cd_files = [
      |              ^
      |
      = help: a `]` is missing

    error: this string is never closed
      --> a.pkr.hcl:11:14
       |
    11 |   sources = ["qemu.a
       |              ^^^^^^^
       |
       = help: a `"` is missing before the end of the line
    "#);
}

#[test]
fn wrong_templates_blocks() {
    let case = Case::hcl(
        "sorce \"qemu\" \"a\" {}\nsource \"qemu\" {}\nvariable \"v\" {\n  type    = strin\n  defalt  = 1\n}\nbuild {\n  sources = [\"qemu.b\"]\n  provisoner \"shell\" {}\n}\nx = 1\n",
    );
    insta::assert_snapshot!(case.shown(), @r#"
    error: there is no block `sorce`
     --> a.pkr.hcl:1:1
      |
    1 | sorce "qemu" "a" {}
      | ^^^^^
      |
      = help: did you mean `source`?

    error: `source` needs its name as a label
     --> a.pkr.hcl:2:1
      |
    2 | source "qemu" {}
      | ^^^^^^
      |
      = help: write `source "type" "name" {`

    error: there is no type `strin`
     --> a.pkr.hcl:4:13
      |
    4 |   type    = strin
      |             ^^^^^
      |
      = help: did you mean `string`?

    error: `variable` has no option `defalt`
     --> a.pkr.hcl:5:3
      |
    5 |   defalt  = 1
      |   ^^^^^^
      |
      = help: did you mean `default`?

    error: there is no source `qemu.b`
     --> a.pkr.hcl:8:14
      |
    8 |   sources = ["qemu.b"]
      |              ^^^^^^^^
      |
      = help: declare it with `source "qemu" "b" {}`

    error: `build` has no block `provisoner`
     --> a.pkr.hcl:9:3
      |
    9 |   provisoner "shell" {}
      |   ^^^^^^^^^^
      |
      = help: did you mean `provisioner`?

    error: `x` is no block: nothing can be set at the top level
      --> a.pkr.hcl:11:1
       |
    11 | x = 1
       | ^
       |
       = help: values that are used again stand in `locals { ... }`
    "#);
}

#[test]
fn wrong_templates_values() {
    let case = Case::hcl(
        r#"
variable "name" { default = "x" }
locals {
  a = var.nmae
  b = upper(var.name, 1)
  c = { x = 1 }.y
  d = "${["a"]}-b"
}
source "null" "s" {
  v = loca.a
  w = [1, local.zzz, build]
}
build {
  source "null.s" {
    w = 1
  }
  provisioner "shell" {
    only         = ["null.s"]
    except       = ["null.s"]
    pause_before = "5x"
    max_retries  = -1
    timeout      = build.Port
  }
}
"#,
    );
    insta::assert_snapshot!(case.shown(), @r#"
    error: there is no variable `nmae`
     --> a.pkr.hcl:4:11
      |
    4 |   a = var.nmae
      |           ^^^^
      |
      = help: did you mean `name`?

    error: upper(text) takes 1 arguments, and there are 2
     --> a.pkr.hcl:5:23
      |
    5 |   b = upper(var.name, 1)
      |                       ^
      |
      = note: var.name is "x"

    error: this object has no attribute `y`
     --> a.pkr.hcl:6:17
      |
    6 |   c = { x = 1 }.y
      |                 ^
      |
      = help: did you mean `x`?

    error: a string is required, and this is a list
     --> a.pkr.hcl:7:10
      |
    7 |   d = "${["a"]}-b"
      |          ^^^^^

    error: there is nothing called `loca` here
      --> a.pkr.hcl:10:7
       |
    10 |   v = loca.a
       |       ^^^^
       |
       = help: did you mean `local`?

    error: there is no local `zzz`
      --> a.pkr.hcl:11:17
       |
    11 |   w = [1, local.zzz, build]
       |                 ^^^
       |
       = help: it has: a, b, c, d

    error: `only` and `except` cannot be set together
      --> a.pkr.hcl:19:5
       |
    18 |     only         = ["null.s"]
       |     ---- `only` is set here
    19 |     except       = ["null.s"]
       |     ^^^^^^

    error: `5x` is not a duration
      --> a.pkr.hcl:20:20
       |
    20 |     pause_before = "5x"
       |                    ^^^^
       |
       = help: write a number with a unit: "500ms", "30s", "5m", "1h30m"

    error: `max_retries` must be a whole number, 0 or more
      --> a.pkr.hcl:21:20
       |
    21 |     max_retries  = -1
       |                    ^^

    error: `timeout` must be known before the machine runs
      --> a.pkr.hcl:22:20
       |
    22 |     timeout      = build.Port
       |                    ^^^^^^^^^^
    "#);
}
