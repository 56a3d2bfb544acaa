//! Compression by blocks on every core, for formats whose streams may simply follow each other.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Compresses one block; each thread has its own.
pub type Encode = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// Cuts what is written into blocks and writes them compressed, in order.
pub struct Parallel<W> {
    inner: W,
    block: Vec<u8>,
    size: usize,
    jobs: SyncSender<Job>,
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    /// So many blocks are in work or waiting to be written: the bound of the memory.
    most: usize,
    any: bool,
}

impl<W: Write> Parallel<W> {
    /// `encoder` makes what each of the threads works with.
    pub fn new(inner: W, size: usize, mut encoder: impl FnMut() -> io::Result<Encode>) -> io::Result<Self> {
        let threads = threads();
        let most = 2 * threads;
        let (jobs, queue) = sync_channel::<Job>(most);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (mut encode, queue) = (encoder()?, queue.clone());
            std::thread::Builder::new().name("compress".into()).spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = next else { return };
                    let _ = job.done.send(encode(&job.block)); // nobody waits for it after a failure
                }
            })?;
        }
        Ok(Self { inner, block: Vec::with_capacity(size), size, jobs, pending: VecDeque::new(), most, any: false })
    }

    fn submit(&mut self) -> io::Result<()> {
        self.any = true;
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(self.size));
        let (done, result) = sync_channel(1);
        self.jobs.send(Job { block, done }).map_err(|_| ended())?;
        self.pending.push_back(result);
        if self.pending.len() >= self.most { self.drain_one() } else { Ok(()) }
    }

    fn drain_one(&mut self) -> io::Result<()> {
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        let bytes = result.recv().map_err(|_| ended())??;
        self.inner.write_all(&bytes)
    }

    /// Writes what is left; an input of no bytes is one empty block.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.any {
            self.submit()?;
        }
        while !self.pending.is_empty() {
            self.drain_one()?;
        }
        Ok(self.inner)
    }
}

fn ended() -> io::Error {
    io::Error::other("a compression thread ended before its work was done")
}

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

impl<W: Write> Write for Parallel<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.size - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == self.size {
            self.submit()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
