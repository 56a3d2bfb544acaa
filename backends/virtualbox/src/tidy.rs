//! What only the build needs is taken back before the export. On a machine of the user's it is also taken back
//! when the build fails.

use bakehouse_api::{Cx, Result, UndoId};

use crate::undo;
use crate::vboxmanage::{Args, VBoxError};
use crate::vm::Vm;

pub struct Tidy {
    users: bool,
    steps: Vec<Step>,
}

struct Step {
    what: &'static str,
    lines: Vec<Args>,
    undo: Option<UndoId>,
}

impl Tidy {
    /// `users`: the machine is older than the build and outlives it.
    pub fn new(users: bool) -> Self {
        Self { users, steps: Vec::new() }
    }

    /// To be said later: call it before what it takes back is done.
    pub fn later(&mut self, cx: &Cx, vm: &Vm, what: &'static str, lines: Vec<Args>) -> Result<()> {
        let undo = match self.users {
            true => Some(cx.hold(undo::restore(&vm.vbox.install, &vm.id, what, lines.clone()))?),
            false => None,
        };
        self.steps.push(Step { what, lines, undo });
        Ok(())
    }

    /// Takes everything back, the last first. What a line of the template has taken away already is no failure.
    pub async fn run(self, cx: &Cx, vm: &Vm) -> Result<()> {
        for Step { what, lines, undo } in self.steps.into_iter().rev() {
            for line in lines {
                match vm.vbox.call(cx, line.clone()).await {
                    Err(error @ VBoxError::Refused { .. }) if !undo::is_optional(&line) => {
                        cx.warn(format!("taking back {what}: {error}"));
                    }
                    Ok(_) | Err(VBoxError::Refused { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if let Some(undo) = undo {
                cx.forget(undo);
            }
        }
        Ok(())
    }
}
