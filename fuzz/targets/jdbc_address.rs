//! See `atomfeed_console::fuzzing::jdbc_address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::jdbc_address(bytes));
