//! Headwater's control plane: one source file in, one published version of a title out. The only
//! writer of the store.
//!
//! ```text
//! probe ─► scan ─► source ─► plan ─► ffmpeg ─► remux ─► publish ─► audit ─► title.json
//!  what     every   taken or  grid    chunk by   our      the        every    the commit
//!  is in it frame   refused   ladder  chunk      bytes    store      byte     point
//! ```
//!
//! `queue` holds jobs and tasks, `job` says what they may become, a `worker` does them chunk by chunk:
//! many in the background, or one of its own for `encode`.
//!
//! `version` is the frame of what one process makes, from the lease to the commit; each
//! other module is one station. A version is
//! seen by nobody before `title.json` names it, and `title.json` is replaced last: whatever stops
//! an encode leaves the title as it was.

pub mod api;
pub mod audio;
pub mod audit;
pub mod cancel;
pub mod chunks;
pub mod cost;
pub mod encode;
pub mod error;
pub mod facts;
pub mod fetch;
pub mod fit;
pub mod ffmpeg;
pub mod grid;
pub mod import;
pub mod inspect;
pub mod ladder;
pub mod job;
pub mod language;
pub mod limits;
pub mod look;
pub mod outlook;
pub mod plan;
pub mod points;
pub mod probe;
pub mod publish;
pub mod queue;
pub mod recipe;
pub mod remux;
pub mod report;
pub mod retention;
pub mod sample;
pub mod scan;
pub mod source;
pub mod stitch;
pub mod store;
pub mod text;
pub mod version;
pub mod work;
pub mod worker;

pub use error::{Error, Kind};
