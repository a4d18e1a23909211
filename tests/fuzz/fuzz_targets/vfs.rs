//! libFuzzer's way into [`wasmpod_fuzz_bodies::vfs`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wasmpod_fuzz_bodies::vfs::run(data));
