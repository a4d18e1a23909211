//! Pipes (`pipe(7)`): a bounded buffer with a read end and a write end, back-pressure, end of file and EPIPE. Owns no
//! descriptors. The buffer is charged to the memory cgroup of whoever made the pipe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;

use crate::cgroup::{Cgroup, Charge};
use crate::file::{FileType, Stream};
use crate::wait::{Ready, WaitQueue};
use crate::{Errno, Result};

/// How much a pipe holds, as on Linux: 16 pages.
pub const PIPE_CAPACITY: usize = 64 * 1024;
/// Writes up to this size are atomic (`PIPE_BUF`).
pub const PIPE_BUF: usize = 4096;

struct Shared {
    state: Mutex<State>,
    readable: WaitQueue,
    writable: WaitQueue,
    /// Held as long as either end is.
    _memory: Charge,
}

struct State {
    buffer: VecDeque<u8>,
    reader_gone: bool,
    writer_gone: bool,
}

/// The end that reads.
pub struct ReadEnd(Arc<Shared>);
/// The end that writes.
pub struct WriteEnd(Arc<Shared>);

/// Makes a pipe.
///
/// # Errors
/// [`Errno::NoMem`] if the cgroup has no room for [`PIPE_CAPACITY`] bytes.
pub fn pipe(memory: &Arc<Cgroup>) -> Result<(ReadEnd, WriteEnd)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { buffer: VecDeque::new(), reader_gone: false, writer_gone: false }),
        readable: WaitQueue::new(),
        writable: WaitQueue::new(),
        _memory: memory.charge(PIPE_CAPACITY as u64)?,
    });
    Ok((ReadEnd(shared.clone()), WriteEnd(shared)))
}

impl Stream for ReadEnd {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let read = {
            let mut state = self.0.state.lock();
            if state.buffer.is_empty() && !state.writer_gone && !buf.is_empty() {
                return Err(Errno::Again);
            }
            let (front, back) = state.buffer.as_slices();
            let first = front.len().min(buf.len());
            buf[..first].copy_from_slice(&front[..first]);
            let second = back.len().min(buf.len() - first);
            buf[first..first + second].copy_from_slice(&back[..second]);
            state.buffer.drain(..first + second);
            first + second
        };
        if read > 0 {
            self.0.writable.wake_all();
        }
        Ok(read)
    }

    fn write(&self, _buf: &[u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let state = self.0.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::READ, !state.buffer.is_empty() || state.writer_gone);
        ready.set(Ready::HUP, state.writer_gone);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            self.0.readable.register(cx);
        }
        answer
    }

    fn file_type(&self) -> FileType {
        FileType::Fifo
    }
}

