//! Sockets of preview 1: accept, receive, send and shut down. There is no way to make one; a program is handed listening sockets
//! ([`crate::preopen`]) and accepts connections on them.

use wasmpod_kernel::Errno;
use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::netns::Shutdown;
use wasmpod_kernel::wait::Ready;

use super::Blocking;
use super::errno::{Fail, WasiErrno};
use super::fd::described;
use super::io::{self, At};
use super::memory::Guest;
use super::types::{FDFLAG_NONBLOCK, RECV_DATA_TRUNCATED, RECV_PEEK, RECV_WAITALL, SHUT_RD, SHUT_WR, check_bits};
use crate::HasCtx;

/// Of the flags of a descriptor only FDFLAGS_NONBLOCK means something for a socket.
pub(super) async fn accept<T: HasCtx>(call: &mut Blocking<'_, T>, fd: u32, flags: u32, out: u32) -> Result<(), Fail> {
    check_bits(flags, FDFLAG_NONBLOCK)?;
    let (description, nonblocking) = described(call.guest().ctx, fd)?;
    let listener = match &description {
        Description::Tcp(socket) => socket,
        Description::Udp(_) => return Err(WasiErrno::NotSup.into()),
        _ => return Err(WasiErrno::NotSock.into()),
    };
    room_for_one(call.guest().ctx)?;
    let mut waited = false;
    let accepted = loop {
        match listener.accept() {
            Ok((socket, _peer)) => break socket,
            Err(Errno::Again) if !nonblocking => {
                // another process may have taken the connection: after a false readiness others run first
                if std::mem::replace(&mut waited, true) {
                    call.yield_now().await;
                }
                call.ready(&description, Ready::READ).await?;
            }
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut guest = call.guest();
    let nonblocking = flags & FDFLAG_NONBLOCK != 0;
    let descriptor = Descriptor { nonblocking, ..Descriptor::new(Description::Tcp(accepted)) };
    let accepted = guest.ctx.process.fds.lock().insert(descriptor)?;
    Ok(guest.memory.put_u32(out, accepted)?)
}

/// Refuses before anything has happened that could not be undone.
///
/// # Errors
/// EMFILE.
pub(super) fn room_for_one(ctx: &crate::Ctx) -> Result<(), Errno> {
    let mut fds = ctx.process.fds.lock();
    fds.hold()?;
    fds.release();
    Ok(())
}

fn socket(guest: &Guest<'_>, fd: u32) -> Result<(Description, bool), Fail> {
    match described(guest.ctx, fd)? {
        found @ (Description::Tcp(_) | Description::Udp(_), _) => Ok(found),
        _ => Err(WasiErrno::NotSock.into()),
    }
}

/// RECV_WAITALL means nothing with RECV_PEEK, and for a non-blocking or a datagram socket.
pub(super) async fn recv<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    flags: u32,
    out: u32,
    out_flags: u32,
) -> Result<(), Fail> {
    check_bits(flags, RECV_PEEK | RECV_WAITALL)?;
    let (description, nonblocking) = socket(&call.guest(), fd)?;
    let (regions, ..) = io::begin(&mut call.guest(), fd, iovs, count)?;
    let peek = flags & RECV_PEEK != 0;
    let (received, truncated) = match &description {
        Description::Udp(_) => io::receive_datagram(call, &description, nonblocking, &regions, peek).await?,
        _ if peek => (io::peek(call, &description, nonblocking, &regions).await?, false),
        _ => {
            let all = flags & RECV_WAITALL != 0;
            (io::fill(call, &description, nonblocking, &regions, At::Position, all).await?, false)
        }
    };
    let mut guest = call.guest();
    guest.memory.put_u32(out, received)?;
    Ok(guest.memory.put_u16(out_flags, if truncated { RECV_DATA_TRUNCATED } else { 0 })?)
}

/// There are no flags yet for sending.
pub(super) async fn send<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    flags: u32,
    out: u32,
) -> Result<(), Fail> {
    check_bits(flags, 0)?;
    socket(&call.guest(), fd)?;
    io::write(call, fd, iovs, count, out).await
}

pub(super) fn shutdown(guest: &mut Guest<'_>, fd: u32, how: u32) -> Result<(), Fail> {
    let how = match how {
        SHUT_RD => Shutdown::Read,
        SHUT_WR => Shutdown::Write,
        _ if how == SHUT_RD | SHUT_WR => Shutdown::Both,
        _ => return Err(WasiErrno::Inval.into()),
    };
    match socket(guest, fd)?.0 {
        Description::Tcp(socket) => Ok(socket.shutdown(how)?),
        _ => Err(WasiErrno::NotSup.into()), // preview 1 has no connected datagram sockets
    }
}
