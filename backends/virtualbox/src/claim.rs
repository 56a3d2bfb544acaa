//! A folder for a machine of ours, taken before VirtualBox writes into it: what is registered from inside of it
//! is ours to remove, whatever happens in between.

use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Kind, Result, UndoId};

use crate::undo::{self, Machine};
use crate::vboxmanage::{VBoxManage, info, verbs};
use crate::vm::Vm;

pub struct Claim {
    pub machine: Machine,
    undo: UndoId,
}

impl Claim {
    /// `importing`: VirtualBox writes disks before it registers the machine.
    pub async fn take(cx: &Cx, vbox: &VBoxManage, name: &str, importing: bool) -> Result<Self> {
        let folder = machine_folder(cx, vbox).await?.join(folder_name(name));
        let known_media = known_media(cx, vbox).await?;
        make(&folder)?;
        let (install, made_by) = (vbox.install.clone(), std::process::id());
        let machine = Machine { install, name: name.to_owned(), folder, known_media, importing, made_by };
        let undo = cx.hold(undo::machine(&machine))?;
        Ok(Self { machine, undo })
    }

    /// The machine is registered.
    pub async fn settle(self, cx: &Cx, vbox: &VBoxManage) -> Result<(Vm, Self)> {
        let vm = Vm::known(cx, vbox.clone(), &self.machine.name).await?;
        let machine = Machine { folder: vm.folder.clone(), importing: false, ..self.machine.clone() };
        let undo = cx.hold(undo::machine(&machine))?;
        if machine.folder == self.machine.folder {
            cx.forget(self.undo);
        } else {
            // VirtualBox gave the folder a name of its own; the claimed one is empty.
            cx.release(self.undo).await?;
        }
        Ok((vm, Self { machine, undo }))
    }

    /// The machine is the user's from now on.
    pub fn leave(self, cx: &Cx) {
        cx.forget(self.undo);
    }

    pub async fn remove(self, cx: &Cx) -> Result<()> {
        cx.release(self.undo).await
    }
}

async fn machine_folder(cx: &Cx, vbox: &VBoxManage) -> Result<PathBuf> {
    const LINE: &str = "Default machine folder:";
    let told = vbox.call(cx, verbs::list("systemproperties")).await?;
    let folder = told.lines().find_map(|line| Some(line.strip_prefix(LINE)?.trim()));
    let folder = folder.ok_or_else(|| Error::new(Kind::Host, "VBoxManage tells no default machine folder"))?;
    Ok(folder.into())
}

/// CDs and floppies on VirtualBox's list.
pub async fn known_media(cx: &Cx, vbox: &VBoxManage) -> Result<Vec<String>> {
    let mut known = info::locations(&vbox.call(cx, verbs::list("dvds")).await?);
    known.extend(info::locations(&vbox.call(cx, verbs::list("floppies")).await?));
    Ok(known)
}

/// What VirtualBox calls the folder of a machine of that name.
fn folder_name(name: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || " ()-._{}[]".contains(c);
    name.chars().map(|c| if kept(c) { c } else { '_' }).collect()
}

fn make(folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let made = std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(folder));
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::Host, format!("the folder {} exists already", folder.display()))
                .context("making a folder for the machine")
                .hint("a machine that is registered no more left it: remove it, or choose another `vm_name`")
        }
        _ => Error::io(format!("making the folder {}", folder.display()), &error),
    })
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn folders_have_names_that_file_systems_take() {
        assert_eq!(folder_name("packer-web 1.0 (x)"), "packer-web 1.0 (x)");
        assert_eq!(folder_name("a:b*c"), "a_b_c");
    }
}
