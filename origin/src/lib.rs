//! Headwater's data plane: reads stored titles and answers with HLS and DASH.
//!
//! The way of a request, room by room:
//!
//! ```text
//! adapter      a connection: PROXY header, TLS, codecs, time limits, counting what is sent
//! service      the life of a request
//! route        which URL it is
//! profile      the operator's policy, and its rev
//! access       who may have it
//! titles       which version is live; opened versions
//! cache        responses in memory, one fill for all; gate: fills take turns; clients: who has how many
//! prefetch     what is asked for next, kept in ahead; warm: what is expected; preparer: makes all of them
//! make         manifests and inits from an opened version; segments planned
//! segment      media read from the store and checked; sources: kept as it was read; bodies: the memory that takes; chains: whole segments encrypted side by side
//! respond      status and header: conditions, ranges, CORS; failure: the same for errors
//! delivery     the account of an answer: metrics (settled: found once), access_log, telemetry; within: for whom a task works
//! ```
//!
//! Towards proxies and CDNs: `edge` (as configured), `client` (who asked), `trace` (ids), `cdn_loop`,
//! `cache_status`, `cache_tags`, `coding` (gzip), `fields` (what header fields are made of).
//!
//! Beside it: `keys` (what protected media is encrypted with), `peer` (a service that is asked), `store` (what is read, and how),
//! `page` and `title_list` (the player page), `admin` (the other port), `rooms` (all of it put
//! together), `check` (looking before running), `server` (running, until a signal ends it) with
//! `listeners`, `threads`, `signals`, `reload`, `upgrade`, `supervisor`.
//!
//! The crate is a binary; the library is there for its tests and fuzz targets.

pub mod access;
pub mod access_log;
pub mod adapter;
pub mod admin;
pub mod admin_tool;
pub mod ahead;
pub mod bodies;
pub mod cache;
pub mod cache_status;
pub mod cache_tags;
pub mod cdn_loop;
pub mod chains;
pub mod check;
pub mod client;
pub mod clients;
pub mod clock;
pub mod coding;
pub mod delivery;
pub mod edge;
mod errands;
pub mod etag;
pub mod exchange;
pub mod failure;
pub mod fields;
pub mod filing;
mod follow;
pub mod gate;
pub mod lag;
mod key_delivery;
pub mod keys;
pub mod licence;
pub mod lifetimes;
pub mod limits;
pub mod listeners;
pub mod make;
pub mod memory_file;
pub mod metrics;
pub mod open_files;
pub mod page;
mod peer;
pub mod prefetch;
pub mod preparer;
pub mod profile;
pub mod protections;
pub mod proxy_protocol;
pub mod purges;
pub mod range;
pub mod recent;
pub mod reload;
pub mod representation;
pub mod respond;
pub mod rooms;
pub mod route;
pub mod segment;
pub mod selector;
pub mod server;
pub mod service;
pub mod settled;
pub mod signals;
pub mod slices;
pub mod sources;
pub mod start_error;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod title_list;
pub mod titles;
pub mod threads;
pub mod tls;
pub mod token_tool;
pub mod trace;
pub mod upgrade;
pub mod warm;
pub mod within;
