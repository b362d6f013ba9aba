//! (being built)
pub mod checkpoint;
pub mod epochs;
pub mod names;
pub mod producers;
pub mod snapshot;
