//! `wasi:random` over the random stream of the process; "insecure" is only what the guest may call it. Owns nothing.

use super::bindings::random::{insecure, insecure_seed, random};
use crate::{Ctx, MAX_RANDOM};

impl Ctx {
    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_RANDOM {
            return Err(wasmtime::format_err!("{len} random bytes in one call are too many: {MAX_RANDOM} at most"));
        }
        let len = usize::try_from(len)?;
        self.charge_bytes(len);
        let mut bytes = vec![0; len];
        self.process.getrandom(&mut bytes);
        Ok(bytes)
    }

    fn random_u64(&mut self) -> u64 {
        self.charge_bytes(8);
        let mut bytes = [0; 8];
        self.process.getrandom(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl random::Host for Ctx {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure::Host for Ctx {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure_seed::Host for Ctx {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        // the WIT: one value for the life of the program, however often it asks
        if let Some(seed) = self.insecure_seed {
            return Ok(seed);
        }
        let seed = (self.random_u64(), self.random_u64());
        self.insecure_seed = Some(seed);
        Ok(seed)
    }
}
