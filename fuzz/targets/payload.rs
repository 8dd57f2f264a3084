//! See `atomfeed_console::fuzzing::payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::payload(bytes));
