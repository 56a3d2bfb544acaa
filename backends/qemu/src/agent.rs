//! The guest agent over its virtio-serial channel.

use std::path::PathBuf;
use std::time::Duration;

use qapi_spec::Command;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// An agent under emulation takes its time for the first answer.
const ANSWER: Duration = Duration::from_secs(5);
/// `guest-shutdown` answers only when it is refused.
const REFUSAL: Duration = Duration::from_secs(1);
/// Ends what a half-read request left in the agent's parser, and opens its answer to a sync.
const DELIMITER: u8 = 0xff;

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the guest agent's channel: {0}")]
    Channel(#[from] std::io::Error),
    #[error("the guest agent closed its channel")]
    Closed,
    #[error("the guest agent did not answer `{0}` within {ANSWER:?}")]
    Silent(&'static str),
    #[error("the guest agent refused `{command}`: {reason}")]
    Refused { command: &'static str, reason: String },
    #[error("the guest agent's answer to `{command}` is not what it should be: {reason}")]
    Strange { command: &'static str, reason: String },
}

/// One at a time talks to the agent. Connects when first used.
pub struct Agent {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
    syncs: i64,
}

impl Agent {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, stream: None, syncs: i64::from(std::process::id()) }
    }

    pub async fn execute<C: Command>(&mut self, command: C) -> Result<C::Ok, AgentError> {
        let strange = |reason: String| AgentError::Strange { command: C::NAME, reason };
        let mut answer = match tokio::time::timeout(ANSWER, self.ask(&command)).await {
            Ok(answer) => answer?,
            Err(_) => {
                self.stream = None; // a late answer would be taken for the next one's
                return Err(AgentError::Silent(C::NAME));
            }
        };
        if let Some(value) = answer.get_mut("return") {
            return serde_json::from_value(value.take()).map_err(|error| strange(error.to_string()));
        }
        let reason = answer["error"]["desc"].as_str().unwrap_or("it gave no reason").to_owned();
        Err(AgentError::Refused { command: C::NAME, reason })
    }

    /// Asks for a clean shutdown.
    pub async fn shutdown(&mut self) -> Result<(), AgentError> {
        let command = qapi_qga::guest_shutdown { mode: None };
        let asked = tokio::time::timeout(REFUSAL, self.execute(command)).await;
        match asked {
            Err(_) | Ok(Ok(_) | Err(AgentError::Closed | AgentError::Channel(_))) => Ok(()),
            Ok(Err(refused)) => Err(refused),
        }
    }

    async fn ask<C: Command>(&mut self, command: &C) -> Result<Value, AgentError> {
        self.sync().await?;
        let strange = |error: serde_json::Error| AgentError::Strange { command: C::NAME, reason: error.to_string() };
        let arguments = serde_json::to_value(command).map_err(strange)?;
        self.send(&json!({ "execute": C::NAME, "arguments": arguments })).await?;
        self.receive().await
    }

    /// Throws away whatever earlier requests left on either side.
    async fn sync(&mut self) -> Result<(), AgentError> {
        if self.stream.is_none() {
            self.stream = Some(BufReader::new(UnixStream::connect(&self.socket).await?));
        }
        self.syncs += 1;
        let id = self.syncs;
        self.stream()?.write_all(&[DELIMITER]).await?;
        self.send(&json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } })).await?;
        loop {
            self.skip_to_delimiter().await?;
            if self.receive().await?["return"].as_i64() == Some(id) {
                return Ok(());
            }
        }
    }

    fn stream(&mut self) -> Result<&mut BufReader<UnixStream>, AgentError> {
        self.stream.as_mut().ok_or(AgentError::Closed)
    }

    async fn send(&mut self, message: &Value) -> Result<(), AgentError> {
        self.stream()?.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(())
    }

    async fn skip_to_delimiter(&mut self) -> Result<(), AgentError> {
        let stream = self.stream()?;
        loop {
            match stream.read_u8().await {
                Ok(DELIMITER) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(AgentError::Closed),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn receive(&mut self) -> Result<Value, AgentError> {
        let mut line = Vec::new();
        if self.stream()?.read_until(b'\n', &mut line).await? == 0 {
            return Err(AgentError::Closed);
        }
        Ok(serde_json::from_slice(&line).unwrap_or(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// An agent that first spills what an earlier user left unread.
    async fn agent(dir: &std::path::Path, answer: fn(&Value) -> Option<Value>) -> Agent {
        let path = dir.join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            stream.write_all(b"{\"return\": \"stale\"}\n").await.unwrap();
            loop {
                let mut line = Vec::new();
                if stream.read_until(b'\n', &mut line).await.unwrap() == 0 {
                    return;
                }
                let line: Vec<u8> = line.into_iter().filter(|byte| *byte != DELIMITER).collect();
                let command: Value = serde_json::from_slice(&line).unwrap();
                let answer = if command["execute"] == "guest-sync-delimited" {
                    stream.write_all(&[DELIMITER]).await.unwrap();
                    Some(json!({ "return": command["arguments"]["id"] }))
                } else {
                    answer(&command)
                };
                if let Some(answer) = answer {
                    stream.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
                }
            }
        });
        Agent::new(path)
    }

    #[tokio::test]
    async fn stale_answers_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = agent(dir.path(), |_| Some(json!({ "return": 1_700_000_000_000_000_000i64 }))).await;
        let time = agent.execute(qapi_qga::guest_get_time {}).await.unwrap();
        assert_eq!(time, 1_700_000_000_000_000_000);
    }

    #[tokio::test]
    async fn a_shutdown_without_an_answer_is_on_its_way_and_a_refused_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        agent(dir.path(), |_| None).await.shutdown().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let refuse = |_: &Value| Some(json!({ "error": { "class": "GenericError", "desc": "disabled" } }));
        let error = agent(dir.path(), refuse).await.shutdown().await.unwrap_err();
        assert_eq!(error.to_string(), "the guest agent refused `guest-shutdown`: disabled");
    }
}
