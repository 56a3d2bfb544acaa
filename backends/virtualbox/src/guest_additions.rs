//! The Guest Additions: where they come from.

use std::path::PathBuf;

use bakehouse_api::{Cx, Error, Result};
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::digest::{Algorithm, Digest};
use bakehouse_kit::download::{self, Checksum, Request};

use crate::builder::VirtualBoxBuilder;
use crate::options::{AdditionsMode, CommonOptions};
use crate::vboxmanage::{VBoxManage, verbs};

const SITE: &str = "https://download.virtualbox.org/virtualbox";
/// Where `upload` puts them: the user's home.
pub const DEFAULT_PATH: &str = "VBoxGuestAdditions.iso";

/// Nothing where nothing is to be done with them.
pub async fn fetch(cx: &Cx, builder: &VirtualBoxBuilder, vbox: &VBoxManage) -> Result<Option<PathBuf>> {
    let common = builder.common();
    let unreached = common.comm.communicator == CommKind::None;
    match common.guest_additions_mode {
        AdditionsMode::Disable => return Ok(None),
        AdditionsMode::Upload if unreached => return Ok(None),
        AdditionsMode::Upload | AdditionsMode::Attach => {}
    }
    let request = request(cx, common, vbox, &builder.vm_name).await?;
    let fetched = download::fetch(cx, &request).await.map_err(|error| {
        Error::from(error)
            .context("getting the Guest Additions")
            .at(builder.at("guest_additions_url"))
            .hint("set `guest_additions_url`, or `guest_additions_mode = \"disable\"` if the guest needs none")
    })?;
    Ok(Some(cx.settings().cwd.join(fetched.path)))
}

async fn request(cx: &Cx, common: &CommonOptions, vbox: &VBoxManage, name: &str) -> Result<Request> {
    let known = common.guest_additions_sha256.as_deref().and_then(|hex| Digest::new(Algorithm::Sha256, hex));
    let known = known.map(Checksum::Known);
    let version = vbox.version.to_string();
    if let Some(url) = common.guest_additions_url.as_ref().filter(|url| !url.text.is_empty()) {
        let url = url.render([("Version", version.as_str()), ("Name", name)])?;
        return Ok(of(url, known.unwrap_or(Checksum::None)));
    }
    if let Some(installed) = installed(cx, vbox).await? {
        return Ok(of(installed, known.unwrap_or(Checksum::None)));
    }
    let published = Checksum::File(format!("{SITE}/{version}/SHA256SUMS"));
    Ok(of(format!("{SITE}/{version}/VBoxGuestAdditions_{version}.iso"), known.unwrap_or(published)))
}

fn of(url: String, checksum: Checksum) -> Request {
    Request { urls: vec![url], checksum, target: None, extension: "iso".into() }
}

/// Those that came with this VirtualBox.
async fn installed(cx: &Cx, vbox: &VBoxManage) -> Result<Option<String>> {
    const LINE: &str = "Default Guest Additions ISO:";
    let told = vbox.call(cx, verbs::list("systemproperties")).await?;
    let path = told.lines().find_map(|line| Some(line.strip_prefix(LINE)?.trim().to_owned()));
    Ok(path.filter(|path| std::path::Path::new(path).is_file()))
}
