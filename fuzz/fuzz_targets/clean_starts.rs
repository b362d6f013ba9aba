#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringlog::log::fuzz::clean_starts(bytes));
