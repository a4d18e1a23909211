//! libFuzzer's way into [`wasmpod_fuzz_bodies::net`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wasmpod_fuzz_bodies::net::run(data));
