//! Fetch sessions (KIP-227): what a client fetches again and again, so that a request and its answer name only what changed.
//!
//! [`FetchSession`] is one session, [`FetchSessions`] those that a core keeps. Both are decisions without I/O: time, chance and what
//! was read come in, what is to be read and answered comes out. A session lives on the core of the connection that made it.
//!
//! The cost of a request is what changed. A partition of a session is *ready* when it may have something to answer: it is
//! new, the client moved its offset, its last read found something or failed, or its owner told of a change. Only
//! those are read. One that was read to its end and has nothing new is idle: its owner holds an
//! [`Interest`](crate::partition::Interest) in it, and tells of its next change.

mod cache;
mod session;
#[cfg(test)]
mod tests;

pub use cache::{Ended, FetchContext, FetchSessions, SessionOpening, SessionRequest, home};
pub use session::{FetchTopicName, Planned, SessionPartition};
