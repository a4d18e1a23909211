//! Signals as a file (`signalfd(2)`): a read takes pending signals, a poll waits for one. While it is open its signals wait to be read:
//! no default action is taken and no handler runs, as if they were blocked as well, which on Linux is a second call.

use std::sync::Arc;
use std::task::Context;

use super::{SignalInfo, SignalSet, Signals};
use crate::file::{FileType, Stream};
use crate::wait::Ready;
use crate::{Errno, Result};

/// Bytes of one record: `struct signalfd_siginfo`.
pub const SIGINFO_BYTES: usize = 128;

/// An open file that signals are read from. Its signals, when it is closed, do again what they did before; so do those that nobody read.
pub struct SignalFd {
    signals: Arc<Signals>,
    mask: SignalSet,
}

impl SignalFd {
    /// Opens one for the signals of `mask`; SIGKILL and SIGSTOP are left out.
    pub fn new(signals: &Arc<Signals>, mask: SignalSet) -> Self {
        signals.hold(mask);
        Self { signals: signals.clone(), mask }
    }

    /// Ready for reading when a signal is pending; if not, the task of `cx` is woken when one may be.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Ready {
        self.signals.poll_readable(self.mask, cx)
    }

    /// Takes a pending signal, the lowest number first.
    pub fn take(&self) -> Option<SignalInfo> {
        self.signals.take(self.mask)
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        self.signals.release(self.mask);
    }
}

impl Stream for SignalFd {
    /// Whole records of [`SIGINFO_BYTES`]: `ssi_signo` (u32 at 0), `ssi_pid` (u32 at 12), `ssi_uid` (u32 at 16), the rest zero.
    ///
    /// # Errors
    /// [`Errno::Inval`] if not even one fits, [`Errno::Again`] if none is pending.
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        if buf.len() < SIGINFO_BYTES {
            return Err(Errno::Inval);
        }
        let mut read = 0;
        for record in buf.chunks_exact_mut(SIGINFO_BYTES) {
            let Some(info) = self.take() else { break };
            record.fill(0);
            record[..4].copy_from_slice(&u32::from(info.signal.number()).to_le_bytes());
            record[12..16].copy_from_slice(&info.pid().to_le_bytes());
            record[16..20].copy_from_slice(&info.uid().to_le_bytes());
            read += SIGINFO_BYTES;
        }
        if read == 0 { Err(Errno::Again) } else { Ok(read) }
    }

    fn write(&self, _buf: &[u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn file_type(&self) -> FileType {
        FileType::Anonymous
    }

    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        if interest.contains(Ready::READ) { self.poll_readable(cx) } else { Ready::empty() }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::{Control, Sender, Signal, Taken};
    use super::*;

    #[test]
    fn signals_wait_to_be_read_and_do_their_default_when_nobody_does() {
        let signals = Arc::new(Signals::new(false));
        let fd = SignalFd::new(&signals, [Signal::Term, Signal::Usr1].into_iter().collect());
        let sender = Sender::Process { pid: 3, uid: 1000 };
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(fd.poll_ready(Ready::READ, &mut cx), Ready::empty());
        assert_eq!(fd.read(&mut [0; 128]), Err(Errno::Again));
        for signal in [Signal::Term, Signal::Usr1] {
            assert_eq!(signals.send(SignalInfo { signal, sender }), Taken::Pending);
        }
        assert_eq!(fd.poll_ready(Ready::READ, &mut cx), Ready::READ);
        assert_eq!(fd.read(&mut [0; 127]), Err(Errno::Inval));
        let mut record = [1; 200];
        assert_eq!(fd.read(&mut record), Ok(128));
        assert_eq!((record[0], record[12], &record[16..20]), (10, 3, &1000u32.to_le_bytes()[..]));
        assert_eq!(signals.control(), Control::Run);
        drop(fd);
        assert_eq!(signals.control(), Control::Ended(Signal::Term));
    }
}
