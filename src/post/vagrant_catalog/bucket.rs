//! A catalog that is an object in a bucket: read, changed, and written back unless somebody else did so meanwhile.

use bakehouse_api::bridge::{AccountOptions, Bridge, Current, Object};
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::catalog::{Catalog, Entry};

use crate::registry;

/// Others may write the same catalog, but not all day.
const TRIES: usize = 10;
/// What Vagrant takes for a catalog.
const TYPE: &str = "application/json";

/// Lists the box; gives the versions that are listed no more.
pub async fn list(
    cx: &Cx,
    account: &AccountOptions,
    object: &Object,
    entry: Entry,
    force: bool,
    keep: Option<usize>,
) -> Result<Vec<String>> {
    let bridge = registry::need_bridge()?;
    update(cx, &*bridge, account, object, |current| {
        let mut catalog = match current {
            Some(bytes) => Catalog::parse(bytes, &object.to_string())?,
            None => Catalog::new(&entry.name),
        };
        catalog.add(entry.clone(), force)?;
        let gone = keep.map(|count| catalog.keep(count)).unwrap_or_default();
        Ok((catalog.to_json(), gone.into_iter().map(|release| release.version).collect()))
    })
    .await
}

async fn update<T>(
    cx: &Cx,
    bridge: &dyn Bridge,
    account: &AccountOptions,
    object: &Object,
    change: impl Fn(Option<&[u8]>) -> Result<(Vec<u8>, T)>,
) -> Result<T> {
    for _ in 0..TRIES {
        let found = bridge.read(cx, account, object).await?;
        let (bytes, changed) = change(found.as_ref().map(|found| found.bytes.as_slice()))?;
        let current = found.map_or(Current::Absent, |found| Current::Etag(found.etag));
        if bridge.write(cx, account, object, TYPE, bytes, &current).await? {
            return Ok(changed);
        }
    }
    Err(Error::new(Kind::Host, format!("{object} was changed by others {TRIES} times while it was being changed here"))
        .hint("let builds that list into one catalog do so one by one"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bakehouse_api::bridge::{Export, Exported, Found, Import, Imported, Stored, Upload};
    use bakehouse_api::{Body, Diagnostics, async_trait, testing};

    use super::*;

    /// Holds one object, which others change so many times.
    struct Fake {
        text: Mutex<String>,
        others: Mutex<usize>,
    }

    fn never<T>() -> Result<T> {
        Err(Error::new(Kind::Internal, "nobody asks for this here"))
    }

    #[async_trait]
    impl Bridge for Fake {
        fn check_account(&self, _: &Body, _: &AccountOptions, _: &mut Diagnostics) {}
        fn check_import(&self, _: &Body, _: &Import, _: &mut Diagnostics) {}
        async fn import(&self, _: &Cx, _: &AccountOptions, _: &Import) -> Result<Imported> {
            never()
        }
        async fn export(&self, _: &Cx, _: &AccountOptions, _: &Export) -> Result<Exported> {
            never()
        }
        async fn put(&self, _: &Cx, _: &AccountOptions, _: &Upload) -> Result<Stored> {
            never()
        }
        async fn read(&self, _: &Cx, _: &AccountOptions, _: &Object) -> Result<Option<Found>> {
            let text = self.text.lock().unwrap().clone();
            Ok((!text.is_empty()).then(|| Found { etag: text.clone(), bytes: text.into_bytes() }))
        }
        async fn write(
            &self,
            _: &Cx,
            _: &AccountOptions,
            _: &Object,
            _: &str,
            bytes: Vec<u8>,
            current: &Current,
        ) -> Result<bool> {
            let (mut text, mut others) = (self.text.lock().unwrap(), self.others.lock().unwrap());
            if *others > 0 {
                *others -= 1;
                text.push('x');
            }
            let is = if text.is_empty() { Current::Absent } else { Current::Etag(text.clone()) };
            if is != *current {
                return Ok(false);
            }
            *text = String::from_utf8(bytes).unwrap();
            Ok(true)
        }
    }

    #[tokio::test]
    async fn a_change_is_made_again_on_what_others_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let object = Object::parse("s3://boxes/web.json").unwrap();
        let account = AccountOptions::plain();
        let run = async |others| {
            let fake = Fake { text: Mutex::default(), others: Mutex::new(others) };
            let append = |old: Option<&[u8]>| {
                let old = String::from_utf8(old.unwrap_or_default().to_vec()).unwrap();
                Ok((format!("{old}!").into_bytes(), ()))
            };
            let done = update(&cx, &fake, &account, &object, append).await;
            (done.is_ok(), fake.text.into_inner().unwrap())
        };
        assert_eq!(run(0).await, (true, "!".into()));
        assert_eq!(run(3).await, (true, "xxx!".into()));
        assert_eq!(run(TRIES).await, (false, "x".repeat(TRIES)));
    }
}
