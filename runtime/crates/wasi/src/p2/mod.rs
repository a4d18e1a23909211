//! `wasi:cli/command` 0.2.x (WASI preview 2) over the kernel, for components. Each interface is linked by itself; nothing is used
//! of `wasmtime-wasi`, the crate that serves them from the host.
//!
//! A map of the code:
//! - [`bindings`]: what the WIT says, generated; [`bindings::CommandPre`] starts a program.
//! - `stream`: byte streams over anything that reads and writes like a file description.
//! - `io`: `wasi:io`: the reads, writes and polls of all streams, charged to the guest.
//! - `clocks`, `random`: `wasi:clocks` and `wasi:random`.
//! - `cli`: `wasi:cli`: arguments, environment, exit and the standard streams.
//! - [`filesystem`] and [`sockets`]: the interfaces of these names.
//! - [`ipc`], [`process`]: `wasmpod:ipc` and `wasmpod:process`, which are ours.
//!
//! It owns no scheduling: a call that waits is a future that keeps the task's waker with the kernel.

pub mod bindings;
pub mod cli;
mod clocks;
pub mod filesystem;
mod io;
pub mod ipc;
pub mod process;
mod random;
pub mod sockets;
mod stream;

use std::sync::Arc;

use wasmpod_kernel::Result;
use wasmpod_kernel::process::Process;
use wasmtime::component::{HasData, Linker};

use crate::{Ctx, HasCtx};

/// Bytes that one unit of fuel moves between guest and kernel. A copy runs near memory speed, some 10 GB/s, and a unit of fuel
/// is near a tenth of a nanosecond; the kernel copies each byte once more.
pub const BYTES_PER_FUEL: u64 = 2;
/// Fuel for a call that takes a lock or two: a read, a write, a socket option.
pub const CALL_FUEL: u64 = 100;
/// Fuel for a call that walks a path, before its bytes are counted.
pub const PATH_FUEL: u64 = 1_000;
/// Fuel for each element of a list that the host walks or builds: pollables, directory entries, datagrams, addresses.
pub const ITEM_FUEL: u64 = 100;

/// Links every interface of `wasi:cli/command` 0.2.x to the process in the store's [`Ctx`].
///
/// # Errors
/// If one of them is linked already.
pub fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io;

    use self::bindings::{cli, clocks, filesystem, random, sockets};

    let get = T::ctx;
    io::error::add_to_linker::<T, Preview2>(linker, get)?;
    io::poll::add_to_linker::<T, Preview2>(linker, get)?;
    io::streams::add_to_linker::<T, Preview2>(linker, get)?;
    self::io::replace_read(linker)?;
    clocks::monotonic_clock::add_to_linker::<T, Preview2>(linker, get)?;
    clocks::wall_clock::add_to_linker::<T, Preview2>(linker, get)?;
    clocks::timezone::add_to_linker::<T, Preview2>(
        linker,
        clocks::timezone::LinkOptions::default().clocks_timezone(true),
        get,
    )?;
    random::random::add_to_linker::<T, Preview2>(linker, get)?;
    random::insecure::add_to_linker::<T, Preview2>(linker, get)?;
    random::insecure_seed::add_to_linker::<T, Preview2>(linker, get)?;
    cli::environment::add_to_linker::<T, Preview2>(linker, get)?;
    cli::exit::add_to_linker::<T, Preview2>(linker, get)?;
    cli::stdin::add_to_linker::<T, Preview2>(linker, get)?;
    cli::stdout::add_to_linker::<T, Preview2>(linker, get)?;
    cli::stderr::add_to_linker::<T, Preview2>(linker, get)?;
    cli::terminal_input::add_to_linker::<T, Preview2>(linker, get)?;
    cli::terminal_output::add_to_linker::<T, Preview2>(linker, get)?;
    cli::terminal_stdin::add_to_linker::<T, Preview2>(linker, get)?;
    cli::terminal_stdout::add_to_linker::<T, Preview2>(linker, get)?;
    cli::terminal_stderr::add_to_linker::<T, Preview2>(linker, get)?;
    filesystem::types::add_to_linker::<T, Preview2>(linker, get)?;
    filesystem::preopens::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::network::add_to_linker::<T, Preview2>(
        linker,
        sockets::network::LinkOptions::default().network_error_code(true),
        get,
    )?;
    sockets::instance_network::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::tcp::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::tcp_create_socket::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::udp::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::udp_create_socket::add_to_linker::<T, Preview2>(linker, get)?;
    sockets::ip_name_lookup::add_to_linker::<T, Preview2>(linker, get)?;
    self::ipc::add_to_linker(linker)?;
    self::process::add_to_linker(linker)
}

/// Says that every interface works on the [`Ctx`] itself.
struct Preview2;

impl HasData for Preview2 {
    type Data<'a> = &'a mut Ctx;
}

impl Ctx {
    /// Charges for a call that moves `bytes` bytes.
    fn charge_bytes(&mut self, bytes: usize) {
        self.charge(CALL_FUEL + bytes as u64 / BYTES_PER_FUEL);
    }

    /// Charges for a call that walks `path`.
    fn charge_path(&mut self, path: &str) {
        self.charge(PATH_FUEL + path.len() as u64);
    }
}

/// One of the process' descriptors, held by a handle of the component; given back when dropped.
pub(crate) struct Slot(Arc<Process>);

impl Slot {
    /// Counts one more descriptor.
    ///
    /// # Errors
    /// [`wasmpod_kernel::Errno::MFile`] if the process has as many as it may.
    pub(crate) fn take(process: &Arc<Process>) -> Result<Self> {
        process.fds.lock().hold()?;
        Ok(Self(process.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fds.lock().release();
    }
}
