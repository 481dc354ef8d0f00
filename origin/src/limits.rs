//! Bounds of the data plane that no operator needs to turn. What an operator may turn lives in the
//! configuration, with its own bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Tasks that a thread runs between two looks at its sockets, where there are so many. Four were no better and
/// two or sixteen worse, by a turn of each, for who is answered when processors have three times too much to do.
pub const TASKS_BETWEEN_SOCKETS: u32 = 8;
/// Between two looks at how late the serving threads are.
pub const LAG_PAUSE: Duration = Duration::from_millis(5);
/// The same while they are too late: all that is let in between two looks waits for each other.
pub const LAG_SHORT_PAUSE: Duration = Duration::from_millis(1);
/// How often in a row, and for how long, they are too late until media is refused.
pub const LAG_WAITS: u32 = 3;
/// See [`LAG_WAITS`].
pub const LAG_STANDS: Duration = Duration::from_millis(100);
/// How long they are not too late until that is over.
pub const LAG_IS_OVER: Duration = Duration::from_secs(1);

/// Reads at a time of what is small and all hangs on (pointers, probes, lists), beside `max_concurrent_reads`.
pub const SMALL_READS: usize = 64;
/// Reads of pointers that wait their turn.
pub const WAITING_POINTERS: usize = 1_024;
/// For how long.
pub const POINTER_WAIT: Duration = Duration::from_secs(1);

