//! libFuzzer's way into [`wasmpod_fuzz_bodies::load`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wasmpod_fuzz_bodies::load::run(data));
