//! Memories and tables, charged to the memory cgroup as they grow. Past the limit the growth is an error that ends the program, so
//! that it is OOMKilled as on Linux and never sees -1 from `memory.grow`. Owns the charge; not the limit.

use std::sync::Arc;

use wasmpod_kernel::cgroup::Charge;
use wasmpod_kernel::process::Process;
use wasmtime::ResourceLimiter;

use crate::config::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use crate::exit::OutOfMemory;

/// What wasmtime keeps for one element of a table: a pointer, and as much again for its type's side table.
const TABLE_ELEMENT_BYTES: u64 = 16;

pub(crate) struct Limiter {
    process: Arc<Process>,
    /// All memories and tables of the program; given back when the store is dropped.
    charge: Option<Charge>,
}

impl Limiter {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process, charge: None }
    }

    fn charge(&mut self, bytes: u64) -> wasmtime::Result<()> {
        let charged = match &mut self.charge {
            Some(charge) => charge.grow(bytes),
            None => self.process.spec.cgroup.charge(bytes).map(|charge| self.charge = Some(charge)),
        };
        self.process.usage.set_memory(self.charge.as_ref().map_or(0, Charge::bytes));
        charged.map_err(|_| OutOfMemory { wanted: bytes }.into())
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.process.usage.set_memory(0);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // the program's own maximum: the -1 that it asked for
        }
        self.charge(desired.saturating_sub(current) as u64)?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > maximum.unwrap_or(usize::MAX).min(MAX_TABLE_ELEMENTS) {
            return Ok(false);
        }
        self.charge((desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT_BYTES))?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
