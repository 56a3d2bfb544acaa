//! Tags, by the rules that all of EC2 has.

use std::collections::{BTreeMap, HashSet};

use bakehouse_api::Template;

use super::Check;
use crate::options::{AmiOptions, RunOptions, TagBlock};

/// What one resource may carry.
const MOST: usize = 50;
const KEY: usize = 128;
const VALUE: usize = 256;
/// Our own mark on what a build makes.
const MARK: usize = 1;
/// That and the name of what runs.
const OURS: usize = MARK + 1;

type Map = BTreeMap<String, Template>;

impl Check<'_> {
    pub fn run_tags(&mut self, run: &RunOptions) {
        self.tags(("run_tags", &run.run_tags), ("run_tag", &run.run_tag));
        self.tags(("run_volume_tags", &run.run_volume_tags), ("run_volume_tag", &run.run_volume_tag));
        self.tags(("spot_tags", &run.spot_tags), ("spot_tag", &run.spot_tag));
        let instance = keys(&run.run_tags, &run.run_tag).len() + OURS;
        self.count("run_tags", instance, "the instance");
        let volumes = keys(&run.run_volume_tags, &run.run_volume_tag).len() + OURS;
        self.count("run_volume_tags", volumes, "the volumes");
    }

    pub fn image_tags(&mut self, ami: &AmiOptions) {
        self.tags(("tags", &ami.tags), ("tag", &ami.tag));
        self.tags(("snapshot_tags", &ami.snapshot_tags), ("snapshot_tag", &ami.snapshot_tag));
        let image = keys(&ami.tags, &ami.tag);
        self.count("tags", image.len() + MARK, "the image");
        let snapshots: HashSet<&str> = image.union(&keys(&ami.snapshot_tags, &ami.snapshot_tag)).copied().collect();
        self.count("snapshot_tags", snapshots.len() + MARK, "the snapshots");
    }

    fn count(&mut self, option: &str, count: usize, what: &str) {
        if count > MOST {
            self.error(option, format!("{what} would have {count} tags, and EC2 takes {MOST}"));
        }
    }

    pub fn tags(&mut self, (map_name, map): (&str, &Map), (block_name, blocks): (&str, &[TagBlock])) {
        for (key, value) in map {
            self.tag(map_name, key, value);
        }
        let mut seen = HashSet::new();
        for TagBlock { key, value, .. } in blocks {
            self.tag(block_name, key, value);
            if map.contains_key(key) || !seen.insert(key) {
                self.error(block_name, format!("the tag `{key}` is set twice"));
            }
        }
    }

    fn tag(&mut self, option: &str, key: &str, value: &Template) {
        if !self.known(option) {
            return;
        }
        let length = key.chars().count();
        if !(1..=KEY).contains(&length) {
            self.error(option, format!("the key of a tag has 1 to {KEY} characters, and `{key}` has {length}"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            self.error(option, format!("the tag `{key}`: keys that begin with `aws:` are Amazon's own"));
        }
        let long = Check::settled(value).map(|text| text.chars().count()).filter(|length| *length > VALUE);
        if let Some(length) = long {
            self.error(
                option,
                format!("the tag `{key}`: a value has at most {VALUE} characters, and this has {length}"),
            );
        }
    }
}

fn keys<'a>(map: &'a Map, blocks: &'a [TagBlock]) -> HashSet<&'a str> {
    map.keys().map(String::as_str).chain(blocks.iter().map(|tag| tag.key.as_str())).collect()
}
