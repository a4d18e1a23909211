//! What is known of a spawned task: its end, its panic, and how to stop it. Owns no scheduling.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};
use parking_lot::Mutex;

/// Why a task has no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// [`TaskHandle::abort`] was called, or the run ended first.
    #[error("the task was aborted")]
    Aborted,
    /// The task panicked: an internal bug, with the panic's message.
    #[error("the task panicked: {0}")]
    Panicked(String),
}

impl TaskError {
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "(no message)".to_owned());
        Self::Panicked(message)
    }
}

struct Shared<T> {
    result: Option<Result<T, TaskError>>,
    finished: bool,
    waiter: Option<Waker>,
}

/// Sets the result when the task ends, and "aborted" when it is dropped before.
struct Finish<T>(Arc<Mutex<Shared<T>>>);

impl<T> Finish<T> {
    fn set(&self, result: Result<T, TaskError>) {
        let waiter = {
            let mut shared = self.0.lock();
            if shared.finished {
                return;
            }
            shared.finished = true;
            shared.result = Some(result);
            shared.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        self.set(Err(TaskError::Aborted));
    }
}

pub(crate) fn wrap<F>(future: F) -> (impl Future<Output = ()> + Send + 'static, TaskHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let shared = Arc::new(Mutex::new(Shared { result: None, finished: false, waiter: None }));
    let (abort, registration) = AbortHandle::new_pair();
    let finish = Finish(shared.clone());
    // boxed, so that an abort frees what the future holds before anyone hears that it ended
    let future = Abortable::new(AssertUnwindSafe(Box::pin(future)).catch_unwind(), registration);
    let wrapped = async move {
        let result = match future.await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(payload)) => Err(TaskError::panicked(&*payload)),
            Err(_) => Err(TaskError::Aborted),
        };
        finish.set(result);
    };
    (wrapped, TaskHandle { shared, abort })
}

/// A spawned task: await it for its output, or abort it. Dropping the handle lets the task run on.
pub struct TaskHandle<T> {
    shared: Arc<Mutex<Shared<T>>>,
    abort: AbortHandle,
}

impl<T> TaskHandle<T> {
    /// Stops the task: its future is dropped at the next point where it yields.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// A handle that can abort the task and outlives this one.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// True once the task has ended in any way.
    pub fn is_finished(&self) -> bool {
        self.shared.lock().finished
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.lock();
        if let Some(result) = shared.result.take() {
            return Poll::Ready(result);
        }
        if shared.finished {
            return Poll::Ready(Err(TaskError::Aborted)); // polled again after the output was taken
        }
        shared.waiter = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> std::fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskHandle").field("finished", &self.is_finished()).finish()
    }
}
