//! Moving bytes between a descriptor and the guest's memory. Reads and writes go straight to and from that memory; only a datagram
//! and a small scattered write, which must arrive in one piece, are gathered first.
//!
//! As on Linux: a blocking read waits for the first byte and takes what is there; a blocking write to a pipe or a socket waits until
//! everything is written; an error after some bytes is reported as those bytes and comes back with the next call; regular files
//! never block, whatever their flags say.

use wasmpod_kernel::file::Description;
use wasmpod_kernel::pipe::PIPE_BUF;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result};

use super::errno::{Fail, WasiErrno};
use super::fd::{described, directions};
use super::memory::{Bytes, Guest, Regions};
use super::process::broken_pipe;
use super::{Blocking, CHUNK};
use crate::HasCtx;

/// The largest UDP payload over IPv4 (RFC 768: 65,535 less the headers); no datagram is longer.
const MAX_DATAGRAM: usize = 65_507;

/// Where in the file to read or write.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// At the position of the description, which moves.
    Position,
    /// Here; the position stays.
    Offset(u64),
}

impl At {
    fn advanced(self, by: u32) -> Result<Self> {
        match self {
            Self::Position => Ok(self),
            Self::Offset(offset) => offset.checked_add(u64::from(by)).map(Self::Offset).ok_or(Errno::Inval),
        }
    }
}

pub(super) async fn read<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    out: u32,
) -> Result<(), Fail> {
    read_at(call, fd, iovs, count, At::Position, out).await
}

pub(super) async fn pread<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result<(), Fail> {
    read_at(call, fd, iovs, count, At::Offset(offset), out).await
}

/// A write that nobody reads is EPIPE, and SIGPIPE, which is ignored unless the program has said otherwise.
pub(super) async fn write<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    out: u32,
) -> Result<(), Fail> {
    match write_at(call, fd, iovs, count, At::Position, out).await {
        Err(Fail::Errno(WasiErrno::Pipe)) => Err(broken_pipe(call.guest().ctx)),
        written => written,
    }
}

pub(super) async fn pwrite<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result<(), Fail> {
    write_at(call, fd, iovs, count, At::Offset(offset), out).await
}

/// The buffers of a call and what it works on.
pub(super) fn begin(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
) -> Result<(Regions, Description, bool), Fail> {
    let regions = guest.memory.regions(iovs, count)?;
    guest.ctx.charge(regions.fuel());
    let (description, nonblocking) = described(guest.ctx, fd)?;
    Ok((regions, description, nonblocking))
}

/// What cannot be read or written by this descriptor at all.
fn check(description: &Description, at: At, writes: bool) -> Result<()> {
    match (description, at) {
        (Description::File(file), _) if file.is_dir() => Err(Errno::BadF),
        (Description::File(_), _) | (_, At::Position) => Ok(()),
        (_, At::Offset(_)) => {
            let (reads, written) = directions(description);
            Err(if writes && written || !writes && reads { Errno::SPipe } else { Errno::BadF })
        }
    }
}

