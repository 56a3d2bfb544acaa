//! What is typed into a machine before anything else reaches it: `boot_command` strings as key
//! presses of a US keyboard.

use std::time::Duration;

use bakehouse_api::decode::parse_duration;
use bakehouse_api::keyboard::{BootStep, Key};
use bakehouse_api::{Diagnostic, Diagnostics, Error, Kind, Template, options};

options! {
    /// What is typed when the machine boots.
    pub struct BootOptions {
        /// Keys to type: text, and special keys like `<enter>`, `<f10>`, `<leftCtrlOn>`,
        /// `<wait5s>`. The strings are typed one after the other.
        boot_command: Vec<Template>,
        /// The same as a list of pairs: what to type, and a word that is shown while typing it.
        boot_steps: Vec<Vec<Template>>,
        /// Wait before the first key.
        boot_wait: Duration = Duration::from_secs(10),
        /// Pause between two keys.
        boot_key_interval: Option<Duration>,
        /// Pause after each string of `boot_command`.
        boot_keygroup_interval: Duration = Duration::ZERO,
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BootCommandError {
    #[error("`{character}` in the boot command is on no key of a US keyboard")]
    NoKey { character: char },
}

impl From<BootCommandError> for Error {
    fn from(error: BootCommandError) -> Self {
        Error::new(Kind::Config, error).hint(
            "type only what a US keyboard has; put other text into a file that the guest fetches or finds on a CD",
        )
    }
}

/// A piece to type, with the word that goes with it.
pub struct Piece {
    pub description: Option<String>,
    pub steps: Vec<BootStep>,
}

/// Fields that a boot command may use, with values to check it with.
const SAMPLE_FIELDS: [(&str, &str); 5] = [
    ("HTTPIP", "10.0.2.2"),
    ("HTTPPort", "8000"),
    ("Name", "name"),
    ("SSHPublicKey", "key"),
    ("EncodedSSHPublicKey", "key"),
];

/// What a boot command can name: `{{ .HTTPIP }}` and the like.
pub struct Fields<'a> {
    /// This machine, as the guest reaches it.
    pub http_ip: &'a str,
    pub http_port: Option<u16>,
    /// Of the machine.
    pub name: &'a str,
    /// Of the key made for this build.
    pub public_key: Option<&'a str>,
}

impl Fields<'_> {
    /// Everything to type.
    pub fn steps(&self, boot: &BootOptions) -> Result<Vec<BootStep>, Error> {
        let port = self.http_port.map(|port| port.to_string()).unwrap_or_default();
        let key = self.public_key.unwrap_or_default();
        let encoded: String = key.bytes().map(percent_encoded).collect();
        boot.steps(&[
            ("HTTPIP", self.http_ip),
            ("HTTPPort", &port),
            ("Name", self.name),
            ("SSHPublicKey", key),
            ("EncodedSSHPublicKey", &encoded),
        ])
    }
}

