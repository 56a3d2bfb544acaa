//! What the environment says, read once.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result, Settings};

pub struct Environment {
    pub vars: BTreeMap<String, String>,
    pub cwd: PathBuf,
}

impl Environment {
    pub fn read() -> Result<Self> {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let vars = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let cwd = std::env::current_dir().map_err(|error| Error::io("finding the current directory", &error))?;
        Ok(Self { vars, cwd })
    }

    /// Where the undo journals are.
    pub fn state(&self) -> Result<PathBuf> {
        self.home_of("XDG_STATE_HOME", ".local/state")
    }

    fn cache(&self) -> Result<PathBuf> {
        match self.set("PACKER_CACHE_DIR") {
            Some(dir) => Ok(self.cwd.join(dir)),
            None => self.home_of("XDG_CACHE_HOME", ".cache"),
        }
    }

    /// Where checkpoints are kept.
    pub fn checkpoints(&self) -> Result<PathBuf> {
        Ok(self.cache()?.join("checkpoints"))
    }

    /// The room that checkpoints may take.
    pub fn cache_limit(&self) -> Result<u64> {
        const VARIABLE: &str = "BAKEHOUSE_CACHE_LIMIT";
        let Some(text) = self.set(VARIABLE) else { return Ok(crate::engine::cache::LIMIT) };
        size(text).map_err(|error| Error::new(Kind::Config, format!("{VARIABLE} is `{text}`: {error}")))
    }

    pub fn settings(&self, force: bool, debug: bool) -> Result<Settings> {
        Ok(Settings {
            force,
            debug,
            run_uuid: uuid::Uuid::new_v4().to_string(),
            cache: self.cache()?,
            checkpoints: None,
            offline: false,
            state: self.state()?,
            cwd: self.cwd.clone(),
            env: self.vars.clone(),
        })
    }

    /// Colours on standard output or error, unless the flag says something.
    pub fn color(&self, asked: Option<bool>, to: &impl IsTerminal) -> bool {
        let unwanted = self.set("NO_COLOR").is_some() || self.set("PACKER_NO_COLOR").is_some() || self.dumb();
        asked.unwrap_or(!unwanted && to.is_terminal())
    }

    /// Can progress be redrawn on standard error?
    pub fn live(&self) -> bool {
        std::io::stderr().is_terminal() && self.set("CI").is_none() && !self.dumb()
    }

    fn dumb(&self) -> bool {
        self.set("TERM") == Some("dumb")
    }

    fn set(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Our folder below a base directory of the XDG rules, which must be absolute.
    fn home_of(&self, variable: &str, default: &str) -> Result<PathBuf> {
        const OURS: &str = "bakehouse";
        if let Some(base) = self.set(variable).map(Path::new).filter(|base| base.is_absolute()) {
            return Ok(base.join(OURS));
        }
        let home = self.set("HOME").ok_or_else(|| {
            Error::new(Kind::Host, format!("neither HOME nor {variable} is set"))
                .hint(format!("set {variable} to a directory that can be written"))
        })?;
        Ok(Path::new(home).join(default).join(OURS))
    }
}

/// A number of bytes, or of KiB, MiB, GiB or TiB with the letter behind it.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err("write a number of bytes, or one with K, M, G or T behind it".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "it must be a whole number, like 20G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        let vars = vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Environment { vars, cwd: "/here".into() }
    }

    #[test]
    fn directories_follow_the_xdg_rules_and_packers_variable() {
        let plain = environment(&[("HOME", "/home/u")]).settings(false, false).unwrap();
        assert_eq!(plain.cache, Path::new("/home/u/.cache/bakehouse"));
        assert_eq!(plain.state, Path::new("/home/u/.local/state/bakehouse"));
        let set = [("XDG_CACHE_HOME", "relative"), ("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("PACKER_CACHE_DIR", "c")];
        let set = environment(&set).settings(false, false).unwrap();
        assert_eq!(set.cache, Path::new("/here/c"));
        assert_eq!(set.state, Path::new("/s/bakehouse"));
        let nowhere = environment(&[]).state().unwrap_err();
        assert_eq!(nowhere.message(), "neither HOME nor XDG_STATE_HOME is set");
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("20G"), Ok(20 << 30));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("0"), Ok(0));
        for wrong in ["", "G", "-1", "1.5G", "3X", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        let limit = environment(&[("BAKEHOUSE_CACHE_LIMIT", "much")]).cache_limit().unwrap_err();
        assert!(limit.to_string().contains("BAKEHOUSE_CACHE_LIMIT"), "{limit}");
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let quiet = environment(&[("NO_COLOR", "1")]);
        assert!(!quiet.color(None, &std::io::stdout()));
        assert!(quiet.color(Some(true), &std::io::stdout()));
    }
}
