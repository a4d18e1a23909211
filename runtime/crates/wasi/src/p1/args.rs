//! What a program was started with, and how it ends: arguments, environment, random numbers, exit.

use std::iter;

use super::errno::{Fail, WasiErrno};
use super::memory::Guest;
use super::types::SIGNALS;
use super::{Blocking, CHUNK, RANDOM_BYTES_PER_FUEL};
use crate::{Ctx, HasCtx, MAX_RANDOM, ProcExit};

/// The texts that the guest sees, in pieces: an argument is one piece, a variable is three.
fn arguments(ctx: &Ctx) -> impl Iterator<Item = [&str; 3]> {
    ctx.process.spec.args.iter().map(|arg| [arg.as_str(), "", ""])
}

fn variables(ctx: &Ctx) -> impl Iterator<Item = [&str; 3]> {
    let given = ctx.process.spec.env.iter().chain(&ctx.extra_env);
    given.map(|(name, value)| [name.as_str(), "=", value.as_str()])
}

/// How many texts there are, and how many bytes with the NUL after each.
fn sizes<'a>(texts: impl Iterator<Item = [&'a str; 3]>) -> Result<(u32, u32), Fail> {
    let (mut count, mut bytes) = (0u32, 0usize);
    for text in texts {
        count = count.checked_add(1).ok_or(WasiErrno::Overflow)?;
        bytes += text.iter().map(|piece| piece.len()).sum::<usize>() + 1;
    }
    Ok((count, u32::try_from(bytes).map_err(|_| WasiErrno::Overflow)?))
}

/// Writes the texts one after the other to `buffer` and a pointer to each to `pointers`.
fn put<'a>(
    memory: &mut super::memory::Bytes<'_>,
    texts: impl Iterator<Item = [&'a str; 3]>,
    mut pointers: u32,
    mut buffer: u32,
) -> Result<(), Fail> {
    for text in texts {
        memory.put_u32(pointers, buffer)?;
        // a pointer behind the last byte of a 4 GiB memory is none; the next use of it would be out of bounds
        pointers = pointers.checked_add(4).ok_or(WasiErrno::Overflow)?;
        for piece in text.into_iter().chain(iter::once("\0")) {
            memory.put(buffer, piece.as_bytes(), 1)?;
            buffer =
                u32::try_from(piece.len()).ok().and_then(|len| buffer.checked_add(len)).ok_or(WasiErrno::Overflow)?;
        }
    }
    Ok(())
}

pub(super) fn args_sizes_get(guest: &mut Guest<'_>, count: u32, bytes: u32) -> Result<(), Fail> {
    let found = sizes(arguments(guest.ctx))?;
    guest.memory.put_u32(count, found.0)?;
    Ok(guest.memory.put_u32(bytes, found.1)?)
}

pub(super) fn args_get(guest: &mut Guest<'_>, argv: u32, buffer: u32) -> Result<(), Fail> {
    let (_, bytes) = sizes(arguments(guest.ctx))?;
    guest.charge_bytes(bytes as usize);
    put(&mut guest.memory, arguments(guest.ctx), argv, buffer)
}

pub(super) fn environ_sizes_get(guest: &mut Guest<'_>, count: u32, bytes: u32) -> Result<(), Fail> {
    let found = sizes(variables(guest.ctx))?;
    guest.memory.put_u32(count, found.0)?;
    Ok(guest.memory.put_u32(bytes, found.1)?)
}

pub(super) fn environ_get(guest: &mut Guest<'_>, environ: u32, buffer: u32) -> Result<(), Fail> {
    let (_, bytes) = sizes(variables(guest.ctx))?;
    guest.charge_bytes(bytes as usize);
    put(&mut guest.memory, variables(guest.ctx), environ, buffer)
}

/// Fills the buffer in pieces, and lets others run in between, so that asking for 4 GiB stops nobody but the program itself.
pub(super) async fn random_get<T: HasCtx>(call: &mut Blocking<'_, T>, buffer: u32, len: u32) -> Result<(), Fail> {
    let mut guest = call.guest();
    guest.memory.slice(buffer, len)?;
    let piece = u32::try_from(MAX_RANDOM).unwrap_or(CHUNK).min(CHUNK);
    let mut done = 0;
    while done < len {
        if done > 0 {
            call.yield_now().await;
            guest = call.guest();
        }
        let part = piece.min(len - done);
        guest.ctx.charge(u64::from(part) / RANDOM_BYTES_PER_FUEL);
        let process = &guest.ctx.process;
        process.getrandom(guest.memory.slice_mut(buffer + done, part)?);
        done += part;
    }
    Ok(())
}

/// Ends the program. Any code is taken; a parent sees its lowest 8 bits, as on Linux.
pub(super) fn proc_exit(code: u32) -> wasmtime::Error {
    ProcExit(code).into()
}

/// Signals are delivered by the runtime only; a program that wants to abort traps, and wasi-libc's `raise` does not come here.
pub(super) fn proc_raise(_guest: &mut Guest<'_>, signal: u32) -> Result<(), Fail> {
    Err(if signal < SIGNALS { WasiErrno::NotSup } else { WasiErrno::Inval }.into())
}

/// Lets others run.
pub(super) async fn sched_yield<T: HasCtx>(call: &mut Blocking<'_, T>) -> Result<(), Fail> {
    call.yield_now().await;
    Ok(())
}
