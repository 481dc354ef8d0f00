//! The way to servers: connections that are kept, opened anew where a server closed them, and
//! timed. One thread drives all of them, so that the harness takes one core at most.
//!
//! `network` knows where servers are and how to reach them, `link` is one connection as a client
//! holds it, `tls` whom it believes.

mod link;
mod network;
mod tls;

pub use link::{Answer, Ask, Keep, Link, Reply, Shared};
pub use network::{Network, Place, Speak, Version};
