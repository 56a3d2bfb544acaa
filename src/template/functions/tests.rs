use std::time::{Duration, SystemTime};

use super::json::{decode, encode};
use super::*;

fn cx() -> CallCx {
    CallCx {
        root: "/".into(),
        cwd: env!("CARGO_MANIFEST_DIR").into(),
        env: [("HOME".to_owned(), "/home/me".to_owned())].into(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_580_738_706),
    }
}

fn call(name: &str, args: &str) -> Result<Value, CallError> {
    let args = decode(args).expect(args);
    find(name).expect(name).call(&cx(), args.as_items().expect("a list of arguments"))
}

/// Arguments and result as JSON. What Packer 1.6.6 has was taken from its console.
fn check(table: &[(&str, &str, &str)]) {
    for (name, args, result) in table {
        match call(name, args) {
            Ok(value) => assert_eq!(encode(&value), *result, "{name}({args})"),
            Err(error) => panic!("{name}({args}): {error}"),
        }
    }
}

fn check_wrong(table: &[(&str, &str, &str)]) {
    for (name, args, text) in table {
        match call(name, args) {
            Ok(value) => panic!("{name}({args}) gave {}", encode(&value)),
            Err(error) => assert_eq!(error.text, *text, "{name}({args})"),
        }
    }
}

#[test]
fn the_table_is_sorted_and_every_function_documented() {
    let mut names: Vec<&str> = all().iter().map(|function| function.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all().len());
    assert!(all().iter().all(|function| function.doc.ends_with('.') && function.required <= function.params.len()));
}

