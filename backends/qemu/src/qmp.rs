//! QEMU's machine protocol over a Unix socket: typed commands, answers matched by id, events as
//! plain JSON so that one we do not know disturbs nobody.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bakehouse_api::{Error, Kind};
use qapi_spec::Command;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex as AsyncMutex, broadcast, oneshot};

/// For one answer. QEMU answers within milliseconds unless this machine is starved.
const ANSWER: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    #[error("cannot reach QEMU's monitor: {0}")]
    Connect(std::io::Error),
    #[error("QEMU's monitor closed the connection")]
    Closed,
    #[error("QEMU refused `{command}`: {reason}")]
    Refused { command: String, reason: String },
    #[error("QEMU did not answer `{command}` within {ANSWER:?}")]
    Silent { command: String },
    #[error("QEMU's answer to `{command}` is not what it should be: {reason}")]
    Strange { command: String, reason: String },
}

impl From<QmpError> for Error {
    fn from(error: QmpError) -> Self {
        Error::new(Kind::Host, error)
    }
}

/// Something QEMU told without being asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

/// A connection to one machine's monitor. Cheap to clone; commands of several clones may overlap.
#[derive(Clone)]
pub struct Qmp(Arc<Inner>);

struct Inner {
    writer: AsyncMutex<OwnedWriteHalf>,
    shared: Arc<Shared>,
    next: AtomicU64,
}

struct Shared {
    /// None once the connection is closed.
    waiting: Mutex<Option<Waiting>>,
    events: broadcast::Sender<Event>,
}

/// Who waits for the answer with that id.
type Waiting = HashMap<u64, oneshot::Sender<Result<Value, String>>>;

impl Qmp {
    /// Takes the greeting and leaves the negotiation mode.
    pub async fn connect(socket: &Path) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(socket).await.map_err(QmpError::Connect)?;
        let (reader, writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let greeting = tokio::time::timeout(ANSWER, lines.next_line()).await;
        match greeting {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Err(QmpError::Closed),
            Ok(Err(error)) => return Err(QmpError::Connect(error)),
            Err(_) => return Err(QmpError::Silent { command: "greeting".into() }),
        }
        let shared = Arc::new(Shared { waiting: Mutex::new(Some(HashMap::new())), events: broadcast::channel(256).0 });
        tokio::spawn(read(lines, shared.clone()));
        let qmp = Self(Arc::new(Inner { writer: AsyncMutex::new(writer), shared, next: AtomicU64::new(1) }));
        qmp.execute(qapi_qmp::qmp_capabilities { enable: None }).await?;
        Ok(qmp)
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.shared.events.subscribe()
    }

    pub async fn execute<C: Command>(&self, command: C) -> Result<C::Ok, QmpError> {
        let strange =
            |reason: serde_json::Error| QmpError::Strange { command: C::NAME.into(), reason: reason.to_string() };
        let arguments = serde_json::to_value(&command).map_err(strange)?;
        let answer = self.raw(C::NAME, arguments).await?;
        serde_json::from_value(answer).map_err(strange)
    }

    /// For arguments that the schema crate's QEMU version does not know.
    pub async fn raw(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        match &mut *lock(&self.0.shared.waiting) {
            Some(waiting) => waiting.insert(id, answer),
            None => return Err(QmpError::Closed),
        };
        let mut line = json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
        line.push('\n');
        let sent = self.0.writer.lock().await.write_all(line.as_bytes()).await;
        sent.map_err(|_| QmpError::Closed)?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(reason))) => Err(QmpError::Refused { command: command.into(), reason }),
            Ok(Err(_)) => Err(QmpError::Closed),
            Err(_) => Err(QmpError::Silent { command: command.into() }),
        }
    }
}

/// Hands out answers and events until QEMU closes the connection.
async fn read(mut lines: Lines<BufReader<OwnedReadHalf>>, shared: Arc<Shared>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut message) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(name) = message["event"].as_str() {
            let event = Event { name: name.to_owned(), data: message["data"].take() };
            let _ = shared.events.send(event); // nobody listens: nobody misses it
        } else if let Some(id) = message["id"].as_u64() {
            let answer = match message.get_mut("return") {
                Some(value) => Ok(value.take()),
                None => Err(message["error"]["desc"].as_str().unwrap_or("it gave no reason").to_owned()),
            };
            let waiter = lock(&shared.waiting).as_mut().and_then(|waiting| waiting.remove(&id));
            if let Some(waiter) = waiter {
                let _ = waiter.send(answer); // its deadline passed meanwhile
            }
        }
    }
    lock(&shared.waiting).take();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A monitor that answers each command with what `script` says, in one write.
    async fn monitor(dir: &Path, script: fn(&Value) -> Vec<Value>) -> Qmp {
        let path = dir.join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (reader, mut writer) = listener.accept().await.unwrap().0.into_split();
            writer.write_all(b"{\"QMP\": {\"capabilities\": []}}\r\n").await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let command: Value = serde_json::from_str(&line).unwrap();
                let mut answers = vec![json!({"return": {}, "id": command["id"]})];
                if command["execute"] != "qmp_capabilities" {
                    answers = script(&command);
                }
                for answer in answers {
                    writer.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                }
            }
        });
        Qmp::connect(&path).await.unwrap()
    }

    #[tokio::test]
    async fn unknown_events_between_command_and_answer_disturb_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let qmp = monitor(dir.path(), |command| {
            vec![
                json!({"event": "FROM_THE_FUTURE", "data": {"x": 1}}),
                json!({"return": {"status": "running", "running": true}, "id": command["id"]}),
            ]
        })
        .await;
        let mut events = qmp.events();
        let status = qmp.execute(qapi_qmp::query_status {}).await.unwrap();
        assert!(status.running);
        assert_eq!(events.recv().await.unwrap(), Event { name: "FROM_THE_FUTURE".into(), data: json!({"x": 1}) });
    }

    #[tokio::test]
    async fn a_refusal_names_the_command_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let qmp = monitor(dir.path(), |command| {
            vec![json!({"error": {"class": "GenericError", "desc": "no such device"}, "id": command["id"]})]
        })
        .await;
        let error = qmp.execute(qapi_qmp::device_del { id: "x".into() }).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused `device_del`: no such device");
    }

    #[tokio::test]
    async fn answers_find_their_commands_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let qmp = monitor(dir.path(), |command| {
            // The first command is answered together with the second, after it.
            let id = command["id"].as_u64().unwrap();
            match command["execute"].as_str() {
                Some("late") => vec![],
                _ => vec![json!({"return": "soon", "id": id}), json!({"return": "late", "id": id - 1})],
            }
        })
        .await;
        let late = qmp.raw("late", json!({}));
        let soon = async {
            tokio::task::yield_now().await;
            qmp.raw("soon", json!({})).await
        };
        let (late, soon) = tokio::join!(late, soon);
        assert_eq!((late.unwrap(), soon.unwrap()), (json!("late"), json!("soon")));
    }
}
