//! What the runtime tells the node agent: containers started and exited (the kubelet's PLEG, told rather than polled). Owns the queues;
//! not the reaction.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Poll;

use parking_lot::Mutex;
use wasmpod_kernel::wait::WaitQueue;

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerEventKind {
    /// It runs.
    Started,
    /// It has ended.
    Exited,
}

/// One change of a container's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The pod.
    pub sandbox_uid: String,
    /// The container's name in the pod.
    pub container: String,
    /// What happened.
    pub kind: ContainerEventKind,
}

/// A queue of events. Dropping it ends the subscription.
pub struct Events {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    pending: Mutex<VecDeque<ContainerEvent>>,
    waiting: WaitQueue,
}

impl Events {
    /// Waits for the next event.
    pub async fn recv(&mut self) -> ContainerEvent {
        std::future::poll_fn(|cx| {
            let mut pending = self.queue.pending.lock();
            match pending.pop_front() {
                Some(event) => Poll::Ready(event),
                None => {
                    self.queue.waiting.register(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Where events are sent. A container has two of them in its life, so a queue is bounded by the containers that were made.
#[derive(Default)]
pub(crate) struct Publisher {
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Publisher {
    pub(crate) fn subscribe(&self) -> Events {
        let queue = Arc::new(Queue::default());
        self.queues.lock().push(Arc::downgrade(&queue));
        Events { queue }
    }

    pub(crate) fn send(&self, event: &ContainerEvent) {
        let queues: Vec<_> = {
            let mut queues = self.queues.lock();
            queues.retain(|queue| queue.strong_count() > 0);
            queues.iter().filter_map(Weak::upgrade).collect()
        };
        for queue in queues {
            queue.pending.lock().push_back(event.clone());
            queue.waiting.wake_all();
        }
    }
}
