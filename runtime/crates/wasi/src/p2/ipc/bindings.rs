//! The bindings of `wasmpod:ipc`, generated from the WIT in `specs/wit/ipc`. Owns no behaviour.
#![expect(missing_docs, reason = "generated from WIT, whose text is the documentation")]

wasmtime::component::bindgen!({
    path: "../../../specs/wit/ipc",
    world: "wasmpod:ipc/imports",
    imports: {
        "wasmpod:ipc/mqueue.[method]queue.blocking-send": async | trappable,
        "wasmpod:ipc/mqueue.[method]queue.blocking-receive": async | trappable,
        "wasmpod:ipc/semaphore.[method]semaphore.wait": async | trappable,
        "wasmpod:ipc/shared-memory.[method]segment.wait": async | trappable,
        default: trappable,
    },
    require_store_data_send: true,
    trappable_error_type: { "wasmpod:ipc/types.error-code" => super::IpcError },
    with: {
        "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
        "wasmpod:ipc/mqueue.queue": super::QueueHandle,
        "wasmpod:ipc/mqueue.notification": super::NotificationHandle,
        "wasmpod:ipc/semaphore.semaphore": super::SemaphoreHandle,
        "wasmpod:ipc/shared-memory.segment": super::SegmentHandle,
    },
});

pub use self::wasmpod::ipc::{mqueue, semaphore, shared_memory, types};