/// A byte as it may stand in a URL.
fn percent_encoded(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

impl BootOptions {
    pub fn is_empty(&self) -> bool {
        self.boot_command.is_empty() && self.boot_steps.is_empty()
    }

    pub fn check(&self, diagnostics: &mut Diagnostics) {
        if !self.boot_command.is_empty() && !self.boot_steps.is_empty() {
            let finding = Diagnostic::error("`boot_command` and `boot_steps` exclude each other");
            let there = self.spans.at("boot_command");
            diagnostics.push(finding.at(self.spans.at("boot_steps")).related(there, "`boot_command` is set here"));
        }
        if self.boot_steps.iter().any(|step| !(1..=2).contains(&step.len())) {
            let finding = Diagnostic::error("each of `boot_steps` is a list of what to type and a description");
            diagnostics
                .push(finding.at(self.spans.at("boot_steps")).hint("like [\"<enter>\", \"start the installer\"]"));
        }
        let typed = self.boot_command.iter().chain(self.boot_steps.iter().filter_map(|step| step.first()));
        for template in typed {
            let checked = template.render(SAMPLE_FIELDS).and_then(|text| Ok(parse(&text)?));
            if let Err(error) = checked {
                let mut finding = Diagnostic::error(error.to_string()).at(template.span);
                finding.hint = error.hints().first().cloned();
                diagnostics.push(finding);
            }
        }
    }

    /// Everything to type; `fields` are pairs like ("HTTPIP", "10.0.2.2").
    pub fn pieces(&self, fields: &[(&str, &str)]) -> Result<Vec<Piece>, Error> {
        let render = |template: &Template| template.render(fields.iter().copied());
        let mut pieces = Vec::new();
        for step in &self.boot_steps {
            let [typed, description @ ..] = step.as_slice() else { continue };
            let description = description.first().map(render).transpose()?;
            pieces.push(Piece { description, steps: parse(&render(typed)?)? });
        }
        let mut strings = self.boot_command.iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let pause = self.boot_keygroup_interval;
        if pause.is_zero() {
            strings = vec![strings.concat()]; // a special key may begin in one string and end in the next
        }
        for text in strings.iter().filter(|text| !text.is_empty()) {
            let mut steps = parse(text)?;
            steps.extend((!pause.is_zero()).then_some(BootStep::Wait(pause)));
            pieces.push(Piece { description: None, steps });
        }
        Ok(pieces)
    }

    /// [`BootOptions::pieces`] in one run.
    pub fn steps(&self, fields: &[(&str, &str)]) -> Result<Vec<BootStep>, Error> {
        Ok(self.pieces(fields)?.into_iter().flat_map(|piece| piece.steps).collect())
    }
}

/// Turns a boot command into key presses. What only looks like a special key is typed as it is.
pub fn parse(text: &str) -> Result<Vec<BootStep>, BootCommandError> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let tag = rest.strip_prefix('<').and_then(|after| after.split_once('>'));
        if let Some((name, after)) = tag
            && let Some(found) = special(name)
        {
            steps.extend(found);
            rest = after;
            continue;
        }
        steps.push(BootStep::Press(typed(character).ok_or(BootCommandError::NoKey { character })?));
        rest = &rest[character.len_utf8()..];
    }
    Ok(steps)
}

fn special(tag: &str) -> Option<Vec<BootStep>> {
    let lower = tag.to_ascii_lowercase();
    if let Some(duration) = lower.strip_prefix("wait") {
        return wait(duration).map(|wait| vec![wait]);
    }
    if let Some(key) = named(&lower) {
        return Some(vec![BootStep::Press(vec![key])]);
    }
    // Upper and lower case of a single character matter: <AOn> holds shift too.
    if lower.ends_with("on") {
        return Some(keys(&tag[..tag.len() - 2])?.into_iter().map(BootStep::Down).collect());
    }
    if lower.ends_with("off") {
        return Some(keys(&tag[..tag.len() - 3])?.into_iter().rev().map(BootStep::Up).collect());
    }
    None
}

/// A named key, or the keys of a single character.
fn keys(name: &str) -> Option<Vec<Key>> {
    if let Some(key) = named(&name.to_ascii_lowercase()) {
        return Some(vec![key]);
    }
    let mut characters = name.chars();
    let only = characters.next().filter(|_| characters.next().is_none())?;
    typed(only)
}

/// What follows `wait`: nothing is a second, a bare number counts seconds.
fn wait(duration: &str) -> Option<BootStep> {
    let wait = match duration.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if duration.is_empty() => Duration::from_secs(1),
        Err(_) => parse_duration(duration)?,
    };
    Some(BootStep::Wait(wait))
}

fn named(name: &str) -> Option<Key> {
    let key = match name {
        "bs" => "backspace",
        "del" => "delete",
        "enter" | "return" => "ret",
        "esc" => "esc",
        "tab" => "tab",
        "f1" => "f1",
        "f2" => "f2",
        "f3" => "f3",
        "f4" => "f4",
        "f5" => "f5",
        "f6" => "f6",
        "f7" => "f7",
        "f8" => "f8",
        "f9" => "f9",
        "f10" => "f10",
        "f11" => "f11",
        "f12" => "f12",
        "up" => "up",
        "down" => "down",
        "left" => "left",
        "right" => "right",
        "spacebar" => "spc",
        "insert" => "insert",
        "home" => "home",
        "end" => "end",
        "pageup" => "pgup",
        "pagedown" => "pgdn",
        // The key between the right Windows and control keys; QEMU's `menu` is another one.
        "menu" => "compose",
        "leftalt" | "leftoption" => "alt",
        "rightalt" | "rightoption" => "alt_r",
        "leftctrl" => "ctrl",
        "rightctrl" => "ctrl_r",
        "leftshift" => "shift",
        "rightshift" => "shift_r",
        "leftsuper" | "leftcommand" => "meta_l",
        "rightsuper" | "rightcommand" => "meta_r",
        _ => return None,
    };
    Some(Key(key))
}

