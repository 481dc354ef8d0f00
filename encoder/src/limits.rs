//! Bounds on what the encoder takes from outside: sources, ffmpeg's words and its output.

use std::time::Duration;

/// Bytes of ffprobe's JSON about one source.
pub const PROBE_JSON_BYTES: usize = 4 * 1024 * 1024;
/// Bytes kept of one line that ffmpeg or ffprobe writes; the rest of it is dropped.
pub const LINE_BYTES: usize = 8 * 1024;
/// Last lines of ffmpeg's log that an error or `facts.json` repeats.
pub const LOG_LINES: usize = 12;
/// Bytes kept of each of them with a task's result.
pub const HEARD_LINE_BYTES: usize = 1024;
/// Bytes of an object that is a source: what a bucket of Amazon S3 took for long.
pub const OBJECT_BYTES: u64 = 5 << 40;
/// Bytes of a source that are asked for at once, whole blocks of its copy. What is on its way is lost when
/// who asked is stopped.
pub const FETCH_BYTES: u64 = 2 << 20;
/// How many such requests of one source are on their way: their bytes are in memory.
pub const FETCHES_AT_ONCE: usize = 4;
/// How long one process waits before it asks whether another one fills the same copy.
pub const FETCH_TURN: Duration = Duration::from_millis(50);
/// Bytes that were asked for of a source before the queue is told of them.
pub const FETCH_TOLD_BYTES: u64 = 64 << 20;
/// Boxes of the outermost level of a source of the MP4 family, where chunks are made of parts of it.
pub const SOURCE_BOXES: usize = 1_000;
/// How often copies of sources are looked at that may not be needed any more.
pub const COPIES_LOOK: Duration = Duration::from_secs(30);
/// Streams of a source, of any kind.
pub const STREAMS: usize = 64;
/// Frames of a source: a day at 60 frames a second.
pub const FRAMES: usize = 24 * 3600 * 60;
/// Length of a title: two days. What is longer is a slip of the source's clock.
pub const SECONDS: u32 = 172_800;
/// How long one frame stands. A fragment holds a frame at least, and at most 65,535 frames of
/// sound, which are 1,398 s.
pub const FRAME_SECONDS: u32 = 600;
/// Pixels of a decoded frame (8192 x 4320); more is refused before memory is taken.
pub const PIXELS: u64 = 8192 * 4320;
/// Shortest side of a source in pixels; x264 and players have trouble below.
pub const LEAST_SIDE: u32 = 32;
/// Frames a second of a title; a faster source gives each second, third, ... of its frames.
pub const FRAMES_PER_SECOND: u32 = 60;
/// Numerator of a frame rate. 60000/1001 needs 60,000; what needs more is measuring noise.
pub const RATE_NUMERATOR: u32 = 1_000_000;
/// Bytes that boxes may take in a copy of a small file.
pub const COPY_BYTES: u64 = 64 << 20;
/// Files of a ladder that is imported.
pub const LADDER_FILES: usize = 64;
/// Longest stretch without a key frame that all renditions of an imported ladder share, in seconds.
pub const FRAGMENT_SECONDS: f64 = 10.0;
/// Sounds of a title.
pub const SOURCE_SOUNDS: usize = 16;
/// Texts of a title.
pub const TEXTS: usize = 32;
/// Bytes of a file of subtitles.
pub const TEXT_BYTES: u64 = 16 << 20;
/// Cues of a text.
pub const CUES: usize = 100_000;
/// Channels of a source's sound.
pub const CHANNELS: u32 = 8;
/// Bytes of a moof that ffmpeg writes, of which one holds at most a GOP or two seconds of sound.
pub const MOOF_BYTES: u64 = 1024 * 1024;
/// Bytes of a source's moov, which describes each sample: of some days.
pub const SOURCE_MOOV_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a moov of a fragmented file, which holds no samples.
pub const MOOV_BYTES: u64 = 1024 * 1024;
/// Reads and seeks that a second reader may need for ffmpeg's header; it takes some hundred.
pub const OPINION_STEPS: u32 = 100_000;
/// Bytes read at once when stored bytes are checked; a fragment is read whole.
pub const READ_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of the note that says since when a version is displaced.
pub const NOTE_BYTES: usize = 1024;
/// How long ffprobe may think about a source's header.
pub const PROBE_TIME: Duration = Duration::from_secs(120);
/// Files that ffmpeg may hold open: its libraries, inputs and one output for each track.
pub const OPEN_FILES: u32 = 256;
/// Names in one of ffmpeg's lists.
pub const LISTED_NAMES: usize = 10_000;
/// CPU seconds for a source's headers.
pub const PROBE_CPU_S: u64 = 120;
/// Address space of an ffprobe.
pub const PROBE_MEMORY_BYTES: u64 = 4 << 30;
/// Bytes of a source that are surely taken apart into packets in a CPU second; small packets of
/// sound are the slowest.
pub const PACKET_BYTES_PER_CPU_S: u64 = 1_000_000;
/// Media seconds that are decoded again to find where a damaged source is damaged.
pub const LOCATE_SECONDS: u32 = 120;
/// How much of a file may lie behind its last packet before it counts as cut off, in seconds.
pub const TRUNCATION_SLACK_SECONDS: f64 = 1.0;
/// Objects under one prefix of a bucket.
pub const LISTED_OBJECTS: usize = 1_000_000;
/// Bytes of a fault's text that a queue keeps.
pub const FAULT_BYTES: usize = 2 * 1024;
/// Bytes of a task's result; one names some objects for each rendition.
pub const RESULT_BYTES: usize = 256 * 1024;
/// How often it is looked what an ffmpeg that goes on has closed of a sound.
pub const SOUND_LOOK: Duration = Duration::from_millis(250);
/// Bytes of what names a source.
pub const INPUT_BYTES: usize = 4 * 1024;
/// Chunks of a title: two days in chunks of two seconds.
pub const CHUNKS: usize = 86_400;
/// Tracks of sound of a title.
pub const SOUNDS: u32 = 128;
/// Bytes of a track's id.
pub const TRACK_BYTES: usize = 256;
/// Bytes of a worker's name, and of what names a build of its tools.
pub const WORKER_BYTES: usize = 256;
/// Tasks that the clock changes in one transaction.
pub const TICK_TASKS: i64 = 64;
/// Jobs that one transaction forgets.
pub const FORGOTTEN_JOBS: i64 = 16;
/// Entries of one page of a list.
pub const PAGE_ENTRIES: u32 = 200;
/// How long to wait for a connection to the queue's database.
pub const DATABASE_WAIT: Duration = Duration::from_secs(10);
/// How often a transaction that lost a race is begun again.
pub const RACES: u32 = 6;
/// Rows that one statement adds: SQLite takes 32,766 values, PostgreSQL 65,535.
pub const BATCH_ROWS: usize = 200;
/// Bytes of a request's body to the job API.
pub const API_BODY_BYTES: usize = 64 * 1024;
/// How long a client may take for it.
pub const API_BODY_TIME: Duration = Duration::from_secs(10);
/// Header fields of a request to it.
pub const API_HEADERS: usize = 64;
/// How long a client may take for them.
pub const API_HEADER_TIME: Duration = Duration::from_secs(10);
/// Connections to it at once.
pub const API_CONNECTIONS: usize = 256;
/// How long the answer that a connection is at may take when the service stops.
pub const API_GRACE: Duration = Duration::from_secs(2);
/// Pause after a connection that could not be accepted.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of an API key: 128 random bits as hex at least.
pub const API_KEY_LEAST_BYTES: usize = 32;
/// The same, at most.
pub const API_KEY_BYTES: usize = 512;
/// Entries of a page where a client does not say how many.
pub const USUAL_PAGE_ENTRIES: u32 = 50;
/// Events that wait for a slow client.
pub const EVENTS_AHEAD: usize = 16;
/// How often the queue is asked for new ones.
pub const EVENTS_LOOK: Duration = Duration::from_secs(1);
/// After so many looks without an event a client is sent a comment.
pub const EVENTS_QUIET: u32 = 15;
/// Bytes of a job's plan: what was found of its source, grids of all its sounds, its texts.
pub const PLAN_BYTES: usize = 64 << 20;
/// Bytes of the plans that a worker keeps, as they are stored.
pub const KNOWN_PLANS_BYTES: usize = 128 << 20;
/// How often a worker sweeps what dead ones left.
pub const LEFTOVERS_LOOK: Duration = Duration::from_secs(600);
/// How often a worker without a task looks whether others' tools are all that is waited for.
pub const STRANDED_LOOK: Duration = Duration::from_secs(60);
/// How long a write to a store may still be carried out after whoever asked for it was given up.
pub const UNSURE_TIME: Duration = Duration::from_secs(600);
/// How long the tasks of a worker that is stopped may take to be given back.
pub const STOP_TIME: Duration = Duration::from_secs(8);
/// How long work that is given up may take to clean up.
pub const ABORT_TIME: Duration = Duration::from_secs(4);
/// How long a worker waits when somebody else writes a title.
pub const TAKEN_PAUSE: Duration = Duration::from_secs(2);
/// Pause before a database that does not answer is asked again.
pub const DATABASE_PAUSE: Duration = Duration::from_millis(500);
