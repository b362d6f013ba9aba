//! (being built)
mod replay;
