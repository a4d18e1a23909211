//! The bindings of `wasmpod:process`, generated from the WIT in `specs/wit/process`. Owns no behaviour.
#![expect(missing_docs, reason = "generated from WIT, whose text is the documentation")]

wasmtime::component::bindgen!({
    path: "../../../specs/wit/process",
    world: "wasmpod:process/imports",
    imports: { default: trappable },
    require_store_data_send: true,
    trappable_error_type: { "wasmpod:process/types.error-code" => super::ProcessError },
    with: {
        "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
        "wasmpod:process/signals.signal-fd": super::SignalHandle,
    },
});

pub use self::wasmpod::process::{processes, signals, types};
