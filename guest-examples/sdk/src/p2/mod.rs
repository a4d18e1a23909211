//! WASI 0.2. The bindings were made by wit-bindgen from `specs/wit` (its README says how).

/// `wasmpod:ipc`.
#[rustfmt::skip]
mod bindings {
    include!("ipc.bindings");
}

/// `wasmpod:process`.
#[rustfmt::skip]
pub(crate) mod process_bindings {
    include!("process.bindings");
}

mod ipc;

pub(crate) use ipc::*;
