//! See `atomfeed_console::fuzzing::feed_page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomfeed_console::fuzzing::feed_page(bytes));
