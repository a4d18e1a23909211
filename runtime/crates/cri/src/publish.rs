//! Published ports: a port of this machine's loopback that leads to a port of a pod. The only way from the host into a pod's network, and
//! only if the user asks for it. Owns the host's sockets; a connection appears in the pod as one from the node's address.
//!
//! Real time only: what arrives from the host cannot be repeated from a seed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket as HostUdp};
use wasmpod_kernel::Errno;
use wasmpod_kernel::netns::{NetNs, Shutdown, TcpSocket, UdpSocket};
use wasmpod_kernel::wait::Ready;
use wasmpod_sim::{Sim, TaskHandle};

use crate::sandbox::Sandbox;

/// How many bytes are copied at a time.
const COPY_BUFFER: usize = 64 * 1024;
/// Connections of one published port at a time; more wait in the host's backlog.
const MAX_CONNECTIONS: usize = 1024;
/// How long a UDP sender is remembered after its last datagram, as Linux' conntrack does for streams of one packet.
const UDP_IDLE: Duration = Duration::from_secs(30);
/// UDP senders remembered per published port.
const MAX_UDP_PEERS: usize = 256;
/// The largest UDP datagram.
const MAX_DATAGRAM: usize = 65_535;

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why a port cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Only loopback addresses are published.
    #[error("{0} is not a loopback address; wasmpod listens on this machine only")]
    NotLoopback(SocketAddr),
    /// Virtual time cannot have visitors.
    #[error("ports cannot be published in virtual time")]
    Virtual,
    /// The host's port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The host's address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A published port; closed when dropped.
pub struct Published {
    /// The host's address, with the port that the system chose if 0 was asked for.
    pub address: SocketAddr,
    task: TaskHandle<()>,
}

impl Drop for Published {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes `port` of the pod at `host`.
///
/// # Errors
/// [`PublishError`] says why not.
pub async fn publish(
    sim: &Sim,
    sandbox: &Sandbox,
    host: SocketAddr,
    port: u16,
    protocol: Protocol,
) -> Result<Published, PublishError> {
    if sim.is_virtual() {
        return Err(PublishError::Virtual);
    }
    if !host.ip().is_loopback() {
        return Err(PublishError::NotLoopback(host));
    }
    let listen = |source| PublishError::Listen { address: host, source };
    let (net, name) = (sandbox.net().clone(), format!("publish {host} to {}:{port}", sandbox.name()));
    let (address, task) = match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(host).await.map_err(listen)?;
            let address = listener.local_addr().map_err(listen)?;
            (address, sim.spawn(name, serve_tcp(sim.clone(), listener, net, port)))
        }
        Protocol::Udp => {
            let socket = HostUdp::bind(host).await.map_err(listen)?;
            let address = socket.local_addr().map_err(listen)?;
            (address, sim.spawn(name, serve_udp(sim.clone(), Arc::new(socket), net, port)))
        }
    };
    Ok(Published { address, task })
}

async fn serve_tcp(sim: Sim, listener: TcpListener, net: Arc<NetNs>, port: u16) {
    let mut open: Vec<TaskHandle<()>> = Vec::new();
    loop {
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS {
            let first = open.remove(0);
            let _ = first.await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                let net = net.clone();
                open.push(sim.spawn(format!("published connection of {peer}"), async move {
                    if let Err(error) = bridge(stream, &net, port).await {
                        tracing::debug!(%peer, port, %error, "a published connection ended");
                    }
                }));
            }
            // out of descriptors, or the peer was gone before: try again when something has changed
            Err(error) => {
                tracing::warn!(%error, "a published port cannot accept");
                sim.clock().sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Copies both ways until both sides are done. A side that is refused or reset resets the other.
async fn bridge(stream: TcpStream, net: &Arc<NetNs>, port: u16) -> io::Result<()> {
    let pod = net.host_connect(port).map_err(to_io)?;
    let connected = wait(|cx| pod.poll_ready(Ready::WRITE, cx), || pod.take_connect_result()).await;
    if let Err(errno) = connected {
        reset(stream);
        return Err(to_io(errno));
    }
    let (mut from_host, mut to_host) = stream.into_split();
    let inward = async {
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = from_host.read(&mut buffer).await?;
            if count == 0 {
                let _ = pod.shutdown(Shutdown::Write);
                return io::Result::Ok(());
            }
            write_all(&pod, &buffer[..count]).await.map_err(to_io)?;
        }
    };
    let outward = async {
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = wait(|cx| pod.poll_ready(Ready::READ, cx), || pod.read(&mut buffer)).await.map_err(to_io)?;
            if count == 0 {
                return to_host.shutdown().await;
            }
            to_host.write_all(&buffer[..count]).await?;
        }
    };
    futures_util::future::try_join(inward, outward).await.map(|_| ())
}

/// Closes the host's connection with RST, so that its client sees a failure and not an empty answer.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn write_all(socket: &Arc<TcpSocket>, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        let count = wait(|cx| socket.poll_ready(Ready::WRITE, cx), || socket.write(data)).await?;
        data = &data[count..];
    }
    Ok(())
}

/// Calls `attempt` until it does not block.
async fn wait<T>(
    mut ready: impl FnMut(&mut std::task::Context<'_>) -> Ready,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    loop {
        match attempt() {
            Err(Errno::Again | Errno::InProgress | Errno::Already) => {}
            other => return other,
        }
        std::future::poll_fn(|cx| if ready(cx).is_empty() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

async fn serve_udp(sim: Sim, host: Arc<HostUdp>, net: Arc<NetNs>, port: u16) {
    let mut peers: std::collections::BTreeMap<SocketAddr, (Arc<UdpSocket>, TaskHandle<()>)> = Default::default();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (count, peer) = match host.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a published UDP port cannot receive");
                sim.clock().sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        peers.retain(|_, (_, answers)| !answers.is_finished());
        if !peers.contains_key(&peer) {
            if peers.len() >= MAX_UDP_PEERS {
                continue; // dropped, as a full table does
            }
            let Ok(pod) = net.host_udp(port) else { continue };
            let answers = answer_udp(sim.clone(), host.clone(), pod.clone(), peer);
            peers.insert(peer, (pod, sim.spawn(format!("published datagrams of {peer}"), answers)));
        }
        if let Some((pod, _)) = peers.get(&peer) {
            let _ = pod.send_to(&buffer[..count], None); // datagrams may be lost
        }
    }
}

async fn answer_udp(sim: Sim, host: Arc<HostUdp>, pod: Arc<UdpSocket>, peer: SocketAddr) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let receive = wait(|cx| pod.poll_ready(Ready::READ, cx), || pod.recv_from(&mut buffer));
        match sim.clock().timeout(UDP_IDLE, receive).await {
            Ok(Ok((length, _, _))) => {
                let _ = host.send_to(&buffer[..length], peer).await;
            }
            Ok(Err(_)) => {} // nobody listens in the pod: the host's sender hears nothing, as with UDP
            Err(_) => return,
        }
    }
}

fn to_io(errno: Errno) -> io::Error {
    io::Error::other(errno.to_string())
}
