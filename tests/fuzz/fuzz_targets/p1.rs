//! libFuzzer's way into [`wasmpod_fuzz_bodies::p1`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wasmpod_fuzz_bodies::p1::run(data));
