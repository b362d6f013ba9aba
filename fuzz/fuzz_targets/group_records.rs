#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringlog::group::record::fuzz::group_records(bytes));
