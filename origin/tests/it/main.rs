//! The origin as a player, a CDN and an operator see it. One binary, so that it links once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod access;
mod binary;
mod caches;
mod chains;
mod clients;
mod collector;
mod common;
mod damage;
mod docs;
mod edge;
mod h2;
mod joined;
mod key_server;
mod net;
mod operator;
mod overload;
mod proxy;
mod purges;
mod reload;
mod requests;
mod sharing;
mod table;
mod telemetry;
mod tls;
mod token_access;
mod token_handing;
mod token_keys;
mod token_scope;
mod token_tool;
mod tokens;
mod uncopied;
mod upgrade;
mod versions;
mod wire;
