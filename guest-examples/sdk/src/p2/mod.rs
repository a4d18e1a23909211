//! WASI 0.2: bindings that wit-bindgen made from `specs/wit` (its README says how). Owns no API.

/// `wasmpod:ipc`.
#[rustfmt::skip]
pub mod ipc {
    include!("ipc.bindings");
}
