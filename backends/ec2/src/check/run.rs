//! The instance.

use std::path::Path;

use bakehouse_api::Diagnostic;
use ipnet::IpNet;

use super::Check;
use crate::network::given;
use crate::options::RunOptions;
use crate::options::run::{AmiFilter, ShutdownBehavior, SshInterface};

/// EC2's limit for user data.
const USER_DATA: usize = 16 * 1024;

impl Check<'_> {
    pub fn run(&mut self, run: &RunOptions) {
        self.source(run);
        self.instance_type(run);
        self.user_data(run);
        self.place(run);
        self.callers(run);
        self.metadata(run);
        self.reservation(run);
        self.session(run);
        if run.license_specifications.iter().any(|license| license.license_configuration_request.is_none()) {
            const MISSING: &str = "`license_specifications` needs the block `license_configuration_request`";
            self.error("license_specifications", MISSING);
        }
        if run.shutdown_behavior == ShutdownBehavior::Terminate && run.disable_stop_instance {
            self.error(
                "disable_stop_instance",
                "an instance that terminates itself leaves nothing to make an image of",
            );
        }
        for (option, set) in [
            ("spot_allocation_strategy", run.spot_allocation_strategy.is_some()),
            ("block_duration_minutes", run.block_duration_minutes.is_some_and(|minutes| minutes > 0)),
            ("windows_password_timeout", run.windows_password_timeout.is_some()),
            ("skip_profile_validation", run.skip_profile_validation),
        ] {
            if set {
                self.unsupported(option, "remove it");
            }
        }
        if run.spot_price_auto_product.is_some() {
            let warning = Diagnostic::warning("`spot_price_auto_product` has no effect: EC2 has one price for all");
            self.push("spot_price_auto_product", warning);
        }
    }

    fn source(&mut self, run: &RunOptions) {
        let filtered = run.source_ami_filter.is_some();
        let named = given(&run.source_ami);
        if named.is_none() && !filtered && self.known("source_ami") {
            let error = Diagnostic::error("the source image is missing");
            self.push("source_ami", error.hint("set `source_ami` or `source_ami_filter`"));
        }
        if let Some(id) = named.filter(|id| self.known("source_ami") && !id.starts_with("ami-")) {
            self.error("source_ami", format!("`{id}` is no id of an image: those begin with `ami-`"));
        }
        if let Some(filter) = run.source_ami_filter.as_ref().filter(|_| self.known("source_ami_filter")) {
            self.ami_filter("source_ami_filter", filter);
        }
    }

    pub fn ami_filter(&mut self, option: &str, filter: &AmiFilter) {
        if filter.owners.is_empty() {
            let error = Diagnostic::error(format!("`{option}` needs `owners`"))
                .hint("without one anybody's image of that name would do: an account, `self`, `amazon`");
            self.push(option, error);
        }
        if filter.filters.is_empty() && filter.filter.is_empty() {
            self.error(option, format!("`{option}` needs `filters`"));
        }
    }

    fn instance_type(&mut self, run: &RunOptions) {
        let (one, several) = (given(&run.instance_type).is_some(), !run.spot_instance_types.is_empty());
        let known = self.known("instance_type") && self.known("spot_instance_types");
        if known && !one && !several {
            self.error("instance_type", "`instance_type` or `spot_instance_types` is required");
        }
        self.exclude("instance_type", one, "spot_instance_types", several);
        if let Some(price) = given(&run.spot_price).filter(|price| self.known("spot_price") && price != "auto")
            && !price.parse::<f64>().is_ok_and(|price| price >= 0.0)
        {
            self.error("spot_price", format!("`{price}` is no price: write `auto` or dollars an hour"));
        }
        let tagged = !run.spot_tags.is_empty() || !run.spot_tag.is_empty();
        if tagged && !run.is_spot() {
            self.push("spot_tags", Diagnostic::warning("`spot_tags` has no effect without `spot_price`"));
        }
        if run.enable_unlimited_credits
            && let Some(kind) = run.instance_types().iter().find(|kind| !kind.starts_with('t'))
            && self.known("instance_type")
        {
            self.error(
                "enable_unlimited_credits",
                format!("only instances of kind t have CPU credits, and this is {kind}"),
            );
        }
    }

    fn user_data(&mut self, run: &RunOptions) {
        let text = given(&run.user_data);
        let file = run.user_data_file.as_deref().filter(|path| !path.as_os_str().is_empty());
        self.exclude("user_data", text.is_some(), "user_data_file", file.is_some());
        if let Some(text) = text.filter(|_| self.known("user_data")) {
            self.user_data_length("user_data", text.len());
        }
        if let Some(file) = file.filter(|_| self.known("user_data_file")) {
            self.user_data_file(file);
        }
    }

    fn user_data_file(&mut self, file: &Path) {
        match std::fs::metadata(file) {
            Ok(meta) if meta.is_file() => {
                self.user_data_length("user_data_file", usize::try_from(meta.len()).unwrap_or(usize::MAX));
            }
            _ => self.error("user_data_file", format!("there is no file `{}`", file.display())),
        }
    }

    fn user_data_length(&mut self, option: &str, bytes: usize) {
        if bytes > USER_DATA {
            let error = format!("user data may have 16 KiB at most, and this has {bytes} bytes");
            let hint = "compress it with gzip: cloud-init reads that; or fetch the rest from the script";
            self.push(option, Diagnostic::error(error).hint(hint));
        }
    }

    fn place(&mut self, run: &RunOptions) {
        for (option, id, prefix) in [
            ("vpc_id", &run.vpc_id, "vpc-"),
            ("subnet_id", &run.subnet_id, "subnet-"),
            ("security_group_id", &run.security_group_id, "sg-"),
        ] {
            if let Some(id) = given(id).filter(|id| self.known(option) && !id.starts_with(prefix)) {
                self.error(option, format!("`{id}` must begin with `{prefix}`"));
            }
        }
        self.exclude(
            "security_group_id",
            given(&run.security_group_id).is_some(),
            "security_group_ids",
            !run.security_group_ids.is_empty(),
        );
        if given(&run.vpc_id).is_some()
            && given(&run.subnet_id).is_none()
            && run.subnet_filter.is_none()
            && self.known("subnet_id")
        {
            self.error("vpc_id", "`vpc_id` needs `subnet_id` or `subnet_filter`: an instance stands in a subnet");
        }
        if run.associate_public_ip_address.is_some() && given(&run.subnet_id).is_none() && run.subnet_filter.is_none() {
            let hint = "EC2 takes a public address for a network card in a named subnet only";
            let error = Diagnostic::error("`associate_public_ip_address` needs `subnet_id` or `subnet_filter`");
            if self.known("subnet_id") {
                self.push("associate_public_ip_address", error.hint(hint));
            }
        }
        let profile = given(&run.iam_instance_profile).is_some();
        let policy = run.temporary_iam_instance_profile_policy_document.is_some();
        self.exclude("iam_instance_profile", profile, "temporary_iam_instance_profile_policy_document", policy);
    }

    fn callers(&mut self, run: &RunOptions) {
        const OPTION: &str = "temporary_security_group_source_cidrs";
        let cidrs = &run.temporary_security_group_source_cidrs;
        if let Some(wrong) = cidrs.iter().find(|cidr| cidr.parse::<IpNet>().is_err()).filter(|_| self.known(OPTION)) {
            self.error(OPTION, format!("`{wrong}` is no network in CIDR form, like 192.0.2.0/24"));
        }
        let public = run.temporary_security_group_source_public_ip;
        self.exclude(OPTION, !cidrs.is_empty(), "temporary_security_group_source_public_ip", public);
    }

    fn metadata(&mut self, run: &RunOptions) {
        let hops = run.metadata_options.as_ref().and_then(|options| options.http_put_response_hop_limit);
        if let Some(hops) = hops.filter(|hops| !(1..=64).contains(hops) && self.known("metadata_options")) {
            self.error(
                "metadata_options",
                format!("`http_put_response_hop_limit` must lie between 1 and 64, and it is {hops}"),
            );
        }
    }

    fn reservation(&mut self, run: &RunOptions) {
        let (id, group) = (given(&run.capacity_reservation_id), given(&run.capacity_reservation_group_arn));
        self.exclude("capacity_reservation_id", id.is_some(), "capacity_reservation_group_arn", group.is_some());
        let preferred = !run.capacity_reservation_preference.as_str().is_empty();
        self.exclude(
            "capacity_reservation_preference",
            preferred,
            "capacity_reservation_id",
            id.is_some() || group.is_some(),
        );
    }

    fn session(&mut self, run: &RunOptions) {
        let session = run.ssh_interface == SshInterface::SessionManager && self.known("ssh_interface");
        let profile = given(&run.iam_instance_profile).is_some()
            || run.temporary_iam_instance_profile_policy_document.is_some()
            || !self.known("iam_instance_profile");
        if session && !profile {
            let error = Diagnostic::error("`ssh_interface = \"session_manager\"` needs an instance profile")
                .hint("`iam_instance_profile` of a role with AmazonSSMManagedInstanceCore");
            self.push("ssh_interface", error);
        }
        if !session && run.session_manager_port.is_some() && self.known("ssh_interface") {
            let warning = "`session_manager_port` has no effect without `ssh_interface = \"session_manager\"`";
            self.push("session_manager_port", Diagnostic::warning(warning));
        }
    }
}
