//! The image: its name, who may use it, its keys and its end.

use std::time::{Duration, SystemTime};

use bakehouse_api::Diagnostic;

use super::Check;
use crate::options::{AmiOptions, BlockDevice};
use crate::share::instant;

const NAME: std::ops::RangeInclusive<usize> = 3..=128;
/// EC2 deprecates nothing later than that.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600 + 2 * 24 * 3600);

impl Check<'_> {
    /// `made`: an image comes out.
    pub fn ami(&mut self, ami: &AmiOptions, made: bool) {
        if made {
            self.name("ami_name", &ami.ami_name);
        }
        if let Some(text) = ami.ami_description.as_ref().and_then(Check::settled)
            && text.chars().count() > 255
        {
            self.error("ami_description", "`ami_description` may have at most 255 characters");
        }
        self.accounts("ami_users", &ami.ami_users);
        self.accounts("snapshot_users", &ami.snapshot_users);
        self.groups("ami_groups", &ami.ami_groups);
        self.groups("snapshot_groups", &ami.snapshot_groups);
        self.keys(ami);
        self.regions(ami);
        self.deprecation(ami);
        if ami.force_delete_snapshot && !ami.force_deregister && self.known("force_deregister") {
            let warning =
                Diagnostic::warning("`force_delete_snapshot` has no effect without `force_deregister = true`");
            self.push("force_delete_snapshot", warning);
        }
        if ami.fast_launch.as_ref().is_some_and(|fast| fast.enable_fast_launch) {
            self.unsupported("fast_launch", "turn it on afterwards: `aws ec2 enable-fast-launch`");
        }
    }

    pub fn name(&mut self, option: &str, name: &str) {
        if !self.known(option) {
            return;
        }
        if name.is_empty() {
            self.error(option, format!("`{option}` is required"));
            return;
        }
        if !NAME.contains(&name.chars().count()) {
            self.error(
                option,
                format!("`{option}` must have 3 to 128 characters, and it has {}", name.chars().count()),
            );
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
        if let Some(wrong) = name.chars().find(|c| !allowed(*c)) {
            let error = Diagnostic::error(format!("an AMI name may not have the character `{wrong}`"))
                .detail("allowed are letters, digits, blanks and ( ) [ ] . / - ' @ _")
                .hint("`{{ clean_resource_name }}` in legacy JSON, or `regex_replace(..., \"[^A-Za-z0-9.-]\", \"-\")`");
            self.push(option, error);
        }
    }

    pub fn accounts(&mut self, option: &str, accounts: &[String]) {
        if !self.known(option) {
            return;
        }
        let is_account = |text: &&String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(wrong) = accounts.iter().find(|text| !is_account(text)) {
            self.error(option, format!("`{wrong}` is no account: those have 12 digits"));
        }
    }

    fn groups(&mut self, option: &str, groups: &[String]) {
        if let Some(wrong) = groups.iter().find(|group| *group != "all").filter(|_| self.known(option)) {
            self.error(option, format!("`{wrong}` is no group: the only one is `all`"));
        }
    }

    fn keys(&mut self, ami: &AmiOptions) {
        let key = ami.kms_key_id.as_deref().filter(|key| !key.is_empty());
        if key.is_some() && ami.encrypt_boot != Some(true) && self.known("encrypt_boot") {
            self.error("kms_key_id", "`kms_key_id` needs `encrypt_boot = true`");
        }
        if let Some(key) = key.filter(|key| self.known("kms_key_id") && !is_key(key)) {
            self.error("kms_key_id", format!("`{key}` is no key: take its id, `alias/NAME` or its ARN"));
        }
        for (region, key) in &ami.region_kms_key_ids {
            if !key.is_empty() && self.known("region_kms_key_ids") && !is_key(key) {
                self.error(
                    "region_kms_key_ids",
                    format!("`{key}` of {region} is no key: take its id, `alias/NAME` or its ARN"),
                );
            }
        }
    }

    fn regions(&mut self, ami: &AmiOptions) {
        if !self.known("ami_regions") || !self.known("region_kms_key_ids") {
            return;
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = ami.ami_regions.iter().find(|region| !seen.insert(region.as_str())) {
            self.error("ami_regions", format!("`{twice}` stands in `ami_regions` twice"));
        }
        if !ami.region_kms_key_ids.is_empty() {
            let keyed = |region: &&String| ami.region_kms_key_ids.contains_key(*region);
            if let Some(missing) = ami.ami_regions.iter().find(|region| !keyed(region)) {
                let hint = "`\"\"` is the account's own key there";
                let error = Diagnostic::error(format!("`region_kms_key_ids` has no key for {missing}")).hint(hint);
                self.push("region_kms_key_ids", error);
            }
            if let Some(other) = ami.region_kms_key_ids.keys().find(|region| !ami.ami_regions.contains(region)) {
                self.error("region_kms_key_ids", format!("`ami_regions` has no region {other}"));
            }
        }
        if ami.skip_save_build_region && ami.ami_regions.is_empty() {
            self.error("skip_save_build_region", "`skip_save_build_region` without `ami_regions` would leave no image");
        }
    }

    fn deprecation(&mut self, ami: &AmiOptions) {
        let Some(at) = ami.deprecate_at.as_deref().filter(|at| !at.is_empty()) else { return };
        if !self.known("deprecate_at") {
            return;
        }
        let when = match instant(at).map(SystemTime::try_from) {
            Ok(Ok(when)) => when,
            Ok(Err(_)) => return self.error("deprecate_at", format!("`{at}` is too far away")),
            Err(reason) => return self.error("deprecate_at", reason),
        };
        match when.duration_since(SystemTime::now()) {
            Err(_) => self.error("deprecate_at", format!("`{at}` is past")),
            Ok(ahead) if ahead > TEN_YEARS => {
                self.error("deprecate_at", format!("`{at}` is more than ten years away"));
            }
            Ok(_) => {}
        }
    }

    /// EC2 shares no image with everybody whose snapshots are encrypted.
    pub fn public_and_encrypted(&mut self, ami: &AmiOptions, devices: &[BlockDevice]) {
        let encrypted = ami.encrypt_boot == Some(true) || devices.iter().any(|device| device.encrypted == Some(true));
        for (option, groups) in [("ami_groups", &ami.ami_groups), ("snapshot_groups", &ami.snapshot_groups)] {
            if encrypted && !groups.is_empty() {
                self.error(option, "what is encrypted cannot be shared with everybody");
            }
        }
    }
}

/// An id, `mrk-` and digits, `alias/NAME`, or an ARN of a key or an alias.
pub fn is_key(text: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = |text: &str| match text.strip_prefix("mrk-") {
        Some(rest) => rest.len() == 32 && hex(rest),
        None => text.len() == 36 && text.split('-').count() == 5 && text.split('-').all(hex),
    };
    let alias = |text: &str| text.strip_prefix("alias/").is_some_and(|name| !name.is_empty());
    match text.strip_prefix("arn:") {
        Some(rest) => match rest.rsplit_once(':') {
            Some((head, tail)) => head.contains(":kms:") && (tail.strip_prefix("key/").is_some_and(id) || alias(tail)),
            None => false,
        },
        None => id(text) || alias(text),
    }
}
