//! `virtualbox-vm`: a machine that is there already, and its snapshots.

use bakehouse_api::{Cx, Error, Kind, Result};

use crate::builder::VirtualBoxBuilder;
use crate::options::VmBuildOptions;
use crate::vboxmanage::{Info, State, VBoxManage, verbs};
use crate::vm::Vm;

pub async fn adopt(cx: &Cx, builder: &VirtualBoxBuilder, options: &VmBuildOptions, vbox: &VBoxManage) -> Result<Vm> {
    let vm = Vm::known(cx, vbox.clone(), &options.vm_name)
        .await
        .map_err(|error| error.at(builder.at("vm_name")).hint("`VBoxManage list vms` has the machines of this user"))?;
    if vm.info(cx).await?.state() != State::Off && options.attach_snapshot.is_none() {
        let error = Error::new(Kind::Host, format!("the machine `{}` is not switched off", vm.name));
        return Err(error.at(builder.at("vm_name")).hint("switch it off, or discard its saved state"));
    }
    if let Some(path) = &options.attach_snapshot {
        let at = |error: Error| error.at(builder.at("attach_snapshot"));
        let snapshots = snapshots(cx, &vm).await?;
        let found = find(&snapshots, path).map_err(at)?;
        cx.say(format!("Setting the machine back to the snapshot {path}"));
        vm.call(cx, verbs::snapshot(&vm.id, "restore", &found.uuid)).await.map_err(at)?;
    }
    check_target(cx, builder, options, &vm).await?;
    Ok(vm)
}

/// That the snapshot's name is free is better known before the build than after it.
async fn check_target(cx: &Cx, builder: &VirtualBoxBuilder, options: &VmBuildOptions, vm: &Vm) -> Result<()> {
    let Some(target) = &options.target_snapshot else { return Ok(()) };
    let taken = snapshots(cx, vm).await?.iter().any(|snapshot| snapshot.name == *target);
    if taken && !options.force_delete_snapshot {
        let error = Error::new(Kind::Config, format!("the machine has a snapshot named `{target}` already"));
        return Err(error
            .at(builder.at("target_snapshot"))
            .hint("choose another name, or set `force_delete_snapshot = true`"));
    }
    Ok(())
}

/// Takes the snapshot; one of that name that was there before goes.
pub async fn take_target(cx: &Cx, options: &VmBuildOptions, vm: &Vm) -> Result<()> {
    let Some(target) = &options.target_snapshot else { return Ok(()) };
    let old: Vec<Snapshot> = snapshots(cx, vm).await?.into_iter().filter(|there| there.name == *target).collect();
    cx.say(format!("Taking the snapshot {target}"));
    vm.call(cx, verbs::snapshot(&vm.id, "take", target)).await?;
    for snapshot in old.iter().filter(|_| options.force_delete_snapshot) {
        vm.vbox.copy(cx, verbs::snapshot(&vm.id, "delete", &snapshot.uuid)).await?;
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Snapshot {
    name: String,
    uuid: String,
    /// Names from the first snapshot on, with `/` between them.
    path: String,
}

async fn snapshots(cx: &Cx, vm: &Vm) -> Result<Vec<Snapshot>> {
    let info = vm.info(cx).await?;
    // A machine without snapshots makes `snapshot list` fail; with them, this tells as much.
    Ok(parse(&info))
}

/// `SnapshotName`, `SnapshotName-1`, `SnapshotName-1-2`: each number a child of what stands before it.
fn parse(info: &Info) -> Vec<Snapshot> {
    let named = |place: &str| info.get(&format!("SnapshotName{place}")).unwrap_or_default().to_owned();
    let snapshot = |(place, name): (&str, &str)| {
        let uuid = info.get(&format!("SnapshotUUID{place}"))?.to_owned();
        let parents = std::iter::once("").chain(place.match_indices('-').skip(1).map(|(at, _)| &place[..at]));
        let above: Vec<String> = parents.filter(|parent| *parent != place).map(named).collect();
        let path = above.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
        Some(Snapshot { name: name.to_owned(), uuid, path })
    };
    info.with_prefix("SnapshotName").filter_map(snapshot).collect()
}

fn find<'a>(snapshots: &'a [Snapshot], wanted: &str) -> Result<&'a Snapshot> {
    let fits = |snapshot: &&Snapshot| [&snapshot.name, &snapshot.uuid, &snapshot.path].contains(&&wanted.to_owned());
    let found: Vec<&Snapshot> = snapshots.iter().filter(fits).collect();
    let paths = |list: &[&Snapshot]| list.iter().map(|one| one.path.as_str()).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok(one),
        [] if snapshots.is_empty() => Err(Error::new(Kind::Config, "the machine has no snapshots")),
        [] => Err(Error::new(Kind::Config, format!("the machine has no snapshot `{wanted}`"))
            .hint(format!("it has {}", paths(&snapshots.iter().collect::<Vec<_>>())))),
        several => Err(Error::new(Kind::Config, format!("the machine has {} snapshots `{wanted}`", several.len()))
            .hint(format!("name one by its path: {}", paths(several)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_found_by_name_path_and_uuid() {
        let info = Info::parse(
            "SnapshotName=\"base\"\nSnapshotUUID=\"u0\"\nSnapshotName-1=\"web\"\nSnapshotUUID-1=\"u1\"\n\
             SnapshotName-2=\"db\"\nSnapshotUUID-2=\"u2\"\nSnapshotName-1-1=\"db\"\nSnapshotUUID-1-1=\"u11\"\n\
             CurrentSnapshotName=\"db\"\n",
        );
        let snapshots = parse(&info);
        let paths: Vec<_> = snapshots.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["base", "base/web", "base/web/db", "base/db"]);
        assert_eq!(find(&snapshots, "web").unwrap().uuid, "u1");
        assert_eq!(find(&snapshots, "base/web/db").unwrap().uuid, "u11");
        assert_eq!(find(&snapshots, "u2").unwrap().path, "base/db");
        assert!(find(&snapshots, "db").unwrap_err().to_string().contains("has 2 snapshots `db`"));
        assert_eq!(find(&snapshots, "none").unwrap_err().hints(), ["it has base, base/web, base/web/db, base/db"]);
        assert_eq!(find(&[], "x").unwrap_err().to_string(), "the machine has no snapshots");
    }
}
