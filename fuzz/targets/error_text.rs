//! See `atomfeed_console::fuzzing::error_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::error_text(bytes));
