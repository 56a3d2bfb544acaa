//! One line per function.

use super::Group::{Collections, Encodings, Files, Hashes, Math, Networks, Services, Text, Times, Values};
use super::Kind::{Any, Bool, Mapping, Nullable, Number, Numbers, Sequence, String, Strings};
use super::{
    Call, Function, Group, Kind, Param, collection, encoding, file, format, hash, json, network, numeric, other,
    regexes, services, sets, string, time, yaml,
};

macro_rules! params {
    ($($name:ident $kind:expr),*) => { &[$(Param { name: stringify!($name), kind: $kind }),*] };
}

const fn function(
    group: Group,
    name: &'static str,
    params: &'static [Param],
    returns: Kind,
    doc: &'static str,
    call: Call,
) -> Function {
    let call = Some(call);
    Function {
        group,
        name,
        params,
        required: params.len(),
        variadic: false,
        returns,
        doc,
        example: None,
        elementwise: false,
        call,
    }
}

impl Function {
    /// The last parameter can be given any number of times, also none.
    const fn variadic(self) -> Self {
        Self { required: self.params.len() - 1, variadic: true, ..self }
    }

    const fn needs(self, required: usize) -> Self {
        Self { required, ..self }
    }

    const fn elementwise(self) -> Self {
        Self { elementwise: true, ..self }
    }

    const fn example(self, expression: &'static str, result: &'static str) -> Self {
        Self { example: Some((expression, result)), ..self }
    }

    const fn special(self) -> Self {
        Self { call: None, ..self }
    }
}

