//! `ami`: the images that builds have left in an account.

use std::time::{Duration, SystemTime};

use bakehouse_api::account::{Removed, StoredImage, Wanted};
use bakehouse_api::{Account, Error, Kind, Result};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::caching::duration;
use super::login::LoginArgs;
use super::runtime::{block_on, on_signals};
use super::table::{count, table};
use super::{End, complain, put, say};
use crate::engine::cache::age;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the account's own images: how old, how large, and what uses them.
    Ls(Ls),
    /// Remove old images with their snapshots. Only says what it would do, unless there is `--yes`.
    ///
    /// An image stays that an instance, a launch template, a launch configuration or an Auto Scaling group uses, that
    /// is protected from being deregistered, or that is still being made.
    Prune(Prune),
}

#[derive(clap::Args)]
struct Ls {
    #[command(flatten)]
    chosen: Chosen,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Chosen {
    /// Images of this name, with `*` and `?`; may be repeated.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Images with this tag; may be repeated: they have all of them.
    #[arg(long = "tag", value_name = "KEY[=VALUE]", value_parser = tag)]
    tags: Vec<(String, Option<String>)>,
    #[command(flatten)]
    login: LoginArgs,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["names", "tags"])))]
#[command(group(clap::ArgGroup::new("limit").required(true).multiple(true).args(["keep", "older_than"])))]
struct Prune {
    #[command(flatten)]
    chosen: Chosen,
    /// Keep so many of them in each region, the youngest.
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove only what is older, like 30d or 12h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Print what is done as JSON.
    #[arg(long)]
    json: bool,
}

fn tag(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() { Err("a tag has a key".into()) } else { Ok((key.to_owned(), value)) }
}

impl Chosen {
    fn wanted(&self) -> Wanted {
        Wanted { names: self.names.clone(), tags: self.tags.clone() }
    }
}

pub fn run(args: &Args) -> Result<End> {
    match &args.command {
        Command::Ls(args) => block_on(list(args)),
        Command::Prune(args) => block_on(prune(args)),
    }
}

async fn list(args: &Ls) -> Result<End> {
    let stock = args.chosen.login.account()?.images(&args.chosen.wanted()).await?;
    stock.blind.iter().for_each(|blind| eprintln!("Warning: not all uses are known: {blind}"));
    if args.json {
        print(stock.images.iter().map(as_object).collect())?;
        return Ok(End::Success);
    }
    if stock.images.is_empty() {
        say("There are no such images.");
        return Ok(End::Success);
    }
    let header = ["ID", "NAME", "REGION", "AGE", "SIZE", "STATE", "USED BY"].map(str::to_owned);
    put(&table(std::iter::once(header).chain(stock.images.iter().map(row)).collect()));
    Ok(End::Success)
}

fn row(image: &StoredImage) -> [String; 7] {
    let protected = if image.protected { ", protected" } else { "" };
    [
        image.id.clone(),
        image.name.clone(),
        image.region.clone(),
        old(image),
        format!("{} GiB", image.gib),
        format!("{}{protected}", image.state),
        if image.used_by.is_empty() { "-".into() } else { image.used_by.join(", ") },
    ]
}

fn old(image: &StoredImage) -> String {
    image.made.map_or("unknown".into(), |made| age(since(made)))
}

fn since(at: SystemTime) -> Duration {
    at.elapsed().unwrap_or_default()
}

fn as_object(image: &StoredImage) -> Value {
    json!({
        "id": image.id,
        "name": image.name,
        "region": image.region,
        "age_seconds": image.made.map(|made| since(made).as_secs()),
        "gib": image.gib,
        "state": image.state,
        "tags": image.tags,
        "snapshots": image.snapshots,
        "protected": image.protected,
        "used_by": image.used_by,
    })
}

fn print(all: Vec<Value>) -> Result<()> {
    say(serde_json::to_string_pretty(&all).map_err(|error| Error::new(Kind::Internal, error))?);
    Ok(())
}

/// What becomes of an image.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Remove,
    /// It is young enough.
    Stay,
    /// It would go, but for this.
    Spared(String),
}

/// `images`: the youngest of a region first.
fn judge(images: &[StoredImage], keep: usize, older_than: Duration) -> Vec<Verdict> {
    let judge_one = |(at, image): (usize, &StoredImage)| {
        let younger = images[..at].iter().filter(|other| other.region == image.region).count();
        let old = image.made.is_some_and(|made| since(made) >= older_than);
        if younger < keep || !old {
            return Verdict::Stay;
        }
        match image {
            _ if !image.used_by.is_empty() => Verdict::Spared(format!("used by {}", image.used_by.join(", "))),
            _ if image.protected => Verdict::Spared(format!(
                "protected from being deregistered; `aws ec2 disable-image-deregistration-protection --region {} \
                 --image-id {}` takes that off",
                image.region, image.id
            )),
            _ if image.is_pending() => Verdict::Spared("it is still being made".into()),
            _ => Verdict::Remove,
        }
    };
    images.iter().enumerate().map(judge_one).collect()
}

