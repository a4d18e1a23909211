//! The end of a TCP socket: `shutdown(2)`, and close when the last reference is dropped.

use std::time::Duration;

use super::stream::Endpoint;
use super::{Phase, TcpSocket};
use crate::netns::Shutdown;
use crate::{Errno, Result};

impl TcpSocket {
    /// Ends one or both directions. Shutting down writing lets the peer read what was written and then the end of the stream;
    /// shutting down reading makes reads return 0 once what has arrived is read. On a listening socket, shutting down reading
    /// ends listening, as on Linux.
    ///
    /// # Errors
    /// [`Errno::NotConn`] if the socket is not connected or no longer.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let read = matches!(how, Shutdown::Read | Shutdown::Both);
        let write = matches!(how, Shutdown::Write | Shutdown::Both);
        if let Some(endpoint) = self.endpoint() {
            return endpoint.shutdown(read, write);
        }
        let listener = {
            let mut control = self.control.lock();
            let Phase::Listening(listener) = control.phase.clone() else { return Err(Errno::NotConn) };
            if !read {
                return Ok(());
            }
            control.phase = Phase::Idle;
            self.ns.stop_listening(control.local.map_or(0, |local| local.port()), self.id);
            listener
        };
        listener.close();
        Ok(())
    }
}

impl Drop for TcpSocket {
    /// Closes the socket: FIN, or RST if bytes were left unread, lingering is zero, or nobody ever accepted it.
    fn drop(&mut self) {
        let control = self.control.get_mut();
        let abort = control.options.linger == Some(Duration::ZERO) || !control.accepted;
        let phase = std::mem::replace(&mut control.phase, Phase::Idle);
        let port = control.local.map(|local| local.port());
        if let Some(endpoint) = self.stream.get() {
            endpoint.close(abort);
        }
        let waits = self.stream.get().is_some_and(Endpoint::time_waits);
        if let Some(port) = port {
            let mut tables = self.ns.tables.lock();
            if waits {
                tables.tcp.time_wait(port, self.id, self.ns.clock.now());
            } else {
                tables.tcp.remove(port, self.id);
            }
        }
        match phase {
            Phase::Listening(listener) => {
                if let Some(port) = port {
                    self.ns.stop_listening(port, self.id);
                }
                listener.close();
            }
            Phase::Connecting(request) => request.cancel(),
            Phase::Idle | Phase::Connected => {}
        }
        self.ns.uncount_socket();
    }
}