async fn read_at<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    at: At,
    out: u32,
) -> Result<(), Fail> {
    let mut guest = call.guest();
    let (regions, description, nonblocking) = begin(&mut guest, fd, iovs, count)?;
    check(&description, at, false)?;
    if let Some((pointer, len)) = regions.at_once(&description) {
        match read_some(&description, guest.memory.slice_mut(pointer, len)?, at) {
            Ok(read) => {
                guest.charge_bytes(read);
                return Ok(guest.memory.put_u32(out, read as u32)?); // at most `len`
            }
            Err(Errno::Again) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let read = if let Description::Udp(_) = &description {
        receive_datagram(call, &description, nonblocking, &regions, false).await?.0
    } else {
        fill(call, &description, nonblocking, &regions, at, false).await?
    };
    Ok(call.guest().memory.put_u32(out, read)?)
}

async fn write_at<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    iovs: u32,
    count: u32,
    at: At,
    out: u32,
) -> Result<(), Fail> {
    let mut guest = call.guest();
    let (regions, description, nonblocking) = begin(&mut guest, fd, iovs, count)?;
    check(&description, at, true)?;
    let mut progress = Progress::new();
    if let Some((pointer, len)) = regions.at_once(&description) {
        match write_some(&description, guest.memory.slice(pointer, len)?, at) {
            Ok(written) if written == len as usize => {
                guest.charge_bytes(written);
                return Ok(guest.memory.put_u32(out, len)?);
            }
            Ok(written) => _ = progress.moved(written, len),
            Err(Errno::Again) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let written = if let Description::Udp(_) = &description {
        send_datagram(call, &description, nonblocking, &regions).await?
    } else {
        drain(call, &description, nonblocking, &regions, at, progress).await?
    };
    Ok(call.guest().memory.put_u32(out, written)?)
}

impl Regions {
    /// The buffer of a call that has only one, which is most calls: it is tried at once, without what waiting needs. Datagrams go
    /// their own way.
    fn at_once(&self, description: &Description) -> Option<(u32, u32)> {
        let alone = !self.is_scattered() && self.total() <= CHUNK && !matches!(description, Description::Udp(_));
        self.get(0).filter(|_| alone).map(|region| (region.pointer, region.len))
    }
}

fn read_some(description: &Description, buffer: &mut [u8], at: At) -> Result<usize> {
    match (description, at) {
        (Description::File(file), At::Position) => file.read(buffer),
        (Description::File(file), At::Offset(offset)) => file.read_at(buffer, offset),
        (Description::Tcp(socket), _) => socket.read(buffer),
        (Description::Stream(stream), _) => stream.read(buffer),
        (Description::Udp(socket), _) => socket.recv_from(buffer).map(|(received, ..)| received),
        (Description::Ipc(_), _) => Err(Errno::Inval), // it has calls of its own
    }
}

fn write_some(description: &Description, buffer: &[u8], at: At) -> Result<usize> {
    match (description, at) {
        (Description::File(file), At::Position) => file.write(buffer),
        // as Linux and wasmtime do: in append mode pwrite(2) goes to the end too
        (Description::File(file), At::Offset(_)) if file.append() => file.append_at_end(buffer),
        (Description::File(file), At::Offset(offset)) => file.write_at(buffer, offset),
        (Description::Tcp(socket), _) => socket.write(buffer),
        (Description::Stream(stream), _) => stream.write(buffer),
        (Description::Udp(socket), _) => socket.send_to(buffer, None),
        (Description::Ipc(_), _) => Err(Errno::Inval),
    }
}

/// Reads into the buffers until something is there, or with `all` until they are full.
pub(super) async fn fill<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    description: &Description,
    nonblocking: bool,
    regions: &Regions,
    mut at: At,
    all: bool,
) -> Result<u32, Fail> {
    if regions.total() == 0 {
        let mut guest = call.guest();
        read_some(description, guest.memory.slice_mut(0, 0)?, at)?;
        return Ok(0);
    }
    let mut progress = Progress::new();
    while let Some((pointer, len)) = progress.next(regions) {
        let result = read_some(description, call.guest().memory.slice_mut(pointer, len)?, at);
        match result {
            Ok(0) => break,
            Ok(read) => {
                let read = progress.moved(read, len);
                at = at.advanced(read)?;
                if read < len && !all {
                    break;
                }
                progress.pause(call).await;
            }
            Err(Errno::Again) if nonblocking || progress.total > 0 && !all => {
                if progress.total == 0 {
                    return Err(WasiErrno::Again.into());
                }
                break;
            }
            Err(Errno::Again) => {
                if progress.wait(call, description, Ready::READ).await? {
                    break;
                }
            }
            Err(_) if progress.total > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(progress.end(call))
}

/// As [`fill`], but what is read stays to be read: into the first buffer only, as the same bytes cannot be peeked at in parts.
pub(super) async fn peek<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    description: &Description,
    nonblocking: bool,
    regions: &Regions,
) -> Result<u32, Fail> {
    let Description::Tcp(socket) = description else { return Err(WasiErrno::NotSock.into()) };
    let Some((pointer, len)) = Progress::new().next(regions) else { return Ok(0) };
    let mut progress = Progress::new();
    loop {
        match socket.peek(call.guest().memory.slice_mut(pointer, len)?) {
            Ok(read) => {
                progress.moved(read, len);
                return Ok(progress.end(call));
            }
            Err(Errno::Again) if !nonblocking => _ = progress.wait(call, description, Ready::READ).await?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Writes what `progress` leaves of the buffers until all is written.
async fn drain<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    description: &Description,
    nonblocking: bool,
    regions: &Regions,
    at: At,
    mut progress: Progress,
) -> Result<u32, Fail> {
    let mut at = at.advanced(progress.total)?;
    if regions.total() == 0 {
        write_some(description, &[], at)?;
        return Ok(0);
    }
    // a write of up to PIPE_BUF bytes is one write, also if it is scattered
    let gathered = if regions.is_scattered() && regions.total() as usize <= PIPE_BUF {
        gather(&call.guest().memory, regions)?
    } else {
        Vec::new()
    };
    loop {
        let len;
        let result = if gathered.is_empty() {
            let Some((pointer, part)) = progress.next(regions) else { break };
            len = part;
            write_some(description, call.guest().memory.slice(pointer, part)?, at)
        } else {
            let rest = &gathered[progress.total as usize..];
            if rest.is_empty() {
                break;
            }
            len = regions.total() - progress.total;
            write_some(description, rest, at)
        };
        match result {
            Ok(0) => break,
            Ok(written) => {
                let written = progress.moved(written, len);
                at = at.advanced(written)?;
                progress.pause(call).await;
            }
            Err(Errno::Again) if nonblocking => {
                if progress.total == 0 {
                    return Err(WasiErrno::Again.into());
                }
                break;
            }
            Err(Errno::Again) => {
                if progress.wait(call, description, Ready::WRITE).await? {
                    break;
                }
            }
            Err(_) if progress.total > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(progress.end(call))
}

/// How far a call has come.
struct Progress {
    /// Bytes moved.
    total: u32,
    /// The buffer in use, and how much of it is done.
    region: usize,
    done: u32,
    /// Bytes moved since others last ran, which are not charged for yet.
    since_pause: u32,
    /// A wait ended and the call still would have blocked.
    waited: bool,
}

impl Progress {
    fn new() -> Self {
        Self { total: 0, region: 0, done: 0, since_pause: 0, waited: false }
    }

    /// The part of the buffers that is next.
    fn next(&mut self, regions: &Regions) -> Option<(u32, u32)> {
        loop {
            let region = regions.get(self.region)?;
            if self.done < region.len {
                return Some((region.pointer + self.done, (region.len - self.done).min(CHUNK)));
            }
            self.region += 1;
            self.done = 0;
        }
    }

    /// Notes that `moved` of `len` bytes were moved.
    fn moved(&mut self, moved: usize, len: u32) -> u32 {
        let moved = u32::try_from(moved).unwrap_or(len).min(len);
        self.total += moved;
        self.done += moved;
        self.since_pause = self.since_pause.saturating_add(moved);
        self.waited = false;
        moved
    }

    /// Charges for what was moved and lets others run, if it was much.
    async fn pause<T: HasCtx>(&mut self, call: &mut Blocking<'_, T>) {
        if self.since_pause >= CHUNK {
            self.end(call);
            call.yield_now().await;
        }
    }

    /// Charges for what was moved: how much it was in all.
    fn end<T: HasCtx>(&mut self, call: &mut Blocking<'_, T>) -> u32 {
        call.guest().charge_bytes(std::mem::take(&mut self.since_pause) as usize);
        self.total
    }

    /// Waits for readiness. Being ready is a hint: after a false one others run first, so that it cannot become a busy loop.
    /// True if a signal ended the wait after some bytes: they are the answer.
    ///
    /// # Errors
    /// EINTR if a signal came before any byte.
    async fn wait<T: HasCtx>(
        &mut self,
        call: &mut Blocking<'_, T>,
        description: &Description,
        interest: Ready,
    ) -> Result<bool, Fail> {
        if std::mem::replace(&mut self.waited, true) {
            call.yield_now().await;
        }
        match call.ready(description, interest).await {
            Err(Fail::Errno(WasiErrno::Intr)) if self.total > 0 => Ok(true),
            waited => waited.map(|()| false),
        }
    }
}

fn gather(memory: &Bytes<'_>, regions: &Regions) -> Result<Vec<u8>, Fail> {
    let mut gathered = Vec::with_capacity(regions.total() as usize);
    for region in regions.iter() {
        gathered.extend_from_slice(memory.slice(region.pointer, region.len)?);
    }
    Ok(gathered)
}

/// Sends the buffers as one datagram.
pub(super) async fn send_datagram<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    description: &Description,
    nonblocking: bool,
    regions: &Regions,
) -> Result<u32, Fail> {
    if regions.total() as usize > MAX_DATAGRAM {
        return Err(WasiErrno::MsgSize.into());
    }
    let datagram = gather(&call.guest().memory, regions)?;
    call.guest().charge_bytes(datagram.len());
    let mut progress = Progress::new();
    loop {
        match write_some(description, &datagram, At::Position) {
            Ok(_) => return Ok(regions.total()),
            Err(Errno::Again) if !nonblocking => _ = progress.wait(call, description, Ready::WRITE).await?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives one datagram into the buffers: how much of it they hold, and whether some was lost.
pub(super) async fn receive_datagram<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    description: &Description,
    nonblocking: bool,
    regions: &Regions,
    peek: bool,
) -> Result<(u32, bool), Fail> {
    let Description::Udp(socket) = description else { return Err(WasiErrno::NotSock.into()) };
    let mut datagram = vec![0; MAX_DATAGRAM.min(regions.total() as usize)];
    let mut progress = Progress::new();
    let (received, lost) = loop {
        let result = if peek { socket.peek_from(&mut datagram) } else { socket.recv_from(&mut datagram) };
        match result {
            Ok((received, _, lost)) => break (received, lost > 0),
            Err(Errno::Again) if !nonblocking => _ = progress.wait(call, description, Ready::READ).await?,
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut rest = &datagram[..received.min(datagram.len())];
    let mut guest = call.guest();
    guest.charge_bytes(rest.len());
    for region in regions.iter() {
        let (part, behind) = rest.split_at(rest.len().min(region.len as usize));
        guest.memory.put(region.pointer, part, 1)?;
        rest = behind;
    }
    Ok((received as u32, lost)) // at most MAX_DATAGRAM
}
