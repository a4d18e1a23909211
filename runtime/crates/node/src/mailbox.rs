//! A worker's mailbox: one reader, many writers, in order. Bounded by what is sent: a container ends once per run, and a person
//! stops a pod a few times at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// The queue; clones write to and read from the same.
pub(crate) struct Mailbox<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

struct Inner<T> {
    messages: VecDeque<T>,
    reader: Option<Waker>,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { messages: VecDeque::new(), reader: None })) }
    }

    pub(crate) fn send(&self, message: T) {
        let reader = {
            let mut inner = self.inner.lock();
            inner.messages.push_back(message);
            inner.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn try_recv(&self) -> Option<T> {
        self.inner.lock().messages.pop_front()
    }

    pub(crate) async fn recv(&self) -> T {
        std::future::poll_fn(|cx| {
            let mut inner = self.inner.lock();
            match inner.messages.pop_front() {
                Some(message) => Poll::Ready(message),
                None => {
                    inner.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

#[cfg(test)]
mod tests {
    use wasmpod_sim::Sim;

    use super::*;

    #[test]
    fn messages_come_in_order_and_wake_the_reader() {
        let sim = Sim::new_virtual(1);
        let mailbox = Mailbox::new();
        let (sender, clock) = (mailbox.clone(), sim.clock().clone());
        sim.spawn("sender", async move {
            sender.send(1);
            clock.sleep(std::time::Duration::from_secs(1)).await;
            sender.send(2);
        });
        let got = sim.block_on(async { (mailbox.recv().await, mailbox.recv().await, mailbox.try_recv()) });
        assert_eq!(got.unwrap(), (1, 2, None));
    }
}
