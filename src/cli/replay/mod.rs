//! (being built)
mod dbn_records;
mod lines;
mod pace;
mod source;
