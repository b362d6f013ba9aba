//! Who reads what: the groups of consumers, as machines without I/O, clock or chance of their own.

pub mod consumer;
