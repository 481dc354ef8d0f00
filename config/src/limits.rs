//! The bounds of a configuration: allowed ranges of numbers, lengths of lists and names.
//!
//! What no operator sets is bounded where it is read, in the `limits.rs` of that crate.
//! A key's unit is the end of its name. Why an end of a range is where it is stands beside it,
//! unless it is only "more than anyone needs, less than what overflows".

use std::ops::RangeInclusive;

/// Bytes of a configuration file; a larger one is not a configuration.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Bytes of a profile's or an access class's name.
pub const MAX_NAME_BYTES: usize = 32;
/// Bytes of the name that a node has in `Cache-Status` and `CDN-Loop`.
pub const MAX_NODE_NAME_BYTES: usize = 64;
/// Bytes of a title's id; the packager's `TitleId` has the same bound.
pub const MAX_TITLE_ID_BYTES: usize = 128;
/// Bytes of the name of a request header field.
pub const MAX_FIELD_NAME_BYTES: usize = 64;
/// Bytes of a bucket's name, as S3 allows them.
pub const MIN_BUCKET_BYTES: usize = 3;
/// The same, at most.
pub const MAX_BUCKET_BYTES: usize = 63;
/// Bytes of an S3 store's prefix. A key has 1024; the longest behind the prefix has some 250.
pub const MAX_PREFIX_BYTES: usize = 512;
/// Bytes of a region's name.
pub const MAX_REGION_BYTES: usize = 64;

/// Bytes of a token key's id; the origin has the same bound.
pub const MAX_TOKEN_KEY_ID_BYTES: usize = 64;
/// Bytes of the name of a cookie or query parameter.
pub const MAX_TOKEN_NAME_BYTES: usize = 32;
/// Bytes of an audience's name; the origin has the same bound.
pub const MAX_AUDIENCE_BYTES: usize = 128;

/// Bytes of what a service or a run of it is called in its spans.
pub const MAX_SERVICE_NAME_BYTES: usize = 128;

/// Bytes of an address. The longest text that a PlayReady header holds it in has 64 KiB of UTF-16,
/// with up to five characters for one.
pub const MAX_URL_BYTES: usize = 1_024;

