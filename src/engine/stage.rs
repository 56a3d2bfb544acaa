//! The stages of a build, as data.

use super::prepare::Prepared;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Resolves what the source names and starts the machine.
    Start,
    /// Types the boot command.
    Type,
    /// Waits until the communicator answers.
    Connect,
    Provision(usize),
    PowerOff,
    /// Leaves a machine that is not ours as it runs.
    Disconnect,
    /// Turns what the machine wrote into the artifact.
    Capture,
    PostProcess {
        chain: usize,
        step: usize,
    },
}

impl Stage {
    /// All stages of a build, in order.
    pub fn of(build: &Prepared) -> Vec<Stage> {
        let mut stages = vec![Stage::Start];
        let machine = build.builder.has_machine();
        if machine {
            stages.extend([Stage::Type, Stage::Connect]);
        }
        stages.extend((0..build.provisioners.len()).map(Stage::Provision));
        if machine {
            stages.push(if build.builder.shutdown().is_some() { Stage::PowerOff } else { Stage::Disconnect });
        }
        stages.push(Stage::Capture);
        for (chain, steps) in build.post.iter().enumerate() {
            stages.extend((0..steps.len()).map(|step| Stage::PostProcess { chain, step }));
        }
        stages
    }

    /// As reports show it.
    pub fn name(self, build: &Prepared) -> String {
        match self {
            Stage::Start => "start".into(),
            Stage::Type => "type".into(),
            Stage::Connect => "connect".into(),
            Stage::Provision(n) => format!("provision {}: {}", n + 1, build.provisioners[n].plan.name),
            Stage::PowerOff => "power off".into(),
            Stage::Disconnect => "disconnect".into(),
            Stage::Capture => "capture".into(),
            Stage::PostProcess { chain, step } => format!("post-process: {}", build.post[chain][step].plan.name),
        }
    }
}
