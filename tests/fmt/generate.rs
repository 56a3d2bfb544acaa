//! Valid files with white space wherever it may be, the same ones in every run. Without `!`, behind which
//! Packer 1.6.6 still puts a space: `hclwrite` has none there since 2.7.

/// Numbers that look random (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn many(&mut self, most: u64, mut write: impl FnMut(&mut Self) -> String) -> Vec<String> {
        (0..self.below(most + 1)).map(|_| write(self)).collect()
    }
}

const GAPS: &[&str] = &["", "", "", " ", " ", "   ", "\t"];
/// A dash may be part of the name in front of it.
const SIGNS: &[&str] = &["+", " -", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||"];
const NAMES: &[&str] = &["a", "in", "bcd", "long_name-1", "größe", "for_x"];
const LEAVES: &[&str] = &[
    "1",
    "1.5e3",
    "true",
    "null",
    "x",
    "var.a",
    "a.*.b",
    "a[*].b [0]",
    "a.0.b",
    "f( )",
    "g( 1,a ... )",
    "\"plain  text\"",
    "\"ä\\n $${x} %%{y}\"",
    "\"${ a }\"",
    "\"x ${a}${  b} y\"",
    "\"%{ if a }b%{ else }c%{~ endif ~}\"",
];

/// A whole file.
pub fn document(dice: &mut Dice) -> String {
    let mut text = items(dice, 3);
    // A heredoc's last line must end.
    if dice.below(8) == 0 && !text.ends_with("EOT\n") {
        text.pop();
    }
    if dice.below(3) == 0 { text.replace('\n', "\r\n") } else { text }
}

fn items(dice: &mut Dice, depth: u64) -> String {
    let mut used = 0;
    let items = dice.many(6, |dice| {
        used += 1;
        item(dice, depth, used)
    });
    items.concat()
}

/// Attributes of one body carry a number, as their names must differ.
fn item(dice: &mut Dice, depth: u64, number: u64) -> String {
    let (before, gap, name) = (dice.pick(GAPS), dice.pick(GAPS), dice.pick(NAMES));
    match dice.below(if depth == 0 { 8 } else { 12 }) {
        0 => format!("{before}\n"),
        1 => format!("{before}{}\n", dice.pick(&["# c", "// c", "/* c\n  d */", "#"])),
        2 => format!("{before}{name}{number}{gap}={gap}{}", heredoc(dice)),
        3..8 => {
            format!("{before}{name}{number}{gap}={}{}{}", dice.pick(GAPS), expression(dice, 3), line_end(dice))
        }
        8 => format!("{before}b{name}{gap}{{{gap}x{before}={}{gap}}}{}", expression(dice, 1), line_end(dice)),
        9 => format!("{name}{gap}{{{gap}}}{}", line_end(dice)),
        _ => {
            let labels = dice.pick(&["", " \"label\"", "  label \"b\""]);
            let (opened, closed) = (line_end(dice), line_end(dice));
            format!("{before}b{name}{labels}{gap}{{{opened}{}{gap}}}{closed}", items(dice, depth - 1))
        }
    }
}

fn line_end(dice: &mut Dice) -> String {
    let end = dice.pick(&["\n", "\n", "\n", "\n", "# note \n", "  // note\n", "#\n", "/* a */ \n", "/* a */# b\n"]);
    format!("{}{end}", dice.pick(GAPS))
}

/// White space within brackets, where lines may break.
fn loose(dice: &mut Dice) -> String {
    let gap = dice.pick(GAPS);
    match dice.below(8) {
        0 => format!("{gap}\n{gap}"),
        1 => format!("{gap}# note\n"),
        2 => format!("{gap}/* c */"),
        _ => gap.to_owned(),
    }
}

fn heredoc(dice: &mut Dice) -> String {
    let inner = dice.pick(&["b", "[\n1]", "{}", "-1", "f({\na=1\n})"]);
    let (dash, gap) = (dice.pick(&["", "-"]), dice.pick(GAPS));
    format!("<<{dash}EOT\n {gap}text ${{{gap}{inner}{gap}}} %{{ if x}}y %{{  endif ~}}\n{gap}EOT\n")
}

fn expression(dice: &mut Dice, depth: u64) -> String {
    if depth == 0 || dice.below(4) == 0 {
        return dice.pick(LEAVES).to_owned();
    }
    let depth = depth - 1;
    let gap = dice.pick(GAPS);
    match dice.below(14) {
        0 | 1 => listed(dice, depth, "[", "]"),
        2 | 3 => listed(dice, depth, "f(", ")"),
        4 => {
            let fields = dice.many(3, |dice| field(dice, depth)).join(",");
            format!("{{{fields}{gap}}}")
        }
        5 | 6 => {
            let fields = dice.many(4, |dice| field(dice, depth) + dice.pick(&["", "", ","]) + &line_end(dice)).concat();
            format!("{{{}{fields}{gap}}}", line_end(dice))
        }
        7 => {
            let sign = dice.pick(SIGNS);
            format!("{}{gap}{sign}{}{}", expression(dice, depth), dice.pick(GAPS), expression(dice, depth))
        }
        8 => format!("-{gap}{}", expression(dice, depth)),
        9 => format!("({}){gap}[{}]", expression(dice, depth), expression(dice, depth)),
        10 => format!("({}{}{})", loose(dice), expression(dice, depth), loose(dice)),
        11 => {
            let [condition, then, otherwise] = [(); 3].map(|()| expression(dice, depth));
            format!("{condition}{gap}?{then}{gap}:{gap}{otherwise}")
        }
        12 => match dice.below(2) {
            0 => {
                let (list, item) = (expression(dice, depth), expression(dice, depth));
                format!("[{gap}for k,v in {list}{}:{gap}{item} if v{}]", loose(dice), loose(dice))
            }
            _ => format!("{{for v in {}{gap}:{gap}v=>{}... if -v}}", expression(dice, depth), expression(dice, depth)),
        },
        _ => format!("\"<${{{gap}{}{gap}}}>\"", expression(dice, depth)),
    }
}

fn field(dice: &mut Dice, depth: u64) -> String {
    let key = dice.pick(&["k", "\"q r\"", "(x)", "1"]);
    let (gap, sign) = (dice.pick(GAPS), dice.pick(&["=", ":"]));
    format!("{gap}{key}{gap}{sign}{}{}", dice.pick(GAPS), expression(dice, depth))
}

fn listed(dice: &mut Dice, depth: u64, open: &str, close: &str) -> String {
    let items = dice.many(3, |dice| loose(dice) + &expression(dice, depth) + &loose(dice));
    let last = if items.is_empty() { "" } else { dice.pick(&["", "", ","]) };
    format!("{open}{}{last}{}{close}", items.join(","), loose(dice))
}