/// Allowed values of every number in the configuration. `*` stands for any name, `[]` for any
/// entry of a list.
pub(crate) const RANGES: &[(&str, RangeInclusive<i64>)] = &[
    ("store.s3.connect_timeout_ms", 10..=60_000),
    ("store.s3.attempt_timeout_ms", 10..=600_000),
    // A transfer's speed is looked at over a second; less would cut off what only pauses.
    ("store.s3.stall_timeout_ms", 1_000..=600_000),
    ("store.s3.operation_timeout_ms", 10..=3_600_000),
    ("store.s3.max_attempts", 1..=10),
    // S3 takes no part below 5 MiB but the last, and 10,000 parts.
    ("store.s3.part_size_mib", 5..=1_024),
    ("store.s3.parallel_parts", 1..=64),
    ("origin.workers", 0..=1_024),
    ("origin.grace_s", 0..=3_600),
    ("origin.upgrade_timeout_s", 1..=3_600),
    ("origin.tls.handshake_timeout_s", 1..=300),
    ("origin.tls.certificates_look_s", 0..=86_400),
    ("origin.cache.responses_mib", 0..=1_048_576),
    ("origin.cache.sources_mib", 0..=1_048_576),
    ("origin.cache.titles_mib", 1..=1_048_576),
    ("origin.cache.pointer_ttl_ms", 0..=3_600_000),
    ("origin.cache.pointer_stale_ms", 0..=3_600_000),
    ("origin.cache.pointer_stale_if_error_s", 0..=31_536_000),
    // Longer would hide a title that was just published.
    ("origin.cache.not_found_ttl_ms", 0..=60_000),
    // More is a guess about viewers who leave.
    ("origin.prefetch.segments", 0..=8),
    ("origin.prefetch.memory_mib", 1..=1_048_576),
    ("origin.prefetch.max_concurrent", 1..=1_024),
    ("origin.warm_up.segments", 0..=1_000),
    ("origin.warm_up.max_concurrent", 1..=64),
    ("origin.limits.header_timeout_s", 1..=300),
    ("origin.limits.idle_timeout_s", 1..=3_600),
    ("origin.limits.write_timeout_s", 1..=3_600),
    // The least that the HTTP/1.1 codec takes.
    ("origin.limits.max_header_bytes", 8_192..=1_048_576),
    ("origin.limits.max_headers", 16..=1_024),
    // The longest URL of a title with a 128-byte id, with room for a query.
    ("origin.limits.max_uri_bytes", 512..=65_536),
    ("origin.limits.max_connections", 1..=1_048_576),
    // A browser opens about 100; each costs memory until it ends.
    ("origin.limits.max_streams", 1..=1_024),
    // More would cut off viewers whose network is slow.
    ("origin.limits.min_send_kib_s", 0..=64),
    // Less has no room for a few segments of a good rendition.
    ("origin.limits.max_body_mib", 16..=1_048_576),
    ("origin.limits.max_concurrent_fills", 1..=65_536),
    ("origin.limits.max_waiting_fills", 0..=1_048_576),
    // A player that waits longer has asked elsewhere.
    ("origin.limits.fill_wait_ms", 1..=60_000),
    ("origin.limits.max_lag_ms", 0..=60_000),
    ("origin.limits.max_client_requests", 0..=1_048_576),
    ("origin.limits.max_client_connections", 0..=1_048_576),
    ("origin.telemetry.sample_per_million", 0..=1_000_000),
    // One takes up to 3 KB of memory, mostly less than 1.
    ("origin.telemetry.queue_spans", 1..=65_536),
    // More is a request that collectors refuse: some take no more than 4 MiB.
    ("origin.telemetry.batch_spans", 1..=1_024),
    ("origin.telemetry.batch_wait_ms", 10..=60_000),
    ("origin.telemetry.timeout_ms", 100..=60_000),
    // As certificates: 0 reads keys once.
    ("origin.tokens.look_s", 0..=86_400),
    // Longer, and an expiry says little.
    ("origin.tokens.skew_s", 0..=300),
    // Less than a segment would end a session between two requests.
    ("profiles.*.access.renewal_s", 2..=86_400),
    ("origin.store.read_timeout_ms", 10..=600_000),
    ("origin.store.max_concurrent_reads", 1..=65_536),
    ("origin.store.max_waiting_reads", 0..=1_048_576),
    ("origin.store.read_wait_ms", 1..=600_000),
    // Shorter segments cost more requests than media; longer ones make seeks and switches slow.
    ("profiles.*.segment_ms", 1_000..=60_000),
    // 0 for one period. A day has 86,400 s; a title that is longer than 64 periods has longer ones.
    ("profiles.*.protection.key_period_s", 0..=86_400),
    ("profiles.*.manifest_max_age_s", 0..=86_400),
    ("profiles.*.manifest_stale_s", 0..=604_800),
    ("profiles.*.cdn_manifest_max_age_s", 0..=86_400),
    ("profiles.*.cdn_manifest_stale_s", 0..=604_800),
    ("profiles.*.manifest_stale_if_error_s", 0..=604_800),
    ("profiles.*.keep_manifests_s", 0..=31_536_000),
    ("profiles.*.keep_media_s", 0..=31_536_000),
    // A viewer waits for it, with the first answer of a title.
    ("keys.*.timeout_ms", 100..=60_000),
    ("keys.*.retries", 0..=10),
    // A kilobyte each; an answer with many keys counts as several.
    ("keys.*.cache_entries", 1..=100_000),
    ("encoder.threads", 0..=1_024),
    // A fragment row counts its samples in 16 bits, and players buffer whole fragments.
    ("encoder.gop_ms", 500..=10_000),
    ("encoder.audio_bitrate_kbps", 32..=512),
    ("encoder.stall_s", 5..=3_600),
    ("encoder.cpu_factor", 1..=1_000),
    // 0 would take the title from under its viewers.
    ("encoder.version_grace_h", 1..=8_760),
    ("encoder.ladder[].height", 144..=4_320),
    ("encoder.ladder[].max_bitrate_kbps", 50..=200_000),
    ("encoder.ladder[].crf", 1..=51),
    ("encoder.recipes.*.ladder[].height", 144..=4_320),
    ("encoder.recipes.*.ladder[].max_bitrate_kbps", 50..=200_000),
    ("encoder.recipes.*.ladder[].crf", 1..=51),
    ("encoder.recipes.*.audio[].bitrate_kbps", 16..=512),
    ("encoder.rules[].min_height", 1..=8_192),
    ("encoder.rules[].max_height", 1..=8_192),
    ("encoder.rules[].min_fps", 1..=1_000),
    ("encoder.rules[].max_fps", 1..=1_000),
    ("encoder.rules[].min_channels", 0..=8),
    ("encoder.rules[].min_duration_s", 0..=172_800),
    ("encoder.rules[].max_duration_s", 1..=172_800),
    ("encoder.queue.connections", 1..=64),
    ("encoder.queue.parallel", 0..=1_024),
    ("encoder.queue.chunk_ms", 1_000..=300_000),
    ("encoder.queue.lease_s", 2..=3_600),
    ("encoder.queue.beat_s", 1..=600),
    ("encoder.queue.poll_ms", 50..=60_000),
    ("encoder.queue.failures", 1..=100),
    ("encoder.queue.retry_s", 1..=3_600),
    ("encoder.queue.retry_cap_s", 1..=86_400),
    ("encoder.queue.age_s", 60..=2_592_000),
    ("encoder.queue.keep_days", 1..=3_650),
    ("encoder.queue.min_disk_mib", 0..=1_048_576),
    ("encoder.queue.min_memory_mib", 0..=1_048_576),
];

/// Allowed lengths of lists; a list that is not here is bounded by [`MAX_LIST`].
pub(crate) const LENGTHS: &[(&str, RangeInclusive<usize>)] = &[
    ("origin.listen", 0..=16),
    ("origin.trusted_proxies", 0..=256),
    ("origin.admin_from", 0..=256),
    ("origin.cache_tags", 0..=3),
    ("origin.tls.listen", 0..=16),
    ("origin.tls.certificates", 0..=64),
    ("profiles.*.formats", 1..=2),
    // A secret and its successor; each request is compared with all of them.
    ("profiles.*.access.cdn_secrets", 0..=8),
    ("profiles.*.access.token_keys", 0..=64),
    // Each of them once.
    ("profiles.*.protection.systems", 0..=5),
    ("keys.*.header_secrets", 0..=8),
    ("origin.telemetry.header_secrets", 0..=8),
    ("origin.tokens.keys", 0..=64),
    // A key and its successor.
    ("origin.tokens.own_keys", 0..=4),
    ("origin.tokens.jwks", 0..=16),
    ("encoder.ladder", 1..=16),
    ("encoder.recipes.*.ladder", 1..=32),
    ("encoder.recipes.*.audio", 1..=4),
    ("encoder.rules", 0..=64),
    // Each request is compared with all of them.
    ("encoder.api.keys", 0..=64),
    ("encoder.api.keys[].scopes", 0..=3),
    ("encoder.api.inputs", 0..=64),
];

/// Entries of a list, and profiles.
pub(crate) const MAX_LIST: usize = 1_000;