#[rustfmt::skip]
pub(super) const TABLE: &[Function] = &[
    function(Math, "abs", params!(number Number), Number, "The number without its sign.", numeric::abs).example("abs(-12)", "12"),
    function(Files, "abspath", params!(path String), String, "The absolute form of a path, from the working directory.", file::abspath),
    function(Collections, "alltrue", params!(list Sequence), Bool, "True when every element is true.", collection::alltrue).example("alltrue([true, false])", "false"),
    function(Collections, "anytrue", params!(list Sequence), Bool, "True when some element is true.", collection::anytrue).example("anytrue([true, false])", "true"),
    function(Services, "aws_secretsmanager", params!(name String, key String), String, "A field of a secret that AWS Secrets Manager keeps; without a key, its only one.", services::aws_secretsmanager).needs(1),
    function(Services, "aws_secretsmanager_raw", params!(name String), String, "The whole text of a secret that AWS Secrets Manager keeps.", services::aws_secretsmanager_raw),
    function(Encodings, "base64decode", params!(text String), String, "The UTF-8 text that a Base64 text stands for.", encoding::base64decode).example(r#"base64decode("aGk=")"#, r#""hi""#),
    function(Encodings, "base64encode", params!(text String), String, "A text's UTF-8 bytes as Base64.", encoding::base64encode).example(r#"base64encode("hi")"#, r#""aGk=""#),
    function(Encodings, "base64gzip", params!(text String), String, "A text, gzipped, as Base64.", encoding::base64gzip),
    function(Files, "basename", params!(path String), String, "The last part of a path.", file::basename).example(r#"basename("/tmp/disk.img")"#, r#""disk.img""#),
    function(Hashes, "bcrypt", params!(password String, cost Number), String, "A bcrypt hash of a password; the cost defaults to 10.", hash::bcrypt).needs(1),
    function(Values, "can", params!(expression Nullable), Bool, "True when the expression evaluates without error.", other::special).special().example(r#"can(1 + "a")"#, "false"),
    function(Math, "ceil", params!(number Number), Number, "The nearest whole number that is not smaller.", numeric::ceil).example("ceil(4.1)", "5"),
    function(Text, "chomp", params!(text String), String, "A text without the newlines at its end.", string::chomp).example(r#"chomp("text\n")"#, r#""text""#),
    function(Collections, "chunklist", params!(list Sequence, size Number), Any, "A list cut into lists of that size.", collection::chunklist).elementwise().example("chunklist([1, 2, 3], 2)", "[[1, 2], [3]]"),
    function(Networks, "cidrhost", params!(prefix String, hostnum Number), String, "The address of a numbered host within a network.", network::cidrhost).example(r#"cidrhost("10.0.0.0/8", 5)"#, r#""10.0.0.5""#),
    function(Networks, "cidrnetmask", params!(prefix String), String, "The netmask of an IPv4 network.", network::cidrnetmask).example(r#"cidrnetmask("10.0.0.0/12")"#, r#""255.240.0.0""#),
    function(Networks, "cidrsubnet", params!(prefix String, newbits Number, netnum Number), String, "A numbered subnet of a network.", network::cidrsubnet).example(r#"cidrsubnet("10.0.0.0/8", 8, 2)"#, r#""10.2.0.0/16""#),
    function(Networks, "cidrsubnets", params!(prefix String, newbits Number), Strings, "Consecutive subnets of a network, one per given number of bits.", network::cidrsubnets).variadic().example(r#"cidrsubnets("10.0.0.0/8", 8, 8)"#, r#"["10.0.0.0/16", "10.1.0.0/16"]"#),
    function(Collections, "coalesce", params!(values Nullable), Any, "The first value that is neither null nor an empty string.", collection::coalesce).variadic().needs(1).elementwise().example(r#"coalesce("", "a", "b")"#, r#""a""#),
    function(Collections, "coalescelist", params!(lists Sequence), Any, "The first list that is not empty.", collection::coalescelist).variadic().needs(1).elementwise().example(r#"coalescelist([], ["a"])"#, r#"["a"]"#),
    function(Collections, "compact", params!(list Strings), Strings, "A list without its empty and null strings.", collection::compact).example(r#"compact(["a", "", "b"])"#, r#"["a", "b"]"#),
    function(Collections, "concat", params!(lists Sequence), Any, "The elements of all lists, in order.", collection::concat).variadic().needs(1).elementwise().example("concat([1], [2, 3])", "[1, 2, 3]"),
    function(Services, "consul_key", params!(key String), String, "What Consul keeps under a key; CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN say where.", services::consul_key),
    function(Collections, "contains", params!(list Sequence, value Any), Bool, "True when the value is in the list.", collection::contains).example(r#"contains(["a", "b"], "b")"#, "true"),
    function(Values, "convert", params!(value Nullable, r#type Nullable), Any, "The value as a given type, like convert(\"1\", number).", other::special).special().example(r#"convert("1", number)"#, "1"),
    function(Encodings, "csvdecode", params!(text String), Any, "The rows of a CSV text as objects named by its header.", encoding::csvdecode).example(r#"csvdecode("a,b\n1,2")"#, r#"[{ a = "1", b = "2" }]"#),
    function(Files, "dirname", params!(path String), String, "A path without its last part.", file::dirname).example(r#"dirname("/tmp/disk.img")"#, r#""/tmp""#),
    function(Collections, "distinct", params!(list Sequence), Any, "A list without repeated elements.", collection::distinct).example(r#"distinct(["a", "b", "a"])"#, r#"["a", "b"]"#),
    function(Collections, "element", params!(list Sequence, index Number), Any, "An element of a list; the index starts again behind the end.", collection::element).elementwise().example(r#"element(["a", "b", "c"], 4)"#, r#""b""#),
    function(Text, "endswith", params!(text String, suffix String), Bool, "True when the text ends so.", string::endswith).example(r#"endswith("disk.qcow2", ".qcow2")"#, "true"),
    function(Values, "env", params!(name String), String, "An environment variable; only in the default of a variable.", other::env),
    function(Files, "file", params!(path String), String, "The text in a file.", file::file),
    function(Files, "filebase64", params!(path String), String, "The bytes of a file as Base64.", file::filebase64),
    function(Files, "fileexists", params!(path String), Bool, "True when the file exists.", file::fileexists),
    function(Files, "fileset", params!(path String, pattern String), Strings, "The files below a path that match a pattern.", file::fileset),
    function(Collections, "flatten", params!(list Sequence), Any, "A list whose nested lists are replaced by their elements.", collection::flatten).elementwise().example("flatten([[1], [2, [3]]])", "[1, 2, 3]"),
    function(Math, "floor", params!(number Number), Number, "The nearest whole number that is not greater.", numeric::floor).example("floor(4.9)", "4"),
    function(Text, "format", params!(format String, values Nullable), String, "A text made from a format like \"%s-%03d\" and values.", format::format).variadic().example(r#"format("%s-%03d", "web", 7)"#, r#""web-007""#),
    function(Times, "formatdate", params!(format String, time String), String, "An RFC 3339 time in a format like \"YYYY-MM-DD hh:mm\".", time::formatdate).example(r#"formatdate("YYYY-MM-DD", "2026-01-02T03:04:05Z")"#, r#""2026-01-02""#),
    function(Text, "formatlist", params!(format String, values Nullable), Strings, "A list of texts: the format once for every element.", format::formatlist).variadic().example(r#"formatlist("%s.img", ["a", "b"])"#, r#"["a.img", "b.img"]"#),
    function(Text, "indent", params!(spaces Number, text String), String, "A text with all lines but the first indented.", string::indent).example(r#"indent(2, "a\nb")"#, r#""a\n  b""#),
    function(Collections, "index", params!(list Sequence, value Nullable), Number, "The place of a value in a list.", collection::index).example(r#"index(["a", "b"], "b")"#, "1"),
    function(Text, "join", params!(separator String, lists Strings), String, "The elements of lists with a separator between them.", string::join).variadic().needs(2).example(r#"join("-", ["a", "b"])"#, r#""a-b""#),
    function(Encodings, "jsondecode", params!(text String), Any, "The value that a JSON text stands for.", json::jsondecode).example(r#"jsondecode("{\"a\": [1]}")"#, "{ a = [1] }"),
    function(Encodings, "jsonencode", params!(value Nullable), String, "A value as JSON.", json::jsonencode).example("jsonencode({ a = [1] })", r#""{\"a\":[1]}""#),
    function(Collections, "keys", params!(map Mapping), Strings, "The names in a map, sorted.", collection::keys).elementwise().example("keys({ b = 1, a = 2 })", r#"["a", "b"]"#),
    function(Times, "legacy_isotime", params!(layout String), String, "The time of the run, UTC, in a layout of Go.", time::legacy_isotime).variadic(),
    function(Times, "legacy_strftime", params!(format String), String, "The time of the run, UTC, in a format of strftime.", time::legacy_strftime),
    function(Collections, "length", params!(value Any), Number, "How many elements, or characters.", collection::length).elementwise().example(r#"length(["a", "b"])"#, "2"),
    function(Math, "log", params!(number Number, base Number), Number, "The logarithm of a number in a base.", numeric::log).example("log(16, 2)", "4"),
    function(Collections, "lookup", params!(map Mapping, key String, default Nullable), Any, "What a map has under a key, else the default.", collection::lookup).needs(2).elementwise().example(r#"lookup({ a = 1 }, "b", 0)"#, "0"),
    function(Text, "lower", params!(text String), String, "A text in small letters.", string::lower).example(r#"lower("Debian")"#, r#""debian""#),
    function(Math, "max", params!(numbers Number), Number, "The greatest number.", numeric::max).variadic().needs(1).example("max(1, 3, 2)", "3"),
    function(Hashes, "md5", params!(text String), String, "The MD5 digest of a text, in hex.", hash::md5).example(r#"md5("hi")"#, r#""49f68a5c8493ec2c0bf489821c21fc3b""#),
    function(Collections, "merge", params!(maps Nullable), Any, "One map with everything in all maps; later ones win.", collection::merge).variadic().elementwise().example("merge({ a = 1, b = 2 }, { b = 3 })", "{ a = 1, b = 3 }"),
    function(Math, "min", params!(numbers Number), Number, "The smallest number.", numeric::min).variadic().needs(1).example("min(1, 3, 2)", "1"),
    function(Math, "parseint", params!(text Any, base Number), Number, "The whole number that a text stands for in a base from 2 to 62.", numeric::parseint).example(r#"parseint("ff", 16)"#, "255"),
    function(Files, "pathexpand", params!(path String), String, "A path whose `~` is replaced by the home directory.", file::pathexpand),
    function(Math, "pow", params!(number Number, power Number), Number, "A number raised to a power.", numeric::pow).example("pow(2, 10)", "1024"),
    function(Collections, "range", params!(limits Number), Numbers, "The numbers from a start (0) to a limit, by a step (1).", collection::range).variadic().needs(1).example("range(1, 7, 2)", "[1, 3, 5]"),
    function(Text, "regex", params!(pattern String, text String), Any, "The first match; with groups, a list or an object of them.", regexes::regex).example(r#"regex("(\\d+)\\.(\\d+)", "v12.5")"#, r#"["12", "5"]"#),
    function(Text, "regex_replace", params!(text String, pattern String, replacement String), String, "A text whose matches are replaced; `$1` is a group.", regexes::regex_replace).example(r#"regex_replace("a1b2", "([a-z])(\\d)", "$2$1")"#, r#""1a2b""#),
    function(Text, "regexall", params!(pattern String, text String), Any, "All matches, each as `regex` gives it.", regexes::regexall).example(r#"regexall("[a-z]+", "1ab2c")"#, r#"["ab", "c"]"#),
    function(Text, "replace", params!(text String, search String, replacement String), String, "A text with every occurrence replaced; regex_replace takes patterns.", regexes::replace).example(r#"replace("1.2.3", ".", "-")"#, r#""1-2-3""#),
    function(Collections, "reverse", params!(list Sequence), Any, "A list from back to front.", collection::reverse).elementwise().example("reverse([1, 2, 3])", "[3, 2, 1]"),
    function(Times, "rfc3339_parse", params!(time String), Any, "The parts of an RFC 3339 time as an object.", time::rfc3339_parse),
    function(Hashes, "rsadecrypt", params!(ciphertext String, private_key String), String, "The text that a Base64 ciphertext hides from everyone without the RSA key.", hash::rsadecrypt),
    function(Collections, "setintersection", params!(sets Sequence), Any, "The elements that all sets have.", sets::intersection).variadic().needs(1).example(r#"setintersection(["a", "b"], ["b", "c"])"#, r#"["b"]"#),
    function(Collections, "setproduct", params!(sets Sequence), Any, "Every combination of one element of each set.", sets::product).variadic().needs(1).example(r#"setproduct(["a", "b"], [1])"#, r#"[["a", 1], ["b", 1]]"#),
    function(Collections, "setunion", params!(sets Sequence), Any, "The elements that any set has.", sets::union).variadic().needs(1).example(r#"setunion(["a"], ["b"])"#, r#"["a", "b"]"#),
    function(Hashes, "sha1", params!(text String), String, "The SHA-1 digest of a text, in hex.", hash::sha1).example(r#"sha1("hi")"#, r#""c22b5f9178342609428d6f51b2c5af4c0bde6a42""#),
    function(Hashes, "sha256", params!(text String), String, "The SHA-256 digest of a text, in hex.", hash::sha256),
    function(Hashes, "sha512", params!(text String), String, "The SHA-512 digest of a text, in hex.", hash::sha512),
    function(Math, "signum", params!(number Number), Number, "-1, 0 or 1: the sign of a whole number.", numeric::signum).example("signum(-7)", "-1"),
    function(Collections, "slice", params!(list Sequence, start Number, end Number), Any, "The elements from start up to, but without, end.", collection::slice).elementwise().example(r#"slice(["a", "b", "c"], 1, 3)"#, r#"["b", "c"]"#),
    function(Collections, "sort", params!(list Strings), Strings, "A list of strings, sorted.", collection::sort).example(r#"sort(["b", "a"])"#, r#"["a", "b"]"#),
    function(Text, "split", params!(separator String, text String), Strings, "The parts of a text between separators.", string::split).example(r#"split(",", "a,b")"#, r#"["a", "b"]"#),
    function(Text, "startswith", params!(text String, prefix String), Bool, "True when the text begins so.", string::startswith).example(r#"startswith("debian-12", "debian")"#, "true"),
    function(Text, "strcontains", params!(text String, part String), Bool, "True when the text has that part.", string::strcontains).example(r#"strcontains("debian", "bia")"#, "true"),
    function(Text, "strrev", params!(text String), String, "A text from back to front.", string::strrev).example(r#"strrev("abc")"#, r#""cba""#),
    function(Text, "substr", params!(text String, offset Number, length Number), String, "A part of a text; -1 as length takes the rest.", string::substr).example(r#"substr("debian", 0, 3)"#, r#""deb""#),
    function(Math, "sum", params!(numbers Numbers), Number, "The numbers added up.", numeric::sum).example("sum([1, 2, 3])", "6"),
    function(Files, "templatefile", params!(path String, variables Mapping), String, "A file rendered as a template with those variables.", other::special).special(),
    function(Encodings, "textdecodebase64", params!(text String, encoding String), String, "The text behind Base64 bytes in an encoding like \"UTF-16LE\".", encoding::textdecodebase64).example(r#"textdecodebase64("aABpAA==", "UTF-16LE")"#, r#""hi""#),
    function(Encodings, "textencodebase64", params!(text String, encoding String), String, "A text's bytes in an encoding like \"UTF-16LE\", as Base64.", encoding::textencodebase64).example(r#"textencodebase64("hi", "UTF-16LE")"#, r#""aABpAA==""#),
    function(Times, "timeadd", params!(time String, duration String), String, "An RFC 3339 time moved by a duration like \"-1h30m\".", time::timeadd).example(r#"timeadd("2026-01-02T03:04:05Z", "1h")"#, r#""2026-01-02T04:04:05Z""#),
    function(Times, "timestamp", params!(), String, "The time of the run in RFC 3339, UTC.", time::timestamp),
    function(Text, "title", params!(text String), String, "A text with a capital at the beginning of each word.", string::title).example(r#"title("hello world")"#, r#""Hello World""#),
    function(Text, "trim", params!(text String, characters String), String, "A text without those characters at both ends.", string::trim).example(r#"trim("--a--", "-")"#, r#""a""#),
    function(Text, "trimprefix", params!(text String, prefix String), String, "A text without that beginning.", string::trimprefix).example(r#"trimprefix("v1.2", "v")"#, r#""1.2""#),
    function(Text, "trimspace", params!(text String), String, "A text without white space at both ends.", string::trimspace).example(r#"trimspace("  a ")"#, r#""a""#),
    function(Text, "trimsuffix", params!(text String, suffix String), String, "A text without that end.", string::trimsuffix).example(r#"trimsuffix("a.img", ".img")"#, r#""a""#),
    function(Values, "try", params!(expressions Nullable), Any, "The first expression that evaluates without error.", other::special).variadic().needs(1).special().example(r#"try({}.a, "none")"#, r#""none""#),
    function(Times, "unix_timestamp_parse", params!(seconds Number), Any, "The parts of a Unix time as an object, UTC.", time::unix_timestamp_parse),
    function(Text, "upper", params!(text String), String, "A text in capitals.", string::upper).example(r#"upper("Debian")"#, r#""DEBIAN""#),
    function(Encodings, "urlencode", params!(text String), String, "A text as it may stand in a URL's query.", encoding::urlencode).example(r#"urlencode("a b&c")"#, r#""a+b%26c""#),
    function(Hashes, "uuidv4", params!(), String, "A new random UUID.", hash::uuidv4),
    function(Hashes, "uuidv5", params!(namespace String, name String), String, "The UUID of a name; namespace: dns, url, oid, x500 or a UUID.", hash::uuidv5),
    function(Collections, "values", params!(map Mapping), Any, "The values in a map, in the order of their names.", collection::values).elementwise().example("values({ b = 1, a = 2 })", "[2, 1]"),
    function(Services, "vault", params!(path String, key String), String, "A field of a secret that Vault keeps; VAULT_ADDR and VAULT_TOKEN say where.", services::vault),
    function(Encodings, "yamldecode", params!(text String), Any, "The value that a YAML text stands for.", yaml::yamldecode).example(r#"yamldecode("a: [1]")"#, "{ a = [1] }"),
    function(Encodings, "yamlencode", params!(value Nullable), String, "A value as YAML.", yaml::yamlencode).example("yamlencode({ a = 1 })", r#""\"a\": 1\n""#),
    function(Collections, "zipmap", params!(keys Strings, values Sequence), Any, "A map from a list of names and one of values.", collection::zipmap).elementwise().example(r#"zipmap(["a", "b"], [1, 2])"#, "{ a = 1, b = 2 }"),
];
