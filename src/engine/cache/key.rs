//! Keys, and the recipes that they are made of.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bakehouse_api::Input;
use serde::{Deserialize, Serialize};

const SALT: &str = "salt";

/// Made once for each cache. What a stage reads may be a password: without the salt, a digest that lies around tells
/// nobody which.
#[derive(Clone)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Reads it from the cache, or makes it.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let path = dir.join(SALT);
        if !path.exists() {
            let mut bytes = [0; 32];
            std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
            let mut made = tempfile::Builder::new()
                .prefix(".salt-")
                .permissions(std::fs::Permissions::from_mode(0o600))
                .tempfile_in(dir)?;
            made.write_all(&bytes)?;
            match made.persist_noclobber(&path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
                _ => {}
            }
        }
        let bytes = std::fs::read(&path)?;
        let bytes =
            bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the salt is cut short"))?;
        Ok(Self(bytes))
    }

    #[cfg(test)]
    pub fn fixed() -> Self {
        Self([7; 32])
    }

    /// Each part is preceded by its length, so that no two lists hash the same bytes.
    fn digest<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl fmt::Display for Key {
    /// As much as tells one from another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// Everything that a leg reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe(Vec<Ingredient>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ingredient {
    name: String,
    /// Under the salt of the cache.
    digest: String,
    /// The value itself, where people may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
}

impl Recipe {
    pub fn new(salt: &Salt, inputs: Vec<Input>) -> Self {
        let ingredient = |input: Input| Ingredient {
            digest: salt.digest([input.name.as_str(), input.value.as_str()]),
            shown: input.shown.then_some(input.value),
            name: input.name,
        };
        Self(inputs.into_iter().map(ingredient).collect())
    }

    /// `kind` tells legs apart that read the same.
    pub fn key(&self, salt: &Salt, before: Option<&Key>, kind: &str) -> Key {
        let before = before.map_or("", |key| key.0.as_str());
        let digests = self.0.iter().map(|ingredient| ingredient.digest.as_str());
        Key(salt.digest([before, kind].into_iter().chain(digests)))
    }

    /// What is not as it was in `old`: "script setup.sh changed", "QEMU 10.0.2 -> 10.0.3".
    pub fn differences(&self, old: &Self) -> Vec<String> {
        let (before, now) = (old.by_name(), self.by_name());
        let mut all = Vec::new();
        for (name, ingredients) in &now {
            match before.get(name) {
                Some(old) if old == ingredients => {}
                Some(old) => all.push(change(name, old, ingredients)),
                None => all.push(format!("{name} is new")),
            }
        }
        all.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone")));
        if all.is_empty() && self != old {
            all.push("the order changed".into());
        }
        all
    }

    fn by_name(&self) -> BTreeMap<&str, Vec<&Ingredient>> {
        let mut found: BTreeMap<&str, Vec<&Ingredient>> = BTreeMap::new();
        for ingredient in &self.0 {
            found.entry(&ingredient.name).or_default().push(ingredient);
        }
        found
    }
}

fn change(name: &str, old: &[&Ingredient], new: &[&Ingredient]) -> String {
    match (old, new) {
        ([Ingredient { shown: Some(old), .. }], [Ingredient { shown: Some(new), .. }]) => {
            format!("{name} {old} -> {new}")
        }
        _ => format!("{name} changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(inputs: &[(&str, &str)]) -> Recipe {
        Recipe::new(&Salt::fixed(), inputs.iter().map(|(name, value)| Input::new(*name, *value)).collect())
    }

    #[test]
    fn every_part_of_a_leg_makes_another_key() {
        let salt = Salt::fixed();
        let key = |inputs: &[(&str, &str)]| recipe(inputs).key(&salt, None, "shell");
        let first = key(&[("script a", "1"), ("variable X", "2")]);
        assert_eq!(first, key(&[("script a", "1"), ("variable X", "2")]));
        let others = [
            key(&[("script a", "9"), ("variable X", "2")]),
            key(&[("script b", "1"), ("variable X", "2")]),
            key(&[("variable X", "2"), ("script a", "1")]),
            key(&[("script a", "1")]),
            key(&[("script a", "1"), ("variable X", "2"), ("variable Y", "")]),
            recipe(&[("script a", "1"), ("variable X", "2")]).key(&salt, None, "file"),
            recipe(&[("script a", "1"), ("variable X", "2")]).key(&salt, Some(&first), "shell"),
        ];
        let distinct: std::collections::BTreeSet<&Key> = others.iter().chain([&first]).collect();
        assert_eq!(distinct.len(), others.len() + 1);
    }

    #[test]
    fn a_miss_names_its_reason() {
        let old = recipe(&[("script setup.sh", "1"), ("variable A", "x"), ("variable B", "y")]);
        let reasons = |inputs: &[(&str, &str)]| recipe(inputs).differences(&old).join("; ");
        assert_eq!(
            reasons(&[("script setup.sh", "2"), ("variable A", "x"), ("variable C", "y")]),
            "script setup.sh changed; variable C is new; variable B is gone"
        );
        assert_eq!(reasons(&[("variable A", "x"), ("script setup.sh", "1"), ("variable B", "y")]), "the order changed");
        assert_eq!(reasons(&[("script setup.sh", "1"), ("variable A", "x"), ("variable B", "y")]), "");
        let qemu = |version: &str| Recipe::new(&Salt::fixed(), vec![Input::shown("QEMU", version)]);
        assert_eq!(qemu("10.0.3").differences(&qemu("10.0.2")), ["QEMU 10.0.2 -> 10.0.3"]);
    }

    #[test]
    fn a_secret_is_written_nowhere() {
        let secret = recipe(&[("variable PASSWORD", "hunter2")]);
        let text = serde_json::to_string(&secret).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(&blake3::hash(b"hunter2").to_hex().to_string()), "{text}");
    }

    #[test]
    fn the_salt_of_a_cache_is_made_once_and_is_its_own() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = |dir: &Path| recipe(&[]).key(&Salt::of(dir).unwrap(), None, "");
        assert_eq!(key(one.path()), key(one.path()));
        assert_ne!(key(one.path()), key(two.path()));
        assert_eq!(one.path().join(SALT).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
