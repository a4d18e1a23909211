//! The real backend: tokio's multi-threaded runtime, the host's clocks and signals. Owns the runtime; only this file starts
//! threads.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use crate::TaskError;
use crate::handoff::Owner;

/// How long threads that still work are waited for when the run is over. Guests end by being dropped, which takes far less.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(100);

pub(crate) struct Runtime {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub(crate) fn new(workers: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers.max(1))
            .thread_name("wasmpod")
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    fn get(&self) -> &tokio::runtime::Runtime {
        self.runtime.as_ref().expect("the runtime is only taken by drop")
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.get().spawn(Owner::new(future));
    }

    pub(crate) async fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TaskError> {
        let joined = self.get().spawn_blocking(work).await;
        joined.map_err(|error| match error.try_into_panic() {
            Ok(payload) => TaskError::panicked(&*payload),
            Err(_) => TaskError::Aborted,
        })
    }

    pub(crate) fn block_on<F: Future>(&self, main: F) -> F::Output {
        self.get().block_on(main)
    }

    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.get().enter()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
        }
    }
}

/// A request of the host's user or supervisor to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostSignal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM (Unix), or the console being closed (Windows).
    Terminate,
    /// SIGUSR1 (Unix), or Ctrl-Break (Windows): show what is inside.
    Inspect,
}

/// The host's signals to this program, as a queue. Works in real and in virtual time: a thread of its own listens.
pub struct HostSignals {
    queue: std::sync::Arc<parking_lot::Mutex<SignalQueue>>,
}

#[derive(Default)]
struct SignalQueue {
    pending: std::collections::VecDeque<HostSignal>,
    waiter: Option<std::task::Waker>,
}

impl HostSignals {
    /// Starts to listen. From here on Ctrl-C, SIGTERM and SIGUSR1 no longer end the program by themselves.
    #[expect(clippy::disallowed_methods, reason = "the listener must live outside of virtual time")]
    pub fn listen() -> std::io::Result<Self> {
        let queue = std::sync::Arc::<parking_lot::Mutex<SignalQueue>>::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = queue.clone();
        let mut listener = {
            let _entered = runtime.enter();
            Listener::new()?
        };
        std::thread::spawn(move || {
            runtime.block_on(async move {
                loop {
                    let signal = listener.next().await;
                    let waiter = {
                        let mut queue = sender.lock();
                        // as the system does with a signal that is pending already: nobody can fill the queue
                        if !(signal == HostSignal::Inspect && queue.pending.contains(&signal)) {
                            queue.pending.push_back(signal);
                        }
                        queue.waiter.take()
                    };
                    if let Some(waiter) = waiter {
                        waiter.wake();
                    }
                }
            });
        });
        Ok(Self { queue })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> HostSignal {
        std::future::poll_fn(|cx| {
            let mut queue = self.queue.lock();
            match queue.pending.pop_front() {
                Some(signal) => Poll::Ready(signal),
                None => {
                    queue.waiter = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(unix)]
struct Listener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    inspect: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Listener {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            inspect: signal(SignalKind::user_defined1())?,
        })
    }
}

#[cfg(windows)]
struct Listener {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlClose,
    inspect: tokio::signal::windows::CtrlBreak,
}

#[cfg(windows)]
impl Listener {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_close()?, inspect: ctrl_break()? })
    }
}

impl Listener {
    /// The next signal; of several at once the gravest.
    async fn next(&mut self) -> HostSignal {
        std::future::poll_fn(|cx| {
            if self.interrupt.poll_recv(cx).is_ready() {
                return Poll::Ready(HostSignal::Interrupt);
            }
            if self.terminate.poll_recv(cx).is_ready() {
                return Poll::Ready(HostSignal::Terminate);
            }
            self.inspect.poll_recv(cx).map(|_| HostSignal::Inspect)
        })
        .await
    }
}
