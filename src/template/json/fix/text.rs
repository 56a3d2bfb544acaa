//! A fixed template as text, byte for byte as Packer prints it.

use serde_json::Value as Json;

/// Two spaces an indent, keys sorted, and Go's escapes.
pub fn pretty(template: &Json) -> String {
    let plain = format!("{template:#}");
    let mut out = String::with_capacity(plain.len());
    let mut escaped = false;
    for c in plain.chars() {
        // Outside of strings none of these occurs.
        match c {
            'b' if escaped => out.push_str("u0008"),
            'f' if escaped => out.push_str("u000c"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    out
}
