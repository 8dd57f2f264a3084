//! See `atomfeed_console::fuzzing::filter_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::filter_query(bytes));