#[test]
fn numbers() {
    check(&[
        ("abs", "[-2.5]", "2.5"),
        ("ceil", "[1.2]", "2"),
        ("floor", "[-0.5]", "-1"),
        ("log", "[8, 2]", "3"),
        ("log", "[10, 2]", "3.3219280948873626"),
        ("pow", "[2, 100]", "1267650600228229400000000000000"),
        ("pow", "[0.1, 2]", "0.010000000000000002"),
        ("pow", "[2, 0.5]", "1.4142135623730951"),
        ("max", "[1, 3, 2]", "3"),
        ("min", r#"["3"]"#, "3"),
        ("signum", "[-3]", "-1"),
        ("sum", "[[1, 0.5, \"2\"]]", "3.5"),
        ("parseint", r#"["FF", 16]"#, "255"),
        ("parseint", r#"["-1010", 2]"#, "-10"),
        ("parseint", r#"["Zz", 62]"#, "3817"),
    ]);
    check_wrong(&[
        ("log", "[0, 2]", "`number`: the logarithm of 0 in base 2 is not a number"),
        ("parseint", r#"["12", 2]"#, "`text`: \"12\" is not a whole number in base 2"),
        ("sum", "[[]]", "`numbers`: there is nothing to add up"),
        ("max", "[]", "max(numbers...) needs the argument `numbers`"),
        ("abs", r#"["x"]"#, "`number`: a number is required: `x` is not a number"),
        ("abs", "[null]", "`number`: this must not be null"),
    ]);
}

#[test]
fn texts() {
    check(&[
        ("chomp", r#"["a\r\n\n"]"#, r#""a""#),
        ("endswith", r#"["abc", "bc"]"#, "true"),
        ("startswith", r#"["abc", "bc"]"#, "false"),
        ("strcontains", r#"["abc", "b"]"#, "true"),
        ("indent", r#"[2, "a\nb\n"]"#, r#""a\n  b\n  ""#),
        ("join", r#"["-", ["a", "b"], ["c"]]"#, r#""a-b-c""#),
        ("lower", r#"["ÀB"]"#, r#""àb""#),
        ("upper", r#"["ßa"]"#, r#""ßA""#),
        ("title", r#"["hello wORLD-foo o'neil 3ab a_b c.d"]"#, r#""Hello WORLD-Foo O'Neil 3ab A_b C.D""#),
        ("split", r#"[",", ""]"#, r#"[""]"#),
        ("split", r#"[",", "a,b,,c"]"#, r#"["a","b","","c"]"#),
        ("split", r#"["", "abc"]"#, r#"["a","b","c"]"#),
        ("strrev", r#"["héllo"]"#, r#""olléh""#),
        ("substr", r#"["hello", 1, 3]"#, r#""ell""#),
        ("substr", r#"["hello", -3, 2]"#, r#""ll""#),
        ("substr", r#"["hello", 1, -1]"#, r#""ello""#),
        ("substr", r#"["hello", 10, 2]"#, r#""""#),
        ("substr", r#"["héllo", 1, 100]"#, r#""éllo""#),
        ("trim", r#"["?!hello?!", "!?"]"#, r#""hello""#),
        ("trimprefix", r#"["helloworld", "hello"]"#, r#""world""#),
        ("trimsuffix", r#"["helloworld", "world"]"#, r#""hello""#),
        ("trimspace", r#"["\u00a0 a \n"]"#, r#""a""#),
        ("replace", r#"["a.b.c", ".", "-"]"#, r#""a-b-c""#),
        ("replace", r#"["/a/b", "/a/", "c"]"#, r#""cb""#),
        ("regex", r#"["[a-z]+", "123abc456def"]"#, r#""abc""#),
        ("regex", r#"["(\\d)(x)?", "1a"]"#, r#"["1",null]"#),
        ("regex", r#"["(?P<n>\\d)(?P<w>\\w)", "1a"]"#, r#"{"n":"1","w":"a"}"#),
        ("regexall", r#"["[a-z]", "a1b"]"#, r#"["a","b"]"#),
        ("regexall", r#"["x", "a"]"#, "[]"),
        ("regex_replace", r#"["abcabc", "a(b)", "[$1]"]"#, r#""[b]c[b]c""#),
    ]);
    check_wrong(&[
        ("regex", r#"["x", "y"]"#, "`text`: the pattern matches nothing in it"),
        ("indent", r#"[-1, "a"]"#, "`spaces`: this must not be negative"),
        ("substr", r#"["a", 0.5, 1]"#, "`offset`: a whole number is required, and this is 0.5"),
        ("upper", "[[]]", "`text`: a string is required"),
        ("upper", r#"["a", "b"]"#, "upper(text) takes 1 arguments, and there are 2"),
    ]);
    assert!(
        call("regex", r#"["(", "y"]"#).expect_err("a bad pattern").text.starts_with("`pattern`: this is no regular")
    );
}

#[test]
fn formats() {
    check(&[
        (
            "format",
            r#"["%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b", 42, 42, 42, 42, 42, 255, 255, 8, 5]"#,
            r#""42|   42|42   |00042|+42|ff|FF|10|101""#,
        ),
        (
            "format",
            r#"["%s|%10s|%-10s|%q|%.2s", "a", "b", "c", "d\n", "efg"]"#,
            r#""a|         b|c         |\"d\\n\"|ef""#,
        ),
        ("format", r#"["%v|%v|%v|%v", "s", 1.5, true, [1, "x"]]"#, r#""s|1.5|true|[1,\"x\"]""#),
        ("format", r#"["%#v|%#v", "s", {"a": 1}]"#, r#""\"s\"|{\"a\":1}""#),
        (
            "format",
            r#"["%f|%.2f|%8.3f|%e|%g|%G|%E", 1.5, 3.14159, 2.5, 12345.678, 0.00001, 1e21, 1.5]"#,
            r#""1.500000|3.14|   2.500|1.234568e+04|1e-05|1E+21|1.500000E+00""#,
        ),
        ("format", r#"["%t %%", true]"#, r#""true %""#),
        ("format", r#"["%[2]s %[1]s", "a", "b"]"#, r#""b a""#),
        ("format", r#"["%d", "12"]"#, r#""12""#),
        ("format", r#"["%v", null]"#, r#""null""#),
        (
            "format",
            r#"["%v %v %v", 1000000, 123456789012345678901234, 1e-7]"#,
            r#""1e+06 1.23456789012345678901234e+23 1e-07""#,
        ),
        ("format", r#"["%.3g %.3g %g", 12345.678, 0.00001234, 123456]"#, r#""1.23e+04 1.23e-05 123456""#),
        ("format", r#"["%#x|% d|%x|%e|%g", 255, 5, -255, 0, 0]"#, r#""0xff| 5|-ff|0.000000e+00|0""#),
        ("format", r#"["%08.3f|%+.1e", -3.14159, 12345]"#, r#""-003.142|+1.2e+04""#),
        ("formatlist", r#"["%s-%s", ["a", "b"], "c"]"#, r#"["a-c","b-c"]"#),
        ("formatlist", r#"["%s", []]"#, "[]"),
        ("formatlist", r#"["%s", "a"]"#, r#"["a"]"#),
    ]);
    check_wrong(&[
        ("format", r#"["%s"]"#, "`format`: `%s` needs a value number 1, and there are 0"),
        ("format", r#"["a", 1]"#, "`values`: there are 1 values, and the format uses 0"),
        ("format", r#"["%d", 1.5]"#, "`values`: `%d`: a whole number is required, and this is 1.5"),
        ("format", r#"["%s", [1]]"#, "`values`: a string is required, and this is a list"),
        ("formatlist", r#"["%s%s", ["a"], []]"#, "`values`: this list has 0 elements, an earlier one 1"),
    ]);
}

#[test]
fn collections() {
    check(&[
        ("alltrue", r#"[[true, "true"]]"#, "true"),
        ("anytrue", "[[]]", "false"),
        ("chunklist", r#"[["a", "b", "c"], 2]"#, r#"[["a","b"],["c"]]"#),
        ("chunklist", r#"[["a"], 0]"#, r#"[["a"]]"#),
        ("chunklist", "[[], 2]", "[]"),
        ("coalesce", r#"["", "b"]"#, r#""b""#),
        ("coalesce", r#"[null, 1, "b"]"#, r#""1""#),
        ("coalescelist", r#"[[], ["a"]]"#, r#"["a"]"#),
        ("compact", r#"[["a", "", null]]"#, r#"["a"]"#),
        ("concat", r#"[["a"], [1]]"#, r#"["a",1]"#),
        ("contains", r#"[["a"], "a"]"#, "true"),
        ("contains", r#"[[1], "1"]"#, "false"),
        ("distinct", r#"[["a", "b", "a"]]"#, r#"["a","b"]"#),
        ("element", r#"[["a", "b"], 3]"#, r#""b""#),
        ("flatten", r#"[[["a"], [], ["b", ["c"]]]]"#, r#"["a","b","c"]"#),
        ("flatten", r#"[[[1], {"a": 1}]]"#, r#"[1,{"a":1}]"#),
        ("index", r#"[["a", "b"], "b"]"#, "1"),
        ("keys", r#"[{"b": 1, "a": 2}]"#, r#"["a","b"]"#),
        ("values", r#"[{"b": 1, "a": "x"}]"#, r#"["x",1]"#),
        ("length", r#"["a😀é"]"#, "3"),
        ("length", "[[1, 2]]", "2"),
        ("length", r#"[{"a": 1}]"#, "1"),
        ("lookup", r#"[{"a": 1}, "b", 2]"#, "2"),
        ("lookup", r#"[{"a": 1, "b": "x"}, "a", "z"]"#, "1"),
        ("merge", r#"[{"a": 1}, {"b": 2}, null, {"a": 3}]"#, r#"{"a":3,"b":2}"#),
        ("merge", "[]", "{}"),
        ("range", "[3]", "[0,1,2]"),
        ("range", "[1, 8, 2]", "[1,3,5,7]"),
        ("range", "[4, 1]", "[4,3,2]"),
        ("range", "[0, 1, 0.25]", "[0,0.25,0.5,0.75]"),
        ("range", "[1, 1]", "[]"),
        ("reverse", "[[1, 2, 3]]", "[3,2,1]"),
        ("slice", r#"[["a", "b", "c"], 1, 2]"#, r#"["b"]"#),
        ("sort", r#"[["b", "a", "10", "9"]]"#, r#"["10","9","a","b"]"#),
        ("sort", "[[3, 20, 1]]", r#"["1","20","3"]"#),
        ("zipmap", r#"[["a", "b"], [1, 2]]"#, r#"{"a":1,"b":2}"#),
        ("setproduct", r#"[["a", "b"], [1, 2]]"#, r#"[["a",1],["a",2],["b",1],["b",2]]"#),
        ("setproduct", r#"[["a"], []]"#, "[]"),
        ("setunion", r#"[["a"], ["b", "a"]]"#, r#"["a","b"]"#),
        ("setintersection", r#"[["a", "b"], ["b"]]"#, r#"["b"]"#),
    ]);
    check_wrong(&[
        ("element", "[[], 0]", "`list`: the list is empty"),
        ("index", r#"[["a"], "z"]"#, "`value`: the list has no such element"),
        ("lookup", r#"[{"a": 1}, "b"]"#, "`key`: the map has nothing under \"b\", and there is no default"),
        ("slice", r#"[["a"], 0, 5]"#, "`end`: 5 lies outside of the list, which has 1 elements"),
        ("range", "[1, 2, -1]", "`limits`: steps of -1 do not lead from 1 to 2"),
        ("range", "[2000]", "a range has at most 1024 numbers"),
        ("zipmap", r#"[["a"], []]"#, "`values`: there are 0 values for 1 keys"),
        ("length", "[5]", "`value`: a string, list or map is required, and this is a number"),
        ("keys", "[[1]]", "`map`: a map or an object is required, and this is a list"),
        ("coalesce", r#"["", null]"#, "every value is null or empty"),
    ]);
}

#[test]
fn encodings() {
    check(&[
        ("base64encode", r#"["hé"]"#, r#""aMOp""#),
        ("base64decode", r#"["aMOp"]"#, r#""hé""#),
        ("textencodebase64", r#"["Hi", "UTF-16LE"]"#, r#""SABpAA==""#),
        ("textdecodebase64", r#"["SABpAA==", "UTF-16LE"]"#, r#""Hi""#),
        ("textencodebase64", r#"["é", "ISO-8859-1"]"#, r#""6Q==""#),
        ("urlencode", r#"["a b&c/é~*'()-._+"]"#, r#""a+b%26c%2F%C3%A9~%2A%27%28%29-._%2B""#),
        ("csvdecode", r#"["a,b\n1,2\n3,\"x\"\"y\"\n"]"#, r#"[{"a":"1","b":"2"},{"a":"3","b":"x\"y"}]"#),
        ("jsonencode", r#"["<a&b>é\u2028\n\t\""]"#, r#""\"\\u003ca\\u0026b\\u003eé\\u2028\\n\\t\\\"\"""#),
        ("jsonencode", r#"[{"b": 1, "a": [true, null]}]"#, r#""{\"a\":[true,null],\"b\":1}""#),
        ("jsondecode", r#"["{\"a\":[1,2.50,null,true]}"]"#, r#"{"a":[1,2.5,null,true]}"#),
        ("jsondecode", r#"["\"\\ud83d\\ude00\""]"#, r#""😀""#),
    ]);
    for (name, args) in [
        ("base64decode", r#"["/w=="]"#),
        ("base64decode", r#"["a"]"#),
        ("jsondecode", r#"[""]"#),
        ("jsondecode", r#"["{\"a\":1,}"]"#),
        ("jsondecode", r#"["'a'"]"#),
        ("csvdecode", r#"["a,a\n1,2"]"#),
        ("csvdecode", r#"["a,b\n1"]"#),
        ("textencodebase64", r#"["日", "ISO-8859-1"]"#),
        ("textencodebase64", r#"["a", "klingon"]"#),
    ] {
        assert!(call(name, args).is_err(), "{name}({args})");
    }
}

#[test]
fn gzip_unpacks_again() {
    use base64::Engine as _;
    use std::io::Read as _;
    let packed = call("base64gzip", r#"["hello"]"#).expect("packs");
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed.as_str().expect("text")).expect("Base64");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, "hello");
}

#[test]
fn files() {
    check(&[
        ("basename", r#"["/a/b/"]"#, r#""b""#),
        ("basename", r#"[""]"#, r#"".""#),
        ("basename", r#"["/"]"#, r#""/""#),
        ("dirname", r#"["/a/b/"]"#, r#""/a/b""#),
        ("dirname", r#"["/a"]"#, r#""/""#),
        ("dirname", r#"["a"]"#, r#"".""#),
        ("dirname", r#"["a/../b/c"]"#, r#""b""#),
        ("abspath", r#"["/a/./b/../../../c"]"#, r#""/c""#),
        ("pathexpand", r#"["~/x"]"#, r#""/home/me/x""#),
        ("fileexists", r#"["Cargo.toml"]"#, "true"),
        ("fileexists", r#"["no-such-file"]"#, "false"),
        ("fileset", r#"["src/template", "{plan,mod}.rs"]"#, r#"["mod.rs","plan.rs"]"#),
        ("fileset", r#"["src", "template/pl*"]"#, r#"["template/plan.rs"]"#),
        ("fileset", r#"["no-such-folder", "*"]"#, "[]"),
    ]);
    let manifest = call("file", r#"["Cargo.toml"]"#).expect("reads");
    assert!(manifest.as_str().expect("text").starts_with("[workspace]"));
    for (name, args) in [("file", r#"["no-such-file"]"#), ("fileexists", r#"["src"]"#), ("pathexpand", r#"["~root"]"#)]
    {
        assert!(call(name, args).is_err(), "{name}({args})");
    }
}

#[test]
fn times() {
    check(&[
        ("timestamp", "[]", r#""2020-02-03T14:05:06Z""#),
        ("legacy_isotime", "[]", r#""2020-02-03T14:05:06Z""#),
        ("legacy_isotime", r#"["06-1-2"]"#, r#""20-2-3""#),
        ("legacy_strftime", r#"["%Y.%m.%d"]"#, r#""2020.02.03""#),
        ("timeadd", r#"["2020-02-03T14:05:06Z", "1h30m"]"#, r#""2020-02-03T15:35:06Z""#),
        ("timeadd", r#"["2020-02-03T14:05:06+02:00", "-10m"]"#, r#""2020-02-03T13:55:06+02:00""#),
        (
            "formatdate",
            r#"["YYYY-MM-DD'T'hh:mm:ssZ EEEE MMMM M D HH H AA aa h m s ZZZ ZZZZ ZZZZZ YY EEE MMM", "2020-02-03T14:05:06+02:00"]"#,
            r#""2020-02-03T14:05:06+02:00 Monday February 2 3 02 2 PM pm 14 5 6 +0200 +0200 +02:00 20 Mon Feb""#,
        ),
        ("formatdate", r#"["HH AA 'o''clock' ''", "2020-02-03T00:05:06Z"]"#, r#""12 AM o'clock '""#),
        ("formatdate", r#"["Z ZZZ ZZZZ ZZZZZ", "2020-02-03T00:05:06Z"]"#, r#""Z UTC +0000 +00:00""#),
        (
            "rfc3339_parse",
            r#"["2023-07-25 23:43:16Z"]"#,
            r#"{"day":25,"hour":23,"iso_week":30,"iso_year":2023,"minute":43,"month":7,"month_name":"July","second":16,"unix":1690328596,"weekday":2,"weekday_name":"Tuesday","year":2023,"year_day":206}"#,
        ),
    ]);
    let parsed = call("unix_timestamp_parse", "[1690328596]").expect("in range");
    assert_eq!(parsed.as_fields().expect("an object")["rfc3339"], Value::from("2023-07-25T23:43:16Z"));
    check_wrong(&[
        (
            "formatdate",
            r#"["YYY", "2020-02-03T00:05:06Z"]"#,
            "`format`: `YYY` is no part of a time; text between parts is 'quoted'",
        ),
        ("formatdate", r#"["'a", "2020-02-03T00:05:06Z"]"#, "`format`: a quoted text has no end"),
        ("timeadd", r#"["now", "1h"]"#, "`time`: \"now\" is not an RFC 3339 time like 2006-01-02T15:04:05Z"),
        ("timeadd", r#"["2020-02-03T00:05:06Z", "1 day"]"#, "`duration`: \"1 day\" is not a duration like \"-1h30m\""),
    ]);
}

#[test]
fn digests_and_uuids() {
    check(&[
        ("md5", r#"["a"]"#, r#""0cc175b9c0f1b6a831c399e269772661""#),
        ("sha1", r#"["a"]"#, r#""86f7e437faa5a7fce15d1ddcb9eaeaea377667b8""#),
        ("sha256", r#"[""]"#, r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#),
        ("uuidv5", r#"["dns", "a.com"]"#, r#""af81ca37-5d88-5b45-8d1b-f547104799e9""#),
        ("uuidv5", r#"["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a.com"]"#, r#""af81ca37-5d88-5b45-8d1b-f547104799e9""#),
    ]);
    assert_eq!(call("sha512", r#"["a"]"#).expect("hashes").as_str().map(str::len), Some(128));
    assert_ne!(call("uuidv4", "[]"), call("uuidv4", "[]"));
    let hash = call("bcrypt", r#"["secret", 4]"#).expect("hashes");
    assert_eq!(bcrypt::verify("secret", hash.as_str().expect("text")).ok(), Some(true));
    check_wrong(&[("bcrypt", r#"["x", 40]"#, "`cost`: the cost must lie between 4 and 31")]);
}

#[test]
fn addresses() {
    check(&[
        ("cidrhost", r#"["10.0.0.0/8", 5]"#, r#""10.0.0.5""#),
        ("cidrhost", r#"["10.12.112.0/20", 268]"#, r#""10.12.113.12""#),
        ("cidrhost", r#"["10.0.0.0/24", -1]"#, r#""10.0.0.255""#),
        ("cidrhost", r#"["fd00::/64", 34]"#, r#""fd00::22""#),
        ("cidrhost", r#"["10.1.2.3/24", 5]"#, r#""10.1.2.5""#),
        ("cidrnetmask", r#"["172.16.0.0/12"]"#, r#""255.240.0.0""#),
        ("cidrnetmask", r#"["0.0.0.0/0"]"#, r#""0.0.0.0""#),
        ("cidrsubnet", r#"["172.16.0.0/12", 4, 2]"#, r#""172.18.0.0/16""#),
        ("cidrsubnet", r#"["10.1.2.0/24", 4, 15]"#, r#""10.1.2.240/28""#),
        ("cidrsubnet", r#"["fd00:fd12:3456:7890::/56", 16, 162]"#, r#""fd00:fd12:3456:7800:a200::/72""#),
        ("cidrsubnet", r#"["::/0", 0, 0]"#, r#""::/0""#),
        (
            "cidrsubnets",
            r#"["10.1.0.0/16", 4, 4, 8, 4]"#,
            r#"["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]"#,
        ),
        (
            "cidrsubnets",
            r#"["fd00:fd12:3456:7890::/56", 16, 16]"#,
            r#"["fd00:fd12:3456:7800::/72","fd00:fd12:3456:7800:100::/72"]"#,
        ),
    ]);
    check_wrong(&[
        ("cidrhost", r#"["10.0.0.0/24", 256]"#, "`hostnum`: a /24 network has no host number 256"),
        ("cidrsubnet", r#"["10.1.2.0/24", 4, 16]"#, "`netnum`: 4 bits cannot hold the number 16"),
        ("cidrsubnet", r#"["10.1.2.0/24", 9, 0]"#, "`newbits`: 9 more bits do not fit; a /24 network has 8 left"),
        ("cidrsubnets", r#"["10.1.0.0/16", 1, 1, 1]"#, "`newbits`: there is no room left for this subnet"),
        ("cidrhost", r#"["10.0.0.0", 1]"#, "`prefix`: \"10.0.0.0\" is not a network like 10.0.0.0/8 or fd00::/64"),
    ]);
}

#[test]
fn unknown_and_sensitive_values_pass_through() {
    let upper = find("upper").expect("known");
    let unknown = Value::unknown(Type::String).sensitive(true);
    assert_eq!(upper.call(&cx(), std::slice::from_ref(&unknown)), Ok(unknown.clone()));
    let secret = Value::from("a").sensitive(true);
    assert_eq!(upper.call(&cx(), std::slice::from_ref(&secret)), Ok(Value::from("A").sensitive(true)));
    let error =
        find("parseint").expect("known").call(&cx(), &[secret.clone(), Value::from(10)]).expect_err("no number");
    assert_eq!(error.text, "`parseint` does not accept this sensitive value");

    let tuple = Value::tuple(vec![unknown.clone(), secret.clone()]);
    let length = find("length").expect("known").call(&cx(), std::slice::from_ref(&tuple));
    assert_eq!(length, Ok(Value::from(2)));
    let element = find("element").expect("known").call(&cx(), &[tuple.clone(), Value::from(1)]);
    assert_eq!(element, Ok(secret));
    let joined = find("join").expect("known").call(&cx(), &[Value::from(","), tuple]);
    assert_eq!(joined, Ok(unknown));
}

#[test]
fn yaml() {
    check(&[
        (
            "yamldecode",
            r#"["a: [yes, 017, 0o17, 0x1F, 1_000, ~, 1e3, 2020-01-02, +5, 0b11, -0x1, 1.50]"]"#,
            r#"{"a":[true,17,"0o17","0x1F",1000,null,1000,"2020-01-02T00:00:00Z",5,3,"-0x1",1.5]}"#,
        ),
        (
            "yamldecode",
            r#"["j: \"5\"\nk: !!str 5\nr: No\nw:\n5: z\ntrue: on"]"#,
            r#"{"5":"z","j":"5","k":"5","r":false,"true":true,"w":null}"#,
        ),
        ("yamldecode", r#"["l: &x {q: 1}\nm: {<<: *x, r: 2}\n"]"#, r#"{"l":{"q":1},"m":{"q":1,"r":2}}"#),
        (
            "yamldecode",
            r#"["l: &x {q: 1}\nm: {q: 2, <<: [*x, {q: 3, s: 4}]}\n"]"#,
            r#"{"l":{"q":1},"m":{"q":2,"s":4}}"#,
        ),
        ("yamldecode", r#"["- a\n- b: [1,{}]\n"]"#, r#"["a",{"b":[1,{}]}]"#),
        ("yamldecode", r#"["a: 1\na: 2\n"]"#, r#"{"a":2}"#),
        ("yamldecode", r#"["o: |\n  text\n\np: >-\n  x\n  y\n"]"#, r#"{"o":"text\n","p":"x y"}"#),
        ("yamlencode", r#"["a"]"#, r#""\"a\"\n""#),
        ("yamlencode", "[{}]", r#""{}\n""#),
        ("yamlencode", "[null]", r#""null\n...\n""#),
        (
            "yamlencode",
            r#"[{"a": {}, "b": [], "c": [[1, 2], {"x": 1}], "d": "multi\nline\n", "e": null, "f": true, "g": 1.5, "h": "é\"\\"}]"#,
            r#""\"a\": {}\n\"b\": []\n\"c\":\n- - 1\n  - 2\n- \"x\": 1\n\"d\": |\n  multi\n  line\n\"e\": null\n\"f\": true\n\"g\": 1.5\n\"h\": \"é\\\"\\\\\"\n""#,
        ),
        ("yamlencode", r#"[[[1], [{"a": 1, "b": 2}]]]"#, r#""- - 1\n- - \"a\": 1\n    \"b\": 2\n""#),
        ("yamlencode", r#"["multi\nline"]"#, r#""|-\n  multi\n  line\n""#),
        ("yamlencode", r#"[[{"a": [1]}]]"#, r#""- \"a\":\n  - 1\n""#),
        ("yamlencode", r#"["a\n\nb "]"#, r#""\"a\\n\\nb \"\n""#),
    ]);
    for text in ["", "--- 1\n--- 2\n", "[1, 2", "? [a]\n: b", "!foo x", "*x", ".inf", "&a [*a]"] {
        let args = encode(&Value::tuple(vec![Value::from(text)]));
        assert!(call("yamldecode", &args).is_err(), "{text}");
    }
}

#[test]
fn yaml_does_not_blow_up() {
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for i in 1..40 {
        let j = i - 1;
        bomb += &format!("a{i}: &a{i} [*a{j}, *a{j}, *a{j}, *a{j}]\n");
    }
    for text in [bomb, "[".repeat(5_000)] {
        let args = encode(&Value::tuple(vec![Value::from(text)]));
        assert!(call("yamldecode", &args).is_err());
    }
}

#[test]
fn yaml_comes_back_as_it_went() {
    let values = [
        r#"{"a": ["x\ny\n\n", " x\ny", "\n", "a\tb\u0007\u00a0", "yes", "5", {"b": [[], [{}]]}], "k k: #": "- |\ntab\t\n"}"#,
    ];
    for text in values {
        let value = decode(text).expect(text);
        let yaml = find("yamlencode").expect("known").call(&cx(), std::slice::from_ref(&value)).expect("encodes");
        let back = find("yamldecode").expect("known").call(&cx(), std::slice::from_ref(&yaml)).expect("decodes");
        assert_eq!(encode(&back), encode(&value), "{yaml:?}");
    }
}

/// Keys made for this test; the ciphertext is OpenSSL's.
const KEY_PKCS1: &str = include_str!("testdata/rsa-pkcs1.pem");
const KEY_PKCS8: &str = include_str!("testdata/rsa-pkcs8.pem");
const SEALED: &str = include_str!("testdata/rsa-hello.b64");

#[test]
fn rsa() {
    let decrypt = |sealed: &str, key: &str| {
        find("rsadecrypt").expect("known").call(&cx(), &[Value::from(sealed.trim()), Value::from(key)])
    };
    assert_eq!(decrypt(SEALED, KEY_PKCS1), Ok(Value::from("hello")));
    assert_eq!(decrypt(SEALED, KEY_PKCS8), Ok(Value::from("hello")));
    let text = |result: Result<Value, CallError>| result.expect_err("cannot open").text;
    assert_eq!(text(decrypt("aGk=", KEY_PKCS1)), "`ciphertext`: this key does not open it");
    let no_key = "`private_key`: this is no RSA private key in PEM without a passphrase";
    assert_eq!(text(decrypt(SEALED, "x")), no_key);
}
