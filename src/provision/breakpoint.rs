//! `breakpoint`: stops until someone at the terminal says go.

use bakehouse_api::{Body, Cx, Diagnostics, Error, Guest, Input, Options, Result, async_trait, options};

use super::{Caching, Provisioner, Row};

options! {
    /// Pauses the build so that the guest can be looked at.
    pub struct BreakpointOptions {
        /// Shown while the build pauses.
        note: String = String::new(),
        /// Passes over the breakpoint.
        disable: bool = false,
    }
}

pub const ROW: Row = Row { kind: "breakpoint", schema: || BreakpointOptions::schema("breakpoint"), prepare };

struct Breakpoint(BreakpointOptions);

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Provisioner>> {
    let options = BreakpointOptions::from_body(body, diagnostics)?;
    Some(Box::new(Breakpoint(options)))
}

#[async_trait]
impl Provisioner for Breakpoint {
    /// The guest is the same with and without it.
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    fn caching(&self) -> Caching {
        match self.0.disable {
            true => Caching::ByInputs,
            false => Caching::Never("a breakpoint: someone may change the guest by hand"),
        }
    }

    fn needs_guest(&self) -> bool {
        false
    }

    async fn run(&self, cx: &Cx, guest: &Guest) -> Result<()> {
        let note = if self.0.note.is_empty() { String::new() } else { format!(": {}", self.0.note) };
        if self.0.disable {
            cx.say(format!("Breakpoint passed over (`disable` is set){note}"));
            return Ok(());
        }
        let place = |name: &str| guest.facts.get(name).and_then(bakehouse_api::decode::scalar_text);
        if let (Some(host), Some(port)) = (place("Host"), place("Port")) {
            let user = place("User").map(|user| format!("{user}@")).unwrap_or_default();
            cx.message(format!("the guest answers at {user}{host} port {port}"));
        }
        let question = format!("Paused at a breakpoint{note}");
        let answer = cx.interruptible(cx.prompter().ask(&question, &[('c', "continue"), ('a', "abort")])).await;
        match answer.map_err(|error| error.hint("set `disable = true` on the breakpoint where nobody watches"))? {
            0 => Ok(()),
            _ => Err(Error::interrupted().context("at a breakpoint")),
        }
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Kind, Value, testing};

    use super::*;
    use crate::script::testing::body;

    async fn run(entries: &[(&str, Value)], answers: Vec<usize>) -> (Result<()>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        *recorder.answers.lock().unwrap() = answers;
        let facts = [("Host", "127.0.0.1"), ("Port", "2222"), ("User", "root")];
        let facts = facts.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let breakpoint = prepare(&body("breakpoint", entries), &mut Diagnostics::default()).unwrap();
        let ended = breakpoint.run(&cx, &Guest::new(None, None, facts.into())).await;
        (ended, recorder.lines())
    }

    #[tokio::test]
    async fn the_answer_decides() {
        let note = [("note", Value::from("look at /etc"))];
        let (ended, lines) = run(&note, vec![0]).await;
        ended.unwrap();
        assert_eq!(lines, ["the guest answers at root@127.0.0.1 port 2222"]);
        let (ended, _) = run(&note, vec![1]).await;
        assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted);
        let (ended, _) = run(&note, vec![]).await;
        let error = ended.unwrap_err();
        assert_eq!(error.to_string(), "nobody answers: Paused at a breakpoint: look at /etc");
        assert_eq!(error.hints().len(), 1);
    }

    #[tokio::test]
    async fn a_disabled_one_asks_nobody() {
        let (ended, _) = run(&[("disable", true.into())], vec![]).await;
        ended.unwrap();
    }
}
