//! A simulated viewer, without sockets and clocks: what a player asks for next, given what came
//! so far and what time it is. Times are since the start of the run.
//!
//! `visit` is what the viewer wants, `player` what the player does about it, with `buffer` (what is
//! downloaded and shown), `abr` (which quality) and `cmcd` (what it tells the server).

pub mod abr;
pub mod buffer;
pub mod cmcd;
pub mod player;
pub mod visit;
pub mod crowd;