/// Bytes of a CDN's secret: 16 are 128 bits at best, and a header has room for 512.
pub const CDN_SECRET_BYTES: RangeInclusive<usize> = 16..=512;
/// Bytes of a file or variable that holds a secret.
pub const SECRET_FILE_BYTES: usize = 16 * 1024;
/// Bytes of a secret that keys are derived from, at least.
pub const MASTER_BYTES: usize = 16;
/// Bytes of a file of keys.
pub const KEY_FILE_BYTES: usize = 4 * 1024 * 1024;
/// Entries of a file of keys.
pub const KEY_FILE_ENTRIES: usize = 20_000;
/// Bytes of a key server's answer: each key with what it says of a few systems.
pub const CPIX_BYTES: usize = 4 * 1024 * 1024;
/// Elements in each other of a key server's answer; CPIX has seven.
pub const CPIX_DEPTH: usize = 16;
/// Keys of a key server's answer: five labels in each of 64 key periods.
pub const CPIX_KEYS: usize = 320;
/// Characters of a key in it: 16 bytes are 24, beside some white space.
pub const CPIX_VALUE_BYTES: usize = 64;
/// Characters of what a key server's answer says of one key to players of one system, in base64.
pub const CPIX_SIGNAL_BYTES: usize = 32 * 1024;
/// Characters of a key's URI in it.
pub const CPIX_URI_BYTES: usize = 1_024;
/// Requests to one key server at a time; others wait.
pub const KEY_REQUESTS: usize = 16;
/// How long a key server that could not be asked is left alone.
pub const KEY_TROUBLE: Duration = Duration::from_secs(1);
/// Mean pause before a key server is asked a second time.
pub const KEY_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often that pause is doubled at most.
pub const KEY_RETRY_DOUBLINGS: u32 = 5;
/// Entity tags looked at in one If-Match or If-None-Match.
pub const ENTITY_TAGS: usize = 64;
/// Codings looked at in Accept-Encoding.
pub const CODINGS: usize = 32;
/// Bytes of a text from which on it is sent as gzip: less fits into the first packet anyway.
pub const CODED_BYTES: usize = 512;
/// Hops looked at in Forwarded and X-Forwarded-For, from the right.
pub const FORWARDED_HOPS: usize = 32;
/// CDNs that a request may have passed (RFC 8586); with more it is taken for a loop of others.
pub const CDN_HOPS: usize = 32;
/// Bytes of a request's id that is taken from a trusted proxy.
pub const REQUEST_ID_BYTES: usize = 128;
/// Bytes given to the codec at a time: small enough to count what was sent, large enough to cost
/// nothing (slices of 256 KiB and more are as cheap as one whole body).
pub const FRAME_BYTES: usize = 256 * 1024;
/// The same for a body in a file of memory, which the kernel takes in fewer calls; so much may be
/// counted as sent that was not.
pub const FILED_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of an answer that is sent from a file of memory. A socket that holds one page of a huge one
/// keeps all of it, so many short answers would keep many times what they are.
pub const LEAST_UNCOPIED_BYTES: u64 = 1024 * 1024;
/// Bytes of a slice of it that takes a call of its own; less goes with what is before it.
pub const LEAST_SENDFILE_BYTES: usize = 16 * 1024;
/// Files of memory: each is a mapping, of which Linux gives a process 65,530.
pub const MEMORY_FILES: usize = 16_384;
/// One in so many of the descriptors that the process may have is for them.
pub const MEMORY_FILES_SHARE: u64 = 4;
/// How long no more are made where the system refused one.
pub const MEMORY_FILES_PAUSE: Duration = Duration::from_secs(10);
/// How often huge pages are asked for where the system is busy with them just now.
pub const HUGE_PAGE_TRIES: u32 = 3;
/// Bytes of one media segment: a plan above it is refused before anything is read.
pub const SEGMENT_BYTES: u64 = 512 * 1024 * 1024;
/// Cache-Control of a 404 of a well-formed URL: seconds that a shared cache may believe it.
pub const NOT_FOUND_CACHE_CONTROL: &str = "public, max-age=2";
/// The least that somebody waits for a turn where turns are waited for all the time.
pub const LEAST_PATIENCE: Duration = Duration::from_millis(1);
/// How often the log says that requests are refused for want of turns.
pub const OVERLOAD_TOLD_EVERY: Duration = Duration::from_secs(10);
/// How long a segment that was made ahead waits for somebody to ask for it.
pub const AHEAD_TTL: Duration = Duration::from_secs(60);
/// Requests for segments that are remembered, to know who asks in order.
pub const FOLLOWED: u64 = 65_536;
/// How long each of them is.
pub const FOLLOWED_TTL: Duration = Duration::from_secs(60);
/// Bytes of a next object's name that is looked at.
pub const NEXT_OBJECT_BYTES: usize = 1_024;
/// Titles in one request of an operator's, to let them go or to make them ready.
pub const NAMED_TITLES: usize = 1_000;
/// Seconds after which a client may ask again for what failed for now.
pub const RETRY_AFTER_S: u32 = 2;
/// Bytes of a user agent kept in the access log.
pub const USER_AGENT_BYTES: usize = 200;
/// Bytes of a text in a span: a path or key that is longer is none of ours, and is cut.
pub const SPAN_TEXT_BYTES: usize = 512;
/// Bytes of a collector's answer.
pub const TELEMETRY_ANSWER_BYTES: usize = 64 * 1024;
/// Characters of what a collector complains of in the log.
pub const TELEMETRY_TOLD_CHARS: usize = 200;
/// How often a batch of spans is sent at most.
pub const TELEMETRY_TRIES: u32 = 4;
/// Mean pause before a batch is sent a second time; it doubles with each.
pub const TELEMETRY_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The longest that a collector may ask for with Retry-After.
pub const TELEMETRY_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long a stopping process waits for the collector.
pub const TELEMETRY_PATIENCE: Duration = Duration::from_secs(3);
/// Access-log lines waiting for the disk; more are dropped and counted.
pub const ACCESS_LOG_LINES: usize = 8192;
/// How long the access log gathers lines before it writes them.
pub const ACCESS_LOG_BATCH: Duration = Duration::from_millis(50);
/// Bytes of the access log written at once.
pub const ACCESS_LOG_WRITE_BYTES: usize = 64 * 1024;
/// How long a stopping process waits for the access log's disk.
pub const ACCESS_LOG_PATIENCE: Duration = Duration::from_secs(5);
/// Titles in one answer of `/titles.json`.
pub const LISTED_TITLES: usize = 1000;
/// Titles of that answer that are opened at the same time: a small share of the reads that the
/// store takes, so that players do not wait for a list.
pub const LISTED_AT_ONCE: usize = 16;
/// How long that answer is waited for. Titles that are not open by then are left out; they go on
/// being opened, so the next answer has them.
pub const LIST_TIME: Duration = Duration::from_secs(3);
/// Names looked at in the store's folder of titles while listing.
pub const LISTED_NAMES: usize = 100_000;
/// How long `/readyz` relies on its last look at the store, and `/titles.json` on its last list.
pub const LOOK_TTL: Duration = Duration::from_secs(1);
/// Titles whose pointer is remembered.
pub const POINTERS: u64 = 100_000;
/// How long a title's pointer is waited for where the last one is known and may be used meanwhile.
pub const POINTER_PATIENCE: Duration = Duration::from_secs(1);
/// Keys that a licence request may ask for: a title has a few for each key period.
pub const LICENCE_KEYS: usize = 64;
/// Bytes of a licence request: that many ids and what stands around them.
pub const LICENCE_REQUEST_BYTES: usize = 4096;
/// Titles of a profile whose `rev` is remembered, where each has its own.
pub const REVS: usize = 10_000;
/// Kilobytes of versions that are kept ready to encrypt: a track takes about one for each key period,
/// and eight besides.
pub const PROTECTED_KB: u64 = 32_768;
/// How long they, and the keys of a session, are kept when nobody asks: who left does not come back.
pub const KEYS_IDLE: Duration = Duration::from_secs(3_600);
/// Versions whose highest `seq` is remembered.
pub const SEQS: u64 = 100_000;
/// Seconds given to running responses after Ctrl-C, where SIGTERM gives the configured grace.
pub const INTERRUPT_GRACE_S: u32 = 2;
/// Characters of an access token; a longer text is none.
pub const TOKEN_BYTES: usize = 2048;
/// Keys that tokens may be signed with.
pub const TOKEN_KEYS: usize = 256;
/// Tokens of public keys that are remembered once their signatures were found good.
pub const VERIFIED_TOKENS: u64 = 10_000;
/// Bytes of a key's id.
pub const KEY_ID_BYTES: usize = 64;
/// Bytes of a content key's label in a token.
pub const LABEL_BYTES: usize = 32;
/// Bytes of a session's id in a token.
pub const SESSION_ID_BYTES: usize = 64;
/// Bytes of an audience in a token.
pub const AUDIENCE_BYTES: usize = 128;
/// Listeners that are handed to a successor: more than a configuration can name.
pub const HANDED_LISTENERS: usize = 64;
/// Bytes of the line that offers them.
pub const OFFER_BYTES: usize = 8 * 1024;
/// How long each side of an upgrade waits for a word that needs no work.
pub const HANDOVER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a kept HTTP/1.1 connection may wait with its last request once a successor listens.
pub const LAST_REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long a client that is told why its HTTP/2 connection ends is given to take the words.
pub const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes given to HTTP/2's codec at a time, as the stream's window allows.
pub const H2_PIECE_BYTES: usize = 64 * 1024;
/// Bytes of request bodies that a client may send before they are refused.
pub const H2_BODY_WINDOW_BYTES: u32 = 16 * 1024;
/// Streams that were reset and of which late frames are still expected.
pub const H2_REMEMBERED_RESETS: usize = 32;
/// Streams that a client may take back before they are even looked at.
pub const H2_RESETS_BEFORE_ACCEPT: usize = 32;
/// Streams of a connection that may fail by the client's fault.
pub const H2_STREAM_ERRORS: usize = 128;
/// Bytes that an HTTP/2 client may send in frames that ask for nothing: SETTINGS, PING, PRIORITY
/// and the like cost it little and us the work. It gains as many again by [`H2_CREDIT_BYTES_S`],
/// by asking, and by taking answers: no more than these at a time.
pub const H2_CREDIT_BYTES: i64 = 256 * 1024;
/// What it gains each second: keep-alives, and changes of mind.
pub const H2_CREDIT_BYTES_S: i64 = 4 * 1024;
/// Bytes of an answer that gain it one: window updates are a thousandth of what they let through.
pub const H2_CREDIT_SHARE: i64 = 16;
/// Streams that a client may take back beyond as many as it lets end.
pub const H2_FREE_RESETS: u64 = 128;
/// Bytes of a file with certificates or a key.
pub const PEM_BYTES: u64 = 256 * 1024;
/// TLS sessions remembered for clients of version 1.2 that take no tickets.
pub const TLS_SESSIONS: usize = 4096;
/// Days before a certificate's end from which on `check` and the log speak of it.
pub const CERTIFICATE_WORRY_DAYS: i64 = 14;
