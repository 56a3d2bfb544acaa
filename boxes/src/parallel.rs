//! Work by blocks on every core, with the results in order: compression for formats whose streams may
//! simply follow each other.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Encodes one block; each thread has its own.
pub type Encode = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// Threads that encode blocks. What goes in comes out in the same order.
pub struct Pool {
    jobs: SyncSender<Job>,
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    /// So many blocks are in work or waiting to be taken: the bound of the memory.
    most: usize,
}

impl Pool {
    /// `encoder` makes what each of the threads works with.
    pub fn new(mut encoder: impl FnMut() -> io::Result<Encode>) -> io::Result<Self> {
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
        Ok(Self { jobs, pending: VecDeque::new(), most })
    }

    /// Takes a block, and gives back the oldest one when as many as allowed are under way.
    pub fn submit(&mut self, block: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let (done, result) = sync_channel(1);
        self.jobs.send(Job { block, done }).map_err(|_| ended())?;
        self.pending.push_back(result);
        if self.pending.len() >= self.most { self.oldest() } else { Ok(None) }
    }

    /// Waits for the oldest block under way.
    pub fn oldest(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(result) = self.pending.pop_front() else { return Ok(None) };
        result.recv().map_err(|_| ended())?.map(Some)
    }
}

fn ended() -> io::Error {
    io::Error::other("a compression thread ended before its work was done")
}

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// Cuts what is written into blocks and writes them encoded, in order.
pub struct Parallel<W> {
    inner: W,
    pool: Pool,
    block: Vec<u8>,
    size: usize,
    any: bool,
}

impl<W: Write> Parallel<W> {
    /// `encoder` makes what each of the threads works with.
    pub fn new(inner: W, size: usize, encoder: impl FnMut() -> io::Result<Encode>) -> io::Result<Self> {
        Ok(Self { inner, pool: Pool::new(encoder)?, block: Vec::with_capacity(size), size, any: false })
    }

    fn submit(&mut self) -> io::Result<()> {
        self.any = true;
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(self.size));
        match self.pool.submit(block)? {
            Some(bytes) => self.inner.write_all(&bytes),
            None => Ok(()),
        }
    }

    /// Ends the block under way and hands out the writer, which then has everything so far.
    pub fn barrier(&mut self) -> io::Result<&mut W> {
        if !self.block.is_empty() {
            self.submit()?;
        }
        while let Some(bytes) = self.pool.oldest()? {
            self.inner.write_all(&bytes)?;
        }
        Ok(&mut self.inner)
    }

    /// Writes what is left; an input of no bytes is one empty block.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.any && self.block.is_empty() {
            self.submit()?;
        }
        self.barrier()?;
        Ok(self.inner)
    }
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
