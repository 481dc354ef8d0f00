//! The whole, from a source to what players read: one binary, so that titles are encoded once.
//!
//! - `truth`: frame k is frame k and a beep is on its second, whichever way a player takes.
//! - `real`: real footage.
//! - `readers`: what we write, read by others.
//! - `rules`: the rules that packagers break, by their numbers in docs/rules.md.
//! - `laws`: ranges, entity tags, revisions, segment lengths.
//! - `handed_keys`: who gets a key.
//! - `protected`: what leaves under a key, decrypted by others.
//! - `ciphers`: every codec under every scheme, decrypted by others.
//! - `damage`: a store that is not what it was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod ciphers;
mod codecs;
mod damage;
mod handed_keys;
mod laws;
mod protected;
mod readers;
mod real;
mod rules;
mod signalling;
mod truth;
