//! See `atomfeed_console::fuzzing::old_yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::old_yaml(bytes));
