//! Typing into a machine before anything else reaches it.

use std::time::Duration;

use crate::{Cx, Result, async_trait};

/// A physical key of a US keyboard, named by what it carries unshifted ("a", "1", "minus", "ret",
/// "shift", "f1", "meta_l"): QEMU's QKeyCode names, which every backend can map from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootStep {
    /// Keys pressed together in order and released in reverse: a character, a shifted character.
    Press(Vec<Key>),
    Down(Key),
    Up(Key),
    Wait(Duration),
}

#[async_trait]
pub trait Keyboard: Send {
    /// Sends the steps; `interval` lies between two presses. [`BootStep::Wait`] never reaches it.
    async fn send(&mut self, cx: &Cx, step: &BootStep, interval: Duration) -> Result<()>;

    /// Sends steps that follow each other without a wait; a keyboard that takes many at once does so here.
    async fn send_all(&mut self, cx: &Cx, steps: &[BootStep], interval: Duration) -> Result<()> {
        for step in steps {
            self.send(cx, step, interval).await?;
        }
        Ok(())
    }
}
