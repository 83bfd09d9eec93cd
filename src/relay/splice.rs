//! Payload that nobody has to look at goes from socket to socket through a pipe, by `splice(2)`: the
//! kernel moves pages, this process copies nothing. Not here: which bytes those are (`ws::tunnel`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

/// A shorter rest of a frame is copied: two system calls for the pipe cost more.
pub(super) const WORTHWHILE: u64 = 32 * 1024;
/// Asked of the kernel for each pipe: a segment of the network takes a slot of 4 KiB, however small.
const SIZE: i32 = 256 * 1024;
/// Pipes of a worker, with two descriptors each; whoever gets none copies.
const PIPES: usize = 32;
/// Empty pipes that are kept.
const KEPT: usize = 4;

/// A pipe between two sockets.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    filled: usize,
    open: Arc<AtomicUsize>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pipe {
    /// Bytes in it.
    pub(super) const fn filled(&self) -> usize {
        self.filled
    }

    /// Takes up to `len` bytes from a socket.
    pub(super) fn fill(&mut self, socket: impl AsFd, len: usize) -> io::Result<usize> {
        let moved = shift(socket, &self.write, len)?;
        self.filled += moved;
        Ok(moved)
    }

    /// Gives a socket what it takes; says how much that was.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let before = self.filled;
        while self.filled > 0 {
            match shift(&self.read, &socket, self.filled) {
                Ok(moved) => self.filled -= moved,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(before - self.filled)
    }
}

/// The pipes of a worker.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    empty: Vec<Pipe>,
    open: Arc<AtomicUsize>,
}

impl Pipes {
    /// An empty pipe; `None` when there are enough already, or no descriptors.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.empty.pop() {
            return Some(pipe);
        }
        if self.open.load(Ordering::Relaxed) >= PIPES {
            return None;
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
        // Whatever size it has will do.
        let _size = fcntl(&write, FcntlArg::F_SETPIPE_SZ(SIZE));
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Pipe { read, write, filled: 0, open: Arc::clone(&self.open) })
    }

    /// Takes a pipe back. One with bytes in it is closed.
    pub(super) fn put(&mut self, pipe: Pipe) {
        if pipe.filled == 0 && self.empty.len() < KEPT {
            self.empty.push(pipe);
        }
    }
}

fn shift(from: impl AsFd, to: impl AsFd, len: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        match splice(&from, None, &to, None, len, flags) {
            Err(nix::Error::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_pass_and_stay_while_nobody_takes_them() {
        let (mut source, input) = UnixStream::pair().unwrap();
        let (output, mut target) = UnixStream::pair().unwrap();
        output.set_nonblocking(true).unwrap();
        input.set_nonblocking(true).unwrap();
        let mut pipe = Pipes::default().take().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let writer = std::thread::spawn({
            let bytes = bytes.clone();
            move || source.write_all(&bytes).unwrap()
        });
        target.set_nonblocking(true).unwrap();
        let (mut seen, mut stuck) = (Vec::new(), 0);
        for _ in 0..10_000_000 {
            if seen.len() == bytes.len() {
                break;
            }
            if pipe.filled() == 0 {
                // The writer may be behind.
                let _later = pipe.fill(&input, 64 * 1024);
            }
            let full = pipe.drain(&output).unwrap() == 0 && pipe.filled() > 0;
            stuck += usize::from(full);
            // While there is room nothing is taken: the pipe has to be stuck at times.
            if full || writer.is_finished() {
                let mut some = [0; 10_000];
                if let Ok(len) = target.read(&mut some) {
                    seen.extend_from_slice(&some[..len]);
                }
            } else {
                std::thread::yield_now();
            }
        }
        writer.join().unwrap();
        assert!(seen == bytes && stuck > 0, "{} bytes, {stuck} times stuck", seen.len());
    }

    #[test]
    fn pipes_are_bounded_and_used_again() {
        let mut pipes = Pipes::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| pipes.take()).collect();
        assert_eq!(taken.len(), PIPES);
        let first = taken.pop().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&first.read);
        pipes.put(first);
        let again = pipes.take().unwrap();
        assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&again.read), number);
        drop(again);
        assert!(pipes.take().is_some(), "a closed pipe makes room");
    }
}
