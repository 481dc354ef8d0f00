//! Bounds that no operator needs to turn.

use std::time::Duration;

/// How often a body is asked for when it breaks off. The SDK repeats requests whose answer does
/// not begin; a body that ends too soon is ours to ask for again.
pub const BODY_ATTEMPTS: u32 = 2;
/// Entries of one page of a listing, the most that S3 gives.
pub const PAGE: usize = 1000;
/// Pages of one listing, empty ones included: a server that repeats itself is left.
pub const PAGES: usize = 10_000;
/// How long an unused connection is kept. Amazon S3 drops them after some 20 seconds.
pub const IDLE: Duration = Duration::from_secs(15);
/// Waiting before the second attempt, before jitter; it doubles from there.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Waiting before any attempt.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// The speed that every upload is granted, in bytes a second, beyond its request's time limit.
pub const UPLOAD_BYTES_PER_S: u64 = 256 * 1024;
/// Parts of one upload (Amazon S3 User Guide, "Multipart upload limits").
pub const PARTS: u64 = 10_000;
/// Bytes of `store.s3.ca_file`; all authorities that browsers know together are a quarter of it.
pub const CA_FILE_BYTES: u64 = 1024 * 1024;
/// Characters of a foreign error's text that are repeated.
pub const CAUSE_CHARS: usize = 400;
