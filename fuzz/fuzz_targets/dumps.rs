#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringlog::cli::fuzz::dumps(bytes));