async fn prune(args: &Prune) -> Result<End> {
    let stop = CancellationToken::new();
    on_signals(stop.clone(), stop.clone())?;
    let account = args.chosen.login.account()?;
    let stock = account.images(&args.chosen.wanted()).await?;
    if !stock.blind.is_empty() {
        let error = format!("it is not known what uses these images: {}", stock.blind.join("; "));
        return Err(Error::new(Kind::Missing, error).hint("give the role or user the permission to look"));
    }
    let verdicts = judge(&stock.images, args.keep.unwrap_or(0), args.older_than.unwrap_or_default());
    let (mut told, mut gone, mut end) = (Vec::new(), 0, End::Success);
    for (image, verdict) in stock.images.iter().zip(verdicts) {
        let done = match verdict {
            Verdict::Remove if args.yes && stop.is_cancelled() => return Err(Error::interrupted()),
            Verdict::Remove if args.yes => remove(&*account, image).await,
            Verdict::Remove => Done::would(image),
            Verdict::Stay => continue,
            Verdict::Spared(why) => Done::Spared(why),
        };
        gone += usize::from(matches!(done, Done::Removed(_)));
        if matches!(done, Done::Failed(_)) {
            end = End::Failure;
        }
        if args.json { told.push(done.as_object(image, args.yes)) } else { done.tell(image, args.yes) }
    }
    if args.json {
        print(told)?;
    } else if args.yes {
        say(format_args!("Removed {} of {}.", gone, count(stock.images.len(), "image")));
    } else {
        say(format_args!("{gone} of {} would go. `--yes` removes them.", count(stock.images.len(), "image")));
    }
    Ok(end)
}

enum Done {
    /// Or it would be.
    Removed(Removed),
    Spared(String),
    Failed(Error),
}

async fn remove(account: &dyn Account, image: &StoredImage) -> Done {
    match account.remove(image).await {
        Ok(removed) => Done::Removed(removed),
        Err(error) => Done::Failed(error),
    }
}

impl Done {
    fn would(image: &StoredImage) -> Self {
        Done::Removed(Removed { snapshots: image.snapshots.clone(), kept: Vec::new() })
    }

    fn tell(&self, image: &StoredImage, yes: bool) {
        let whose = format!("{} {} ({}, {})", image.region, image.id, image.name, old(image));
        match self {
            Done::Removed(removed) => {
                let verb = if yes { "removed" } else { "would be removed" };
                let with = if removed.snapshots.is_empty() { "" } else { " with " };
                say(format_args!("{whose}: {verb}{with}{}", removed.snapshots.join(", ")));
                for kept in &removed.kept {
                    say(format_args!("  {kept} stays: another image is made of it"));
                }
            }
            Done::Spared(why) => say(format_args!("{whose}: stays, {why}")),
            Done::Failed(error) => complain(&error.clone().context(format!("removing {whose}"))),
        }
    }

    fn as_object(&self, image: &StoredImage, yes: bool) -> Value {
        let mut object = json!({ "id": image.id, "name": image.name, "region": image.region });
        let more = match self {
            Done::Removed(removed) => json!({
                "action": if yes { "removed" } else { "would remove" },
                "snapshots": removed.snapshots,
                "snapshots_kept": removed.kept,
            }),
            Done::Spared(why) => json!({ "action": "kept", "reason": why }),
            Done::Failed(error) => json!({ "action": "failed", "reason": error.to_string() }),
        };
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn image(region: &str, days: u32) -> StoredImage {
        let made = Some(SystemTime::now() - DAY * days);
        StoredImage { region: region.into(), made, state: "available".into(), ..StoredImage::default() }
    }

    #[test]
    fn the_youngest_of_each_region_stay() {
        let images = [image("a", 1), image("a", 2), image("b", 1), image("a", 3)];
        use Verdict::{Remove, Stay};
        assert_eq!(judge(&images, 1, Duration::ZERO), [Stay, Remove, Stay, Remove]);
        assert_eq!(judge(&images, 2, Duration::ZERO), [Stay, Stay, Stay, Remove]);
        assert_eq!(judge(&images, 0, DAY * 2), [Stay, Remove, Stay, Remove]);
        assert_eq!(judge(&images, 1, DAY * 3), [Stay, Stay, Stay, Remove], "both have to hold");
        let ageless = StoredImage { made: None, ..image("a", 0) };
        assert_eq!(judge(&[ageless], 0, Duration::ZERO), [Stay], "of an unknown age");
    }

    #[test]
    fn what_is_in_use_or_protected_or_not_finished_stays() {
        let used = StoredImage { used_by: vec!["instance i-1".into()], ..image("a", 9) };
        let protected = StoredImage { protected: true, ..image("a", 9) };
        let pending = StoredImage { state: "pending".into(), ..image("a", 9) };
        let spared: Vec<String> = judge(&[used, protected, pending], 0, Duration::ZERO)
            .into_iter()
            .map(|verdict| match verdict {
                Verdict::Spared(why) => why,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(spared[0], "used by instance i-1");
        assert!(spared[1].starts_with("protected from being deregistered"), "{}", spared[1]);
        assert_eq!(spared[2], "it is still being made");
    }

    #[test]
    fn a_tag_may_have_a_value() {
        assert_eq!(tag("Team=images=x"), Ok(("Team".into(), Some("images=x".into()))));
        assert_eq!(tag("keep"), Ok(("keep".into(), None)));
        assert!(tag("=x").is_err());
    }
}
