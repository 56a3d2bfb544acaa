//! Asks the person at the terminal.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;

use bakehouse_api::{Error, Kind, Prompter, Result, async_trait};
use tokio::sync::{Mutex, oneshot};

use super::{Order, Orders};

pub struct Terminal {
    orders: Arc<Orders>,
    /// Builds side by side ask one after the other.
    turn: Mutex<()>,
}

impl Terminal {
    pub fn new(orders: Arc<Orders>) -> Self {
        Self { orders, turn: Mutex::default() }
    }
}

#[async_trait]
impl Prompter for Terminal {
    async fn ask(&self, question: &str, choices: &[(char, &str)]) -> Result<usize> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(
                Kind::Host,
                format!("nobody can answer \"{question}\": standard input is not a terminal"),
            )
            .hint("run it in a terminal, or without the option that asks"));
        }
        let _turn = self.turn.lock().await;
        let (paused, resumed) = channel();
        self.orders.send(Order::Pause(paused));
        let _ = tokio::task::spawn_blocking(move || resumed.recv()).await;
        let answer = ask_until_understood(question, choices).await;
        self.orders.send(Order::Resume);
        answer
    }
}

async fn ask_until_understood(question: &str, choices: &[(char, &str)]) -> Result<usize> {
    loop {
        show(question, choices);
        let line = read_line().await?;
        let typed = line.trim().to_lowercase();
        if choices.len() == 1 {
            return Ok(0); // "press enter"
        }
        let found = choices.iter().position(|(letter, _)| typed.starts_with(*letter));
        if let Some(found) = found {
            return Ok(found);
        }
    }
}

fn show(question: &str, choices: &[(char, &str)]) {
    let mut out = std::io::stderr().lock();
    let list: Vec<String> = match choices {
        [(_, meaning)] => vec![format!("Press enter to {meaning}")],
        many => many.iter().map(|(letter, meaning)| format!("[{letter}] {meaning}")).collect(),
    };
    let _ = write!(out, "{question}\n{} ", list.join(", "));
    let _ = out.flush();
}

/// On a thread of its own: a line that never comes must not keep the program from ending.
async fn read_line() -> Result<String> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.map(|count| (count > 0).then_some(line)));
    });
    match receiver.await {
        Ok(Ok(Some(line))) => Ok(line),
        Ok(Ok(None)) | Err(_) => Err(Error::new(Kind::Host, "standard input was closed")),
        Ok(Err(error)) => Err(Error::io("reading the answer", &error)),
    }
}
