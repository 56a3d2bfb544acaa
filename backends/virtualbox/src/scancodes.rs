//! Typing: key presses as the scancodes of a PC keyboard (set 1).

use std::time::Duration;

use bakehouse_api::keyboard::{BootStep, Key, Keyboard};
use bakehouse_api::{Cx, Error, Kind, Result, async_trait};

use crate::vboxmanage::{VBoxManage, verbs};

/// A BIOS keeps 15 keys that nobody has read yet and drops the next.
const KEYS_AT_ONCE: usize = 15;

pub struct Scancodes {
    pub vbox: VBoxManage,
    pub machine: String,
}

/// What a key sends when it goes down.
fn make(key: &Key) -> Option<Vec<u8>> {
    let plain = |code: u8| Some(vec![code]);
    let extended = |code: u8| Some(vec![0xe0, code]);
    match key.0 {
        "esc" => plain(0x01),
        "1" => plain(0x02),
        "2" => plain(0x03),
        "3" => plain(0x04),
        "4" => plain(0x05),
        "5" => plain(0x06),
        "6" => plain(0x07),
        "7" => plain(0x08),
        "8" => plain(0x09),
        "9" => plain(0x0a),
        "0" => plain(0x0b),
        "minus" => plain(0x0c),
        "equal" => plain(0x0d),
        "backspace" => plain(0x0e),
        "tab" => plain(0x0f),
        "q" => plain(0x10),
        "w" => plain(0x11),
        "e" => plain(0x12),
        "r" => plain(0x13),
        "t" => plain(0x14),
        "y" => plain(0x15),
        "u" => plain(0x16),
        "i" => plain(0x17),
        "o" => plain(0x18),
        "p" => plain(0x19),
        "bracket_left" => plain(0x1a),
        "bracket_right" => plain(0x1b),
        "ret" => plain(0x1c),
        "ctrl" => plain(0x1d),
        "a" => plain(0x1e),
        "s" => plain(0x1f),
        "d" => plain(0x20),
        "f" => plain(0x21),
        "g" => plain(0x22),
        "h" => plain(0x23),
        "j" => plain(0x24),
        "k" => plain(0x25),
        "l" => plain(0x26),
        "semicolon" => plain(0x27),
        "apostrophe" => plain(0x28),
        "grave_accent" => plain(0x29),
        "shift" => plain(0x2a),
        "backslash" => plain(0x2b),
        "z" => plain(0x2c),
        "x" => plain(0x2d),
        "c" => plain(0x2e),
        "v" => plain(0x2f),
        "b" => plain(0x30),
        "n" => plain(0x31),
        "m" => plain(0x32),
        "comma" => plain(0x33),
        "dot" => plain(0x34),
        "slash" => plain(0x35),
        "shift_r" => plain(0x36),
        "alt" => plain(0x38),
        "spc" => plain(0x39),
        "f1" => plain(0x3b),
        "f2" => plain(0x3c),
        "f3" => plain(0x3d),
        "f4" => plain(0x3e),
        "f5" => plain(0x3f),
        "f6" => plain(0x40),
        "f7" => plain(0x41),
        "f8" => plain(0x42),
        "f9" => plain(0x43),
        "f10" => plain(0x44),
        "f11" => plain(0x57),
        "f12" => plain(0x58),
        "ctrl_r" => extended(0x1d),
        "alt_r" => extended(0x38),
        "home" => extended(0x47),
        "up" => extended(0x48),
        "pgup" => extended(0x49),
        "left" => extended(0x4b),
        "right" => extended(0x4d),
        "end" => extended(0x4f),
        "down" => extended(0x50),
        "pgdn" => extended(0x51),
        "insert" => extended(0x52),
        "delete" => extended(0x53),
        "meta_l" => extended(0x5b),
        "meta_r" => extended(0x5c),
        "compose" => extended(0x5d),
        _ => None,
    }
}

fn codes(key: &Key, down: bool) -> Result<Vec<u8>> {
    let mut codes =
        make(key).ok_or_else(|| Error::new(Kind::Internal, format!("no scancode for the key `{}`", key.0)))?;
    if !down && let Some(last) = codes.last_mut() {
        *last |= 0x80;
    }
    Ok(codes)
}

/// The scancodes of one step.
pub fn of(step: &BootStep) -> Result<Vec<u8>> {
    match step {
        BootStep::Press(keys) => {
            let down = keys.iter().map(|key| codes(key, true));
            let up = keys.iter().rev().map(|key| codes(key, false));
            Ok(down.chain(up).collect::<Result<Vec<_>>>()?.concat())
        }
        BootStep::Down(key) => codes(key, true),
        BootStep::Up(key) => codes(key, false),
        BootStep::Wait(_) => Err(Error::new(Kind::Internal, "a keyboard cannot wait")),
    }
}

impl Scancodes {
    async fn put(&self, cx: &Cx, codes: &[u8]) -> Result<()> {
        let words: Vec<String> = codes.iter().map(|code| format!("{code:02x}")).collect();
        let what: Vec<&str> = std::iter::once("keyboardputscancode").chain(words.iter().map(String::as_str)).collect();
        let typed = self.vbox.call(cx, verbs::controlvm(&self.machine, &what)).await;
        typed.map(|_| ()).map_err(|error| Error::from(error).context("typing the boot command"))
    }
}

#[async_trait]
impl Keyboard for Scancodes {
    async fn send(&mut self, cx: &Cx, step: &BootStep, interval: Duration) -> Result<()> {
        self.put(cx, &of(step)?).await?;
        tokio::time::sleep(interval).await;
        Ok(())
    }

    /// VirtualBox hands a row of codes to the guest one by one as it takes them.
    async fn send_all(&mut self, cx: &Cx, steps: &[BootStep], interval: Duration) -> Result<()> {
        let at_once = if interval.is_zero() { KEYS_AT_ONCE } else { 1 };
        for steps in steps.chunks(at_once) {
            let codes = steps.iter().map(of).collect::<Result<Vec<_>>>()?.concat();
            self.put(cx, &codes).await?;
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_kit::boot_command::parse;

    use super::*;

    fn typed(text: &str) -> Vec<u8> {
        parse(text).unwrap().iter().map(|step| of(step).unwrap()).collect::<Vec<_>>().concat()
    }

    #[test]
    fn keys_become_make_and_break_codes() {
        assert_eq!(typed("aB"), [0x1e, 0x9e, 0x2a, 0x30, 0xb0, 0xaa]);
        assert_eq!(typed("<up><enter>"), [0xe0, 0x48, 0xe0, 0xc8, 0x1c, 0x9c]);
        assert_eq!(typed("<leftCtrlOn>c<leftCtrlOff>"), [0x1d, 0x2e, 0xae, 0x9d]);
    }

    #[test]
    fn every_key_that_a_boot_command_can_name_has_a_code() {
        let printable: String = (' '..='~').filter(|c| *c != '<').collect();
        typed(&printable);
        typed("<bs><del><enter><esc><tab><f1><f2><f3><f4><f5><f6><f7><f8><f9><f10><f11><f12><up><down><left><right>");
        typed("<spacebar><insert><home><end><pageUp><pageDown><menu><leftAlt><rightAlt><leftCtrl><rightCtrl>");
        typed("<leftShift><rightShift><leftSuper><rightSuper>");
    }
}
