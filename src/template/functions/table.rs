//! One line per function.

use super::Kind::{Any, Bool, Mapping, Nullable, Number, Numbers, Sequence, String, Strings};
use super::{
    Call, Function, Kind, Param, collection, encoding, file, format, hash, json, network, numeric, other, regexes,
    sets, string, time, yaml,
};

macro_rules! params {
    ($($name:ident $kind:expr),*) => { &[$(Param { name: stringify!($name), kind: $kind }),*] };
}

const fn function(
    name: &'static str,
    params: &'static [Param],
    returns: Kind,
    doc: &'static str,
    call: Call,
) -> Function {
    let call = Some(call);
    Function { name, params, required: params.len(), variadic: false, returns, doc, elementwise: false, call }
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

    const fn special(self) -> Self {
        Self { call: None, ..self }
    }
}

#[rustfmt::skip]
pub(super) const TABLE: &[Function] = &[
    function("abs", params!(number Number), Number, "The number without its sign.", numeric::abs),
    function("abspath", params!(path String), String, "The absolute form of a path, from the working directory.", file::abspath),
    function("alltrue", params!(list Sequence), Bool, "True when every element is true.", collection::alltrue),
    function("anytrue", params!(list Sequence), Bool, "True when some element is true.", collection::anytrue),
    function("base64decode", params!(text String), String, "The UTF-8 text that a Base64 text stands for.", encoding::base64decode),
    function("base64encode", params!(text String), String, "A text's UTF-8 bytes as Base64.", encoding::base64encode),
    function("base64gzip", params!(text String), String, "A text, gzipped, as Base64.", encoding::base64gzip),
    function("basename", params!(path String), String, "The last part of a path.", file::basename),
    function("bcrypt", params!(password String, cost Number), String, "A bcrypt hash of a password; the cost defaults to 10.", hash::bcrypt).needs(1),
    function("can", params!(expression Nullable), Bool, "True when the expression evaluates without error.", other::special).special(),
    function("ceil", params!(number Number), Number, "The nearest whole number that is not smaller.", numeric::ceil),
    function("chomp", params!(text String), String, "A text without the newlines at its end.", string::chomp),
    function("chunklist", params!(list Sequence, size Number), Any, "A list cut into lists of that size.", collection::chunklist).elementwise(),
    function("cidrhost", params!(prefix String, hostnum Number), String, "The address of a numbered host within a network.", network::cidrhost),
    function("cidrnetmask", params!(prefix String), String, "The netmask of an IPv4 network.", network::cidrnetmask),
    function("cidrsubnet", params!(prefix String, newbits Number, netnum Number), String, "A numbered subnet of a network.", network::cidrsubnet),
    function("cidrsubnets", params!(prefix String, newbits Number), Strings, "Consecutive subnets of a network, one per given number of bits.", network::cidrsubnets).variadic().needs(2),
    function("coalesce", params!(values Nullable), Any, "The first value that is neither null nor an empty string.", collection::coalesce).variadic().needs(1).elementwise(),
    function("coalescelist", params!(lists Sequence), Any, "The first list that is not empty.", collection::coalescelist).variadic().needs(1).elementwise(),
    function("compact", params!(list Strings), Strings, "A list without its empty and null strings.", collection::compact),
    function("concat", params!(lists Sequence), Any, "The elements of all lists, in order.", collection::concat).variadic().needs(1).elementwise(),
    function("contains", params!(list Sequence, value Nullable), Bool, "True when the value is in the list.", collection::contains),
    function("convert", params!(value Nullable, r#type Nullable), Any, "The value as a given type, like convert(\"1\", number).", other::special).special(),
    function("csvdecode", params!(text String), Any, "The rows of a CSV text as objects named by its header.", encoding::csvdecode),
    function("dirname", params!(path String), String, "A path without its last part.", file::dirname),
    function("distinct", params!(list Sequence), Any, "A list without repeated elements.", collection::distinct),
    function("element", params!(list Sequence, index Number), Any, "An element of a list; the index starts again behind the end.", collection::element).elementwise(),
    function("endswith", params!(text String, suffix String), Bool, "True when the text ends so.", string::endswith),
    function("env", params!(name String), String, "An environment variable; only in the default of a variable.", other::env),
    function("file", params!(path String), String, "The text in a file.", file::file),
    function("filebase64", params!(path String), String, "The bytes of a file as Base64.", file::filebase64),
    function("fileexists", params!(path String), Bool, "True when the file exists.", file::fileexists),
    function("fileset", params!(path String, pattern String), Strings, "The files below a path that match a pattern.", file::fileset),
    function("flatten", params!(list Sequence), Any, "A list whose nested lists are replaced by their elements.", collection::flatten).elementwise(),
    function("floor", params!(number Number), Number, "The nearest whole number that is not greater.", numeric::floor),
    function("format", params!(format String, values Nullable), String, "A text made from a format like \"%s-%03d\" and values.", format::format).variadic(),
    function("formatdate", params!(format String, time String), String, "An RFC 3339 time in a format like \"YYYY-MM-DD hh:mm\".", time::formatdate),
    function("formatlist", params!(format String, values Nullable), Strings, "A list of texts: the format once for every element.", format::formatlist).variadic(),
    function("indent", params!(spaces Number, text String), String, "A text with all lines but the first indented.", string::indent),
    function("index", params!(list Sequence, value Nullable), Number, "The place of a value in a list.", collection::index),
    function("join", params!(separator String, lists Strings), String, "The elements of lists with a separator between them.", string::join).variadic().needs(2),
    function("jsondecode", params!(text String), Any, "The value that a JSON text stands for.", json::jsondecode),
    function("jsonencode", params!(value Nullable), String, "A value as JSON.", json::jsonencode),
    function("keys", params!(map Mapping), Strings, "The names in a map, sorted.", collection::keys).elementwise(),
    function("legacy_isotime", params!(layout String), String, "The time of the run, UTC, in a layout of Go.", time::legacy_isotime).variadic(),
    function("legacy_strftime", params!(format String), String, "The time of the run, UTC, in a format of strftime.", time::legacy_strftime),
    function("length", params!(value Any), Number, "How many elements, or characters.", collection::length).elementwise(),
    function("log", params!(number Number, base Number), Number, "The logarithm of a number in a base.", numeric::log),
    function("lookup", params!(map Mapping, key String, default Nullable), Any, "What a map has under a key, else the default.", collection::lookup).needs(2).elementwise(),
    function("lower", params!(text String), String, "A text in small letters.", string::lower),
    function("max", params!(numbers Number), Number, "The greatest number.", numeric::max).variadic().needs(1),
    function("md5", params!(text String), String, "The MD5 digest of a text, in hex.", hash::md5),
    function("merge", params!(maps Nullable), Any, "One map with everything in all maps; later ones win.", collection::merge).variadic().elementwise(),
    function("min", params!(numbers Number), Number, "The smallest number.", numeric::min).variadic().needs(1),
    function("parseint", params!(text String, base Number), Number, "The whole number that a text stands for in a base from 2 to 62.", numeric::parseint),
    function("pathexpand", params!(path String), String, "A path whose `~` is replaced by the home directory.", file::pathexpand),
    function("pow", params!(number Number, power Number), Number, "A number raised to a power.", numeric::pow),
    function("range", params!(limits Number), Numbers, "The numbers from a start (0) to a limit, by a step (1).", collection::range).variadic().needs(1),
    function("regex", params!(pattern String, text String), Any, "The first match; with groups, a list or an object of them.", regexes::regex),
    function("regex_replace", params!(text String, pattern String, replacement String), String, "A text whose matches are replaced; `$1` is a group.", regexes::regex_replace),
    function("regexall", params!(pattern String, text String), Any, "All matches, each as `regex` gives it.", regexes::regexall),
    function("replace", params!(text String, search String, replacement String), String, "A text with every occurrence replaced; regex_replace takes patterns.", regexes::replace),
    function("reverse", params!(list Sequence), Any, "A list from back to front.", collection::reverse).elementwise(),
    function("rfc3339_parse", params!(time String), Any, "The parts of an RFC 3339 time as an object.", time::rfc3339_parse),
    function("rsadecrypt", params!(ciphertext String, private_key String), String, "The text that a Base64 ciphertext hides from everyone without the RSA key.", hash::rsadecrypt),
    function("setintersection", params!(sets Sequence), Any, "The elements that all sets have.", sets::intersection).variadic().needs(1),
    function("setproduct", params!(sets Sequence), Any, "Every combination of one element of each set.", sets::product).variadic().needs(1),
    function("setunion", params!(sets Sequence), Any, "The elements that any set has.", sets::union).variadic().needs(1),
    function("sha1", params!(text String), String, "The SHA-1 digest of a text, in hex.", hash::sha1),
    function("sha256", params!(text String), String, "The SHA-256 digest of a text, in hex.", hash::sha256),
    function("sha512", params!(text String), String, "The SHA-512 digest of a text, in hex.", hash::sha512),
    function("signum", params!(number Number), Number, "-1, 0 or 1: the sign of a number.", numeric::signum),
    function("slice", params!(list Sequence, start Number, end Number), Any, "The elements from start up to, but without, end.", collection::slice).elementwise(),
    function("sort", params!(list Strings), Strings, "A list of strings, sorted.", collection::sort),
    function("split", params!(separator String, text String), Strings, "The parts of a text between separators.", string::split),
    function("startswith", params!(text String, prefix String), Bool, "True when the text begins so.", string::startswith),
    function("strcontains", params!(text String, part String), Bool, "True when the text has that part.", string::strcontains),
    function("strrev", params!(text String), String, "A text from back to front.", string::strrev),
    function("substr", params!(text String, offset Number, length Number), String, "A part of a text; -1 as length takes the rest.", string::substr),
    function("sum", params!(numbers Numbers), Number, "The numbers added up.", numeric::sum),
    function("templatefile", params!(path String, variables Mapping), String, "A file rendered as a template with those variables.", other::special).special(),
    function("textdecodebase64", params!(text String, encoding String), String, "The text behind Base64 bytes in an encoding like \"UTF-16LE\".", encoding::textdecodebase64),
    function("textencodebase64", params!(text String, encoding String), String, "A text's bytes in an encoding like \"UTF-16LE\", as Base64.", encoding::textencodebase64),
    function("timeadd", params!(time String, duration String), String, "An RFC 3339 time moved by a duration like \"-1h30m\".", time::timeadd),
    function("timestamp", params!(), String, "The time of the run in RFC 3339, UTC.", time::timestamp),
    function("title", params!(text String), String, "A text with a capital at the beginning of each word.", string::title),
    function("trim", params!(text String, characters String), String, "A text without those characters at both ends.", string::trim),
    function("trimprefix", params!(text String, prefix String), String, "A text without that beginning.", string::trimprefix),
    function("trimspace", params!(text String), String, "A text without white space at both ends.", string::trimspace),
    function("trimsuffix", params!(text String, suffix String), String, "A text without that end.", string::trimsuffix),
    function("try", params!(expressions Nullable), Any, "The first expression that evaluates without error.", other::special).variadic().needs(1).special(),
    function("unix_timestamp_parse", params!(seconds Number), Any, "The parts of a Unix time as an object, UTC.", time::unix_timestamp_parse),
    function("upper", params!(text String), String, "A text in capitals.", string::upper),
    function("urlencode", params!(text String), String, "A text as it may stand in a URL's query.", encoding::urlencode),
    function("uuidv4", params!(), String, "A new random UUID.", hash::uuidv4),
    function("uuidv5", params!(namespace String, name String), String, "The UUID of a name; namespace: dns, url, oid, x500 or a UUID.", hash::uuidv5),
    function("values", params!(map Mapping), Any, "The values in a map, in the order of their names.", collection::values).elementwise(),
    function("yamldecode", params!(text String), Any, "The value that a YAML text stands for.", yaml::yamldecode),
    function("yamlencode", params!(value Nullable), String, "A value as YAML.", yaml::yamlencode),
    function("zipmap", params!(keys Strings, values Sequence), Any, "A map from a list of names and one of values.", collection::zipmap).elementwise(),
];
