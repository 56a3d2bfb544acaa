//! AWS: no files, the AMI of each region.

use super::{Contents, Guest, ProviderError, metadata, vagrantfile};

const PROVIDER: &str = "aws";

/// `id` names the AMIs as artifacts do: `region:ami-1,region:ami-2`.
pub fn aws(id: &str, guest: &Guest) -> Result<Contents, ProviderError> {
    let mut lines = Vec::new();
    for pair in id.split(',').map(str::trim) {
        let Some((region, ami)) = pair.split_once(':').filter(|(region, ami)| word(region) && word(ami)) else {
            return Err(ProviderError::NoAmi { id: id.to_owned() });
        };
        lines.push(format!("aws.region_config \"{region}\", ami: \"{ami}\""));
    }
    Ok(Contents {
        metadata: metadata(PROVIDER, guest),
        vagrantfile: vagrantfile(PROVIDER, "aws", &lines),
        members: vec![],
    })
}

/// What may stand in a Vagrantfile as it is.
fn word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
