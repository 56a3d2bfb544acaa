use bakehouse_api::{Diagnostics, FileId};

use super::*;
use crate::template::json::read::read;

fn fixed(text: &str) -> Result<String, String> {
    let mut diagnostics = Diagnostics::default();
    let root = read(text, FileId(0), &mut diagnostics).expect("is JSON");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    fix(&root).map(|template| template.to_string()).map_err(|error| error.to_string())
}

#[test]
fn every_fixer_is_named_once_and_says_what_it_does() {
    for (i, fixer) in FIXERS.iter().enumerate() {
        assert!(!fixer.about.is_empty());
        assert!(FIXERS[..i].iter().all(|other| other.name != fixer.name), "{}", fixer.name);
    }
}

#[test]
fn an_old_template_becomes_one_of_today() {
    let old = r#"{"builders": [{"type": "virtualbox", "iso_md5": "abc", "ssh_wait_timeout": "5m", "disk_size": 5}]}"#;
    let new = r#"{"builders":[{"disk_size":5,"iso_checksum":"md5:abc","ssh_timeout":"5m","type":"virtualbox-iso"}]}"#;
    assert_eq!(fixed(old).as_deref(), Ok(new));
}

/// Packer itself ends with a stack trace over these.
#[test]
fn strange_values_are_left_alone() {
    for text in [
        r#"{"builders":["x",null,{"iso_md5":"a","type":5}]}"#,
        r#"{"builders":[{"ssh_private_ip":null,"type":"amazon-ebs"}]}"#,
        r#"{"builders":[{"network":"x","network_adapters":"y","type":"vsphere-iso"}]}"#,
        r#"{"builders":[],"provisioners":[{"galaxycommand":5,"type":"ansible-local"}]}"#,
        r#"{"builders":{"type":"virtualbox"}}"#,
    ] {
        let wanted = text.replace(r#""iso_md5":"a""#, r#""iso_checksum":"md5:a""#);
        assert_eq!(fixed(text), Ok(wanted), "{text}");
    }
}

#[test]
fn what_cannot_be_fixed_is_said() {
    let text = r#"{"builders": [{"type": "amazon-ebs", "ssh_private_ip": "perhaps"}]}"#;
    assert_eq!(fixed(text), Err("`ssh_private_ip` must be true or false, and it is `perhaps`".into()));
    assert_eq!(fixed(r#"{"a": 1e400}"#), Err("a number of 401 digits is too large".into()));
}

#[test]
fn text_is_escaped_as_go_does() {
    let json = serde_json::json!({ "a": "\u{8}\u{c}\u{1}<>&\u{2028}\\b\"é", "b": [], "c": {} });
    let text = "{\n  \"a\": \"\\u0008\\u000c\\u0001<>\\u0026\\u2028\\\\b\\\"é\",\n  \"b\": [],\n  \"c\": {}\n}";
    assert_eq!(pretty(&json), text);
}
