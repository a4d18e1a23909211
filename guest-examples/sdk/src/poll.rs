//! Waiting for several things at once: IPC objects, clocks, and whatever else the WASI at hand can poll, sockets for example.
use std::marker::PhantomData;
use std::time::Duration;

use crate::Result;
use crate::sys;

/// Something to wait for. It borrows what it is about.
#[derive(Debug)]
pub struct Pollable<'a>(pub(crate) sys::Pollable, pub(crate) PhantomData<&'a ()>);

impl Pollable<'static> {
    /// Ready after `span`.
    pub fn timer(span: Duration) -> Self {
        Self(sys::Pollable::timer(span), PhantomData)
    }

    /// WASI 0.1: ready while the descriptor can be read, or a connection accepted.
    #[cfg(target_env = "p1")]
    pub fn fd_readable(fd: u32) -> Self {
        Self(sys::Pollable::fd(fd, false), PhantomData)
    }

    /// WASI 0.1: ready while the descriptor can be written.
    #[cfg(target_env = "p1")]
    pub fn fd_writable(fd: u32) -> Self {
        Self(sys::Pollable::fd(fd, true), PhantomData)
    }

    /// WASI 0.2: any pollable, of a socket or a stream.
    #[cfg(target_env = "p2")]
    pub fn wasi(pollable: wasip2::io::poll::Pollable) -> Self {
        Self(sys::Pollable::from(pollable), PhantomData)
    }
}

/// Waits until at least one is ready: the indices of all that are.
pub fn poll(of: &[&Pollable<'_>]) -> Result<Vec<usize>> {
    sys::poll(of)
}
