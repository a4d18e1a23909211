//! How much fuel this host burns in a second, so that `limits.cpu: 500m` means half of one of its CPUs. Measured once, by a loop of loads,
//! arithmetic and branches; what a real program burns differs from it by the mix of its instructions (docs/BENCHMARKS.md).

use wasmtime::{Instance, Module, Store};

use crate::program::{Engine, EngineError};

/// The loop: `(module (memory 1) (func (export "run") (param $n i64) (result i64) …))`. Written in the text format in the test
/// below, which also proves that these are its bytes.
const SPIN: &[u8] = include_bytes!("calibrate.wasm");

/// Turns of one measurement: about 2 ms on a machine of 2026.
const TURNS: i64 = 200_000;
/// Measurements; the fastest counts, because anything else on the host only makes them slower.
const ROUNDS: usize = 3;

impl Engine {
    /// Measures the host: fuel per second of one CPU. Takes some milliseconds; call it away from the main threads.
    ///
    /// # Errors
    /// [`EngineError::Setup`] if the measuring program cannot be run.
    pub fn calibrate(&self) -> Result<u64, EngineError> {
        self.measure().map_err(|error| EngineError::Setup(format!("the host's speed cannot be measured: {error:#}")))
    }

    fn measure(&self) -> wasmtime::Result<u64> {
        let module = Module::from_binary(self.wasmtime(), SPIN)?;
        let mut store = Store::new(self.wasmtime(), ());
        store.set_fuel(u64::MAX)?;
        let instance = Instance::new(&mut store, &module, &[])?;
        let spin = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
        spin.call(&mut store, TURNS / 10)?; // page the code in
        let mut best = 1;
        for _ in 0..ROUNDS {
            let (fuel, start) = (store.get_fuel()?, self.sim().clock().now());
            spin.call(&mut store, TURNS)?;
            let nanos = (self.sim().clock().now() - start).as_nanos().max(1);
            let used = u128::from(fuel - store.get_fuel()?);
            best = best.max(u64::try_from(used * 1_000_000_000 / nanos).unwrap_or(u64::MAX));
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear congruential generator that stores, loads and branches.
    const SPIN_TEXT: &str = r#"(module (memory 1)
        (func (export "run") (param $n i64) (result i64) (local $x i64) (local $at i32)
            (local.set $x (i64.const 88172645463325252))
            (loop $again
                (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
                (local.set $at (i32.and (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 40))) (i32.const 0xfff8)))
                (i64.store (local.get $at) (i64.xor (i64.load (local.get $at)) (local.get $x)))
                (if (i64.lt_s (local.get $x) (i64.const 0))
                    (then (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7)))))
                    (else (local.set $x (i64.add (local.get $x) (i64.load (i32.const 64))))))
                (local.set $n (i64.sub (local.get $n) (i64.const 1)))
                (br_if $again (i64.gt_s (local.get $n) (i64.const 0))))
            (local.get $x)))"#;

    #[test]
    fn the_bytes_are_those_of_the_text() {
        let bytes = wat::parse_str(SPIN_TEXT).expect("the text is well-formed");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/calibrate.wasm"), &bytes).expect("can be written");
        }
        assert_eq!(bytes, SPIN, "run this test with UPDATE=1 to write the bytes anew");
    }

    #[test]
    fn a_host_has_a_speed() {
        let sim = wasmpod_sim::Sim::new_real(Some(1), 1).expect("a runtime");
        let engine = Engine::new(&sim, crate::EngineConfig::default()).expect("an engine");
        let speed = engine.calibrate().expect("it runs");
        assert!(speed > 1_000_000, "{speed} fuel per second is slower than any machine");
    }
}
