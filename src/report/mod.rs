//! Events to what people and programs read. The only part of the program that prints while a build
//! runs; every event passes the redactor first.
//!
//! To add a format: one file with a [`Reporter`], one variant of [`Format`], one line in [`reporter`].

pub mod diagnostic;
mod human;
mod json;
mod machine;
mod prompt;
mod quiet;
pub mod redact;
mod summary;
mod ui;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bakehouse_api::{Event, Prompter, Secrets, Sink};

pub use machine::machine_line;
pub use redact::Redactor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `terminal`: live progress below the lines.
    Human { color: bool, timestamps: bool, terminal: bool },
    /// Packer's `-machine-readable`.
    Machine,
    /// One event a line.
    Json,
    /// What went wrong only.
    Quiet,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub format: Format,
    pub secrets: Secrets,
    /// Names of the builds, in the order that gives each its colour.
    pub builds: Vec<String>,
    /// Tell times and failures once more at the end, as Packer does of its builds.
    pub closing: bool,
}

/// Turns events into output, in the order they happened.
trait Reporter: Send {
    fn event(&mut self, event: &Event);
    /// Called often: a chance to redraw.
    fn tick(&mut self) {}
    /// Steps aside while a person is asked something.
    fn pause(&mut self) {}
    fn resume(&mut self) {}
    fn finish(&mut self);
}

fn reporter(config: &Config) -> Box<dyn Reporter> {
    match config.format {
        Format::Human { color, timestamps, terminal } => {
            let human = human::Human::new(config.builds.clone(), color, timestamps, terminal);
            Box::new(if config.closing { human } else { human.without_closing() })
        }
        Format::Machine => Box::new(machine::Machine::default()),
        Format::Json => Box::new(json::Json),
        Format::Quiet => Box::new(quiet::Quiet),
    }
}

enum Order {
    Event(Box<Event>),
    Pause(Sender<()>),
    Resume,
    Finish,
}

/// A reporter at work on its own thread.
pub struct Running {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

/// A sender that many threads may share.
struct Orders(Mutex<Sender<Order>>);

impl Orders {
    fn send(&self, order: Order) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sender.send(order); // after the end there is nobody left to tell
    }
}

impl Sink for Orders {
    fn emit(&self, event: Event) {
        self.send(Order::Event(Box::new(event)));
    }
}

pub fn start(config: Config) -> Running {
    let (sender, receiver) = channel();
    let orders = Arc::new(Orders(Mutex::new(sender)));
    let thread = std::thread::spawn(move || work(&receiver, reporter(&config), Redactor::new(config.secrets)));
    Running { orders, thread }
}

fn work(orders: &Receiver<Order>, mut reporter: Box<dyn Reporter>, mut redactor: Redactor) {
    const REDRAW: std::time::Duration = std::time::Duration::from_millis(200);
    loop {
        match orders.recv_timeout(REDRAW) {
            Ok(Order::Event(mut event)) => {
                redactor.redact(&mut event);
                reporter.event(&event);
            }
            Ok(Order::Pause(done)) => {
                reporter.pause();
                let _ = done.send(());
            }
            Ok(Order::Resume) => reporter.resume(),
            Ok(Order::Finish) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return reporter.finish(),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => reporter.tick(),
        }
    }
}

impl Running {
    pub fn sink(&self) -> Arc<dyn Sink> {
        self.orders.clone()
    }

    /// Asks at the terminal, with the progress out of the way.
    pub fn prompter(&self) -> Arc<dyn Prompter> {
        Arc::new(prompt::Terminal::new(self.orders.clone()))
    }

    /// Prints what is still queued and the closing words.
    pub fn finish(self) {
        self.orders.send(Order::Finish);
        let _ = self.thread.join(); // a panic there has printed itself
    }
}
