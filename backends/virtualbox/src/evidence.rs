//! What a failed build leaves to look at: the screen, the serial line, VirtualBox's log.

use std::path::{Path, PathBuf};

use bakehouse_api::Cx;

use crate::vboxmanage::{State, verbs};
use crate::vm::Vm;

pub async fn gather(cx: &Cx, vm: &Vm, serial: Option<&Path>, into: &Path) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    let screen = into.join("screen.png");
    let runs =
        vm.info(cx).await.is_ok_and(|info| matches!(info.state(), State::Running | State::Paused | State::Stuck));
    let shot = ["screenshotpng", &screen.to_string_lossy()];
    if runs && vm.call(cx, verbs::controlvm(&vm.id, &shot)).await.is_ok() && screen.is_file() {
        kept.push(screen.clone());
    }
    let logs = [(serial.map(Path::to_owned), "serial.log"), (Some(vm.log()), "VBox.log")];
    for (from, name) in logs {
        let Some(from) = from else { continue };
        let to = into.join(name);
        if from.metadata().is_ok_and(|meta| meta.len() > 0) && std::fs::copy(&from, &to).is_ok() {
            kept.push(to);
        }
    }
    kept
}