/// Each key with its character, and the one with shift.
const KEYS: [(&str, char, char); 48] = [
    ("a", 'a', 'A'),
    ("b", 'b', 'B'),
    ("c", 'c', 'C'),
    ("d", 'd', 'D'),
    ("e", 'e', 'E'),
    ("f", 'f', 'F'),
    ("g", 'g', 'G'),
    ("h", 'h', 'H'),
    ("i", 'i', 'I'),
    ("j", 'j', 'J'),
    ("k", 'k', 'K'),
    ("l", 'l', 'L'),
    ("m", 'm', 'M'),
    ("n", 'n', 'N'),
    ("o", 'o', 'O'),
    ("p", 'p', 'P'),
    ("q", 'q', 'Q'),
    ("r", 'r', 'R'),
    ("s", 's', 'S'),
    ("t", 't', 'T'),
    ("u", 'u', 'U'),
    ("v", 'v', 'V'),
    ("w", 'w', 'W'),
    ("x", 'x', 'X'),
    ("y", 'y', 'Y'),
    ("z", 'z', 'Z'),
    ("1", '1', '!'),
    ("2", '2', '@'),
    ("3", '3', '#'),
    ("4", '4', '$'),
    ("5", '5', '%'),
    ("6", '6', '^'),
    ("7", '7', '&'),
    ("8", '8', '*'),
    ("9", '9', '('),
    ("0", '0', ')'),
    ("grave_accent", '`', '~'),
    ("minus", '-', '_'),
    ("equal", '=', '+'),
    ("bracket_left", '[', '{'),
    ("bracket_right", ']', '}'),
    ("backslash", '\\', '|'),
    ("semicolon", ';', ':'),
    ("apostrophe", '\'', '"'),
    ("comma", ',', '<'),
    ("dot", '.', '>'),
    ("slash", '/', '?'),
    ("spc", ' ', ' '),
];

fn typed(character: char) -> Option<Vec<Key>> {
    match character {
        '\n' => return Some(vec![Key("ret")]),
        '\t' => return Some(vec![Key("tab")]),
        _ => {}
    }
    let (key, plain, _) = KEYS.iter().find(|(_, plain, shifted)| [*plain, *shifted].contains(&character))?;
    let shift = (*plain != character).then_some(Key("shift"));
    Some(shift.into_iter().chain([Key(key)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "a", "shift+a" for presses, "+ctrl" and "-ctrl" for holding, "5s" for waits.
    fn shown(text: &str) -> Vec<String> {
        let show = |step: &BootStep| match step {
            BootStep::Press(keys) => keys.iter().map(|key| key.0).collect::<Vec<_>>().join("+"),
            BootStep::Down(key) => format!("+{}", key.0),
            BootStep::Up(key) => format!("-{}", key.0),
            BootStep::Wait(wait) => format!("{wait:?}"),
        };
        parse(text).unwrap().iter().map(show).collect()
    }

    #[test]
    fn commands_become_keys() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("aB 1!", &["a", "shift+b", "spc", "1", "shift+1"]),
            (
                "<enter><RETURN><pageUp><PgUp>",
                &["ret", "ret", "pgup", "shift+comma", "shift+p", "g", "shift+u", "p", "shift+dot"],
            ),
            ("<wait><wait5><wait1m20s><wait500ms>", &["1s", "5s", "80s", "500ms"]),
            ("<waiting>", &["shift+comma", "w", "a", "i", "t", "i", "n", "g", "shift+dot"]),
            ("<leftCtrlOn>c<leftCtrlOff>", &["+ctrl", "c", "-ctrl"]),
            ("<LEFTALTON><f2><leftaltoff>", &["+alt", "f2", "-alt"]),
            ("<aOn><aOff><AOn><AOff>", &["+a", "-a", "+shift", "+a", "-a", "-shift"]),
            ("<esc><bs><del><tab><spacebar><menu>", &["esc", "backspace", "delete", "tab", "spc", "compose"]),
            ("<leftSuper><rightCommand><rightOption>", &["meta_l", "meta_r", "alt_r"]),
            ("a<", &["a", "shift+comma"]),
            ("<<up>", &["shift+comma", "up"]),
            ("a\n", &["a", "ret"]),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), *expected, "{text}");
        }
    }

    #[test]
    fn every_printable_ascii_character_is_on_a_key() {
        for character in ' '..='~' {
            assert!(typed(character).is_some(), "{character}");
        }
        assert_eq!(parse("grün"), Err(BootCommandError::NoKey { character: 'ü' }));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(<|>|on|off|wait|[0-9]|\\PC){0,40}") {
            let _ = parse(&text);
        }
    }
}