impl Stream for WriteEnd {
    fn read(&self, _buf: &mut [u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0); // also with nobody to read, as on Linux
        }
        let written = {
            let mut state = self.0.state.lock();
            if state.reader_gone {
                return Err(Errno::Pipe);
            }
            let room = PIPE_CAPACITY - state.buffer.len();
            let atomic = buf.len() <= PIPE_BUF;
            if room == 0 || (atomic && room < buf.len()) {
                return Err(Errno::Again);
            }
            let length = room.min(buf.len());
            state.buffer.extend(&buf[..length]);
            length
        };
        self.0.readable.wake_all();
        Ok(written)
    }

    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let state = self.0.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::WRITE, state.reader_gone || PIPE_CAPACITY - state.buffer.len() >= PIPE_BUF);
        ready.set(Ready::ERR, state.reader_gone);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            self.0.writable.register(cx);
        }
        answer
    }

    fn file_type(&self) -> FileType {
        FileType::Fifo
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        {
            let mut state = self.0.state.lock();
            state.reader_gone = true;
            state.buffer = VecDeque::new();
        }
        self.0.writable.wake_all();
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        self.0.state.lock().writer_gone = true;
        self.0.readable.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use proptest::prelude::*;
    use wasmpod_sim::Sim;

    use super::*;
    use crate::cgroup::{Limits, RootConfig};

    fn memory(max: u64) -> Arc<Cgroup> {
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let limits = Limits { memory_max: Some(max), ..Limits::default() };
        Cgroup::root(config, Sim::new_virtual(1).clock().clone()).child("c", limits)
    }

    fn make() -> (ReadEnd, WriteEnd) {
        pipe(&memory(1 << 20)).expect("room for a pipe")
    }

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls `end` and returns its readiness, and what counts its wakes from here.
    fn poll(end: &dyn Stream, interest: Ready) -> (Ready, Arc<Count>) {
        let count = Arc::new(Count::default());
        let ready = end.poll_ready(interest, &mut Context::from_waker(&Waker::from(count.clone())));
        (ready, count)
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_full_pipe_pushes_back_and_small_writes_are_whole_or_nothing() {
        let (reader, writer) = make();
        assert_eq!(writer.write(&vec![1; PIPE_CAPACITY + 5]), Ok(PIPE_CAPACITY));
        assert_eq!(writer.write(&[2]), Err(Errno::Again));
        let (ready, count) = poll(&writer, Ready::WRITE);
        assert_eq!((ready, woken(&count)), (Ready::empty(), 0));
        assert_eq!(reader.read(&mut [0; 100]), Ok(100));
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&writer, Ready::WRITE).0, Ready::empty()); // not room enough for PIPE_BUF
        assert_eq!(writer.write(&[2; 101]), Err(Errno::Again)); // atomic: not in part
        assert_eq!(writer.write(&[2; PIPE_BUF + 1]), Ok(100)); // larger ones may be split
        assert_eq!(reader.read(&mut vec![0; PIPE_BUF]), Ok(PIPE_BUF));
        assert_eq!(poll(&writer, Ready::WRITE).0, Ready::WRITE);
        assert_eq!(writer.write(&[3; PIPE_BUF]), Ok(PIPE_BUF));
    }

    #[test]
    fn an_empty_pipe_blocks_until_bytes_come_or_the_writer_goes() {
        let (reader, writer) = make();
        assert_eq!(reader.read(&mut [0; 4]), Err(Errno::Again));
        assert_eq!(reader.read(&mut []), Ok(0));
        let (ready, count) = poll(&reader, Ready::READ);
        assert_eq!((ready, woken(&count)), (Ready::empty(), 0));
        assert_eq!(writer.write(b"abc"), Ok(3));
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&reader, Ready::READ).0, Ready::READ);
        drop(writer);
        assert_eq!(poll(&reader, Ready::READ).0, Ready::READ | Ready::HUP);
        let mut buf = [0; 2];
        assert_eq!((reader.read(&mut buf), &buf), (Ok(2), b"ab")); // what was written is still read
        assert_eq!((reader.read(&mut buf), buf[0]), (Ok(1), b'c'));
        assert_eq!(reader.read(&mut buf), Ok(0));
        assert_eq!(reader.read(&mut buf), Ok(0));
    }

    #[test]
    fn the_end_of_the_writer_wakes_a_reader() {
        let (reader, writer) = make();
        let (_, count) = poll(&reader, Ready::READ);
        drop(writer);
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&reader, Ready::READ).0, Ready::READ | Ready::HUP);
    }

    #[test]
    fn nobody_to_read_is_epipe_and_wakes_a_writer() {
        let (reader, writer) = make();
        assert_eq!(writer.write(&vec![0; PIPE_CAPACITY]), Ok(PIPE_CAPACITY));
        let (_, count) = poll(&writer, Ready::WRITE);
        drop(reader);
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&writer, Ready::WRITE).0, Ready::WRITE | Ready::ERR);
        assert_eq!(writer.write(&[1]), Err(Errno::Pipe));
        assert_eq!(writer.write(&[]), Ok(0));
    }

    #[test]
    fn each_end_does_its_own_thing_only() {
        let (reader, writer) = make();
        assert_eq!((reader.write(&[1]), writer.read(&mut [0])), (Err(Errno::BadF), Err(Errno::BadF)));
        assert_eq!((reader.file_type(), writer.file_type()), (FileType::Fifo, FileType::Fifo));
        assert!(!reader.is_terminal());
    }

    #[test]
    fn the_buffer_is_charged_until_both_ends_are_gone() {
        let memory = memory(PIPE_CAPACITY as u64);
        let (reader, writer) = pipe(&memory).expect("fits");
        assert_eq!(pipe(&memory).err(), Some(Errno::NoMem));
        drop(reader);
        assert_eq!(memory.memory_stats().current, PIPE_CAPACITY as u64);
        drop(writer);
        assert_eq!(memory.memory_stats().current, 0);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(sizes in prop::collection::vec((0usize..9_000, 0usize..9_000), 1..40)) {
            let (reader, writer) = make();
            let (mut sent, mut received, mut buf) = (0usize, 0usize, vec![0; 9_000]);
            for (to_write, to_read) in sizes {
                let bytes: Vec<u8> = (sent..sent + to_write).map(|at| (at % 251) as u8).collect();
                let room = PIPE_CAPACITY - (sent - received);
                let whole = to_write <= room;
                match writer.write(&bytes) {
                    Ok(length) => {
                        prop_assert_eq!(length, to_write.min(room));
                        prop_assert!(whole || to_write > PIPE_BUF);
                        sent += length;
                    }
                    Err(error) => {
                        prop_assert_eq!(error, Errno::Again);
                        prop_assert!(room == 0 || (!whole && to_write <= PIPE_BUF));
                    }
                }
                match reader.read(&mut buf[..to_read]) {
                    Ok(length) => {
                        prop_assert_eq!(length, to_read.min(sent - received));
                        prop_assert!(buf[..length].iter().enumerate().all(|(at, byte)| *byte == ((received + at) % 251) as u8));
                        received += length;
                    }
                    Err(error) => prop_assert!(error == Errno::Again && sent == received && to_read > 0),
                }
            }
        }
    }
}
