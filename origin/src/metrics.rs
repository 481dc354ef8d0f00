//! What the origin counts. docs/metrics.md lists the same, which a test compares.
//!
//! Counters rise where the thing happens; gauges of caches are set when they are asked for.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::settled::Settled;

/// First part of every name.
const PREFIX: &str = "headwater_origin_";
/// Upper bounds of latency buckets in seconds: a warm answer is tens of microseconds, a cold one
/// a few reads, and the last ones are time limits.
const LATENCY_S: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];

/// Every metric of the origin.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    /// Those that every request moves.
    pub settled: Settled,
    /// Requests answered, or left by their client.
    pub requests: IntCounterVec,
    /// Time to the answer.
    pub answer_seconds: HistogramVec,
    /// Body bytes sent.
    pub sent_bytes: IntCounterVec,
    /// Requests that failed.
    pub failures: IntCounterVec,
    /// Requests refused.
    pub refusals: IntCounterVec,
    /// Tokens and cookies handed out.
    pub token_grants: IntCounterVec,
    /// Looks into the response cache.
    pub cache_lookups: IntCounterVec,
    /// Responses made for the cache.
    pub cache_fills: IntCounterVec,
    /// Responses in the cache.
    pub cache_entries: IntGauge,
    /// Bytes in the cache.
    pub cache_bytes: IntGauge,
    /// Segments in files of memory.
    pub memory_files: IntGauge,
    /// Files of memory that were not made.
    pub memory_file_refusals: IntCounterVec,
    /// Bytes sent without a copy.
    pub uncopied_bytes: IntCounter,
    /// Bytes of segments that are being read or sent, or are in the cache.
    pub body_bytes: IntGauge,
    /// Looks into the response cache by profile.
    pub profile_lookups: IntCounterVec,
    /// Looks for stored media in memory.
    pub source_lookups: IntCounterVec,
    /// Ranges of stored media in memory.
    pub source_entries: IntGauge,
    /// Their bytes.
    pub source_bytes: IntGauge,
    /// Segments made ahead.
    pub prefetches: IntCounterVec,
    /// Bytes of those that wait.
    pub prefetch_bytes: IntGauge,
    /// Responses made ready.
    pub warmed: IntCounterVec,
    /// What purges let go.
    pub purged: IntCounterVec,
    /// Turns taken now.
    pub turns_taken: IntGaugeVec,
    /// Who waits for one now.
    pub turns_waiting: IntGaugeVec,
    /// How late the serving threads are.
    pub lag_seconds: Histogram,
    /// Who got none.
    pub turns_refused: IntCounterVec,
    /// Clients that had too much at a time.
    pub client_refusals: IntCounterVec,
    /// Looks for pointers.
    pub pointer_lookups: IntCounterVec,
    /// Looks for opened versions.
    pub title_lookups: IntCounterVec,
    /// Titles opened.
    pub title_loads: IntCounterVec,
    /// Titles in the cache.
    pub titles_open: IntGauge,
    /// Bytes of opened titles.
    pub titles_bytes: IntGauge,
    /// Pointers that could not be read again.
    pub stale_pointers: IntCounter,
    /// Reads from the store.
    pub store_reads: IntCounterVec,
    /// Bytes from the store.
    pub store_read_bytes: IntCounter,
    /// Time of a read.
    pub store_read_seconds: Histogram,
    /// Failed reads.
    pub store_errors: IntCounterVec,
    /// Damage found.
    pub damage: IntCounterVec,
    /// Connections now.
    pub connections_open: IntGauge,
    /// Connections ever.
    pub connections: IntCounter,
    /// Connections by what they speak.
    pub connection_protocols: IntCounterVec,
    /// Connections ended by a fault.
    pub connection_faults: IntCounterVec,
    /// HTTP/2 streams ended by a fault.
    pub stream_faults: IntCounterVec,
    /// TLS handshakes.
    pub tls_handshakes: IntCounterVec,
    /// When certificates expire.
    pub tls_certificate_expiry_seconds: IntGaugeVec,
    /// Attempts to read certificates.
    pub tls_certificate_reads: IntCounterVec,
    /// Reloads of the configuration.
    pub reloads: IntCounterVec,
    /// Upgrades that came to nothing.
    pub upgrades_refused: IntCounter,
    /// Which configuration is in use.
    pub config_info: IntGaugeVec,
    /// Since when.
    pub config_loaded_seconds: IntGauge,
    /// Lines that the access log had no room for.
    pub access_log_dropped: IntCounter,
    /// What became of spans.
    pub telemetry_spans: IntCounterVec,
}

/// A metric as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Whole name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names.
    pub labels: Vec<String>,
    /// What it means, as /metrics says it too.
    pub meaning: String,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut new = Catalogue::default();
        let build = new.gauges(
            "build_info",
            "Always 1; the release and the output format of this binary",
            &["version", "format"],
        );
        build
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                &headwater_packager::FORMAT_VERSION.to_string(),
            ])
            .set(1);
        Self {
            requests: new.counters(
                "requests_total",
                "Requests by kind of resource and status; 499 is no answer, the client left before one \
                 was ready",
                &["kind", "status"],
            ),
            answer_seconds: new.histograms(
                "answer_duration_seconds",
                "Time from a request's header to the answer being ready to send",
                &["kind"],
            ),
            sent_bytes: new.counters(
                "sent_bytes_total",
                "Body bytes given to connections, by kind of resource",
                &["kind"],
            ),
            failures: new.counters(
                "failures_total",
                "Requests that ended with an error, by the error's name",
                &["error"],
            ),
            refusals: new.counters(
                "refusals_total",
                "Requests refused for want of access, by the reason",
                &["reason"],
            ),
            token_grants: new.counters(
                "token_grants_total",
                "Tokens and cookies handed to viewers; grant is exchange (for a single URL), path or \
                 cookie (renewals)",
                &["grant"],
            ),
            cache_lookups: new.counters(
                "cache_lookups_total",
                "Looks into the response cache; outcome is hit or miss",
                &["outcome"],
            ),
            cache_fills: new.counters(
                "cache_fills_total",
                "Responses made after a miss; outcome is kept, too_large, purged (while it was made) or failed",
                &["outcome"],
            ),
            cache_entries: new.gauge("cache_entries", "Responses in the cache"),
            cache_bytes: new.gauge("cache_bytes", "Memory pinned by the response cache"),
            memory_files: new.gauge(
                "memory_files",
                "Segments in files of memory, from which plain HTTP/1.1 sends them without a copy",
            ),
            memory_file_refusals: new.counters(
                "memory_file_refusals_total",
                "Files of memory that were not made; reason is system, room (memory for bodies) or places (descriptors)",
                &["reason"],
            ),
            uncopied_bytes: new.counter(
                "uncopied_bytes_total",
                "Bytes that were sent from files of memory without a copy",
            ),
            body_bytes: new.gauge(
                "body_bytes",
                "Memory of segments in the response cache, being read, and being sent",
            ),
            profile_lookups: new.counters(
                "profile_lookups_total",
                "Looks into the response cache by profile; outcome is hit or miss",
                &["profile", "outcome"],
            ),
            source_lookups: new.counters(
                "source_lookups_total",
                "Looks for stored media in memory; outcome is hit or miss",
                &["outcome"],
            ),
            source_entries: new.gauge("source_entries", "Ranges of stored media in memory"),
            source_bytes: new.gauge("source_bytes", "Memory pinned by stored media"),
            prefetches: new.counters(
                "prefetches_total",
                "Segments made ahead; outcome is made, then used or unused; or failed, too_large, busy \
                 (it was not even begun) or purged",
                &["outcome"],
            ),
            prefetch_bytes: new
                .gauge("prefetch_bytes", "Memory pinned by segments that were made ahead"),
            warmed: new.counters(
                "warmed_total",
                "Responses of warm-ups; outcome is made, there (it was in the cache) or failed",
                &["outcome"],
            ),
            purged: new.counters(
                "purged_total",
                "What purges let go; tier is responses, sources, versions or pointers",
                &["tier"],
            ),
            turns_taken: new.gauges(
                "turns_taken",
                "Work being done that takes turns; work is fills, reads or pointers",
                &["work"],
            ),
            lag_seconds: new.histogram(
                "lag_seconds",
                "Time for which what was ready waited for a serving thread",
            ),
            turns_waiting: new.gauges(
                "turns_waiting",
                "Work that waits for its turn; work is fills, reads or pointers",
                &["work"],
            ),
            turns_refused: new.counters(
                "turns_refused_total",
                "Work refused for want of a turn; reason is queue_full, too_long (it would have waited) or \
                 waited_in_vain; of processors it is late",
                &["work", "reason"],
            ),
            client_refusals: new.counters(
                "client_refusals_total",
                "Clients that had too much at a time; limit is requests or connections",
                &["limit"],
            ),
            pointer_lookups: new.counters(
                "pointer_lookups_total",
                "Looks for a title's pointer; outcome is hit, stale (used while the store is asked) or miss",
                &["outcome"],
            ),
            title_lookups: new.counters(
                "title_lookups_total",
                "Looks for an opened version; outcome is hit, absent (known to be missing) or miss",
                &["outcome"],
            ),
            title_loads: new.counters(
                "title_loads_total",
                "Heads read and opened; outcome is opened, absent or failed",
                &["outcome"],
            ),
            titles_open: new.gauge("titles_open", "Opened versions in the title cache"),
            titles_bytes: new.gauge("titles_bytes", "Memory pinned by the title cache"),
            stale_pointers: new.counter(
                "stale_pointers_total",
                "Times a title's pointer could not be read again and the last one stayed in use",
            ),
            store_reads: new.counters(
                "store_reads_total",
                "Reads from the store; part is pointer, heads, media, list or probe",
                &["part"],
            ),
            store_read_bytes: new.counter("store_read_bytes_total", "Bytes read from the store"),
            store_read_seconds: new.histogram(
                "store_read_duration_seconds",
                "Time of a read, from when it has its turn",
            ),
            store_errors: new.counters(
                "store_errors_total",
                "Failed reads; error is not_found, short, too_large, unavailable, denied, throttled, timeout or busy (it was not begun)",
                &["error"],
            ),
            damage: new.counters(
                "source_damage_total",
                "Times stored bytes were found damaged; part is pointer, heads or media",
                &["part"],
            ),
            connections_open: new.gauge("connections_open", "Connections being served"),
            connections: new.counter("connections_total", "Connections accepted"),
            connection_protocols: new.counters(
                "connection_protocols_total",
                "Connections that came as far as HTTP; protocol is http/1.1 or h2",
                &["protocol"],
            ),
            connection_faults: new.counters(
                "connection_faults_total",
                "Connections ended by a fault; fault is header_timeout, idle_timeout, \
                 write_timeout, too_slow, bad_request, flood, resets, broken, too_many, too_many_of_client, proxy_untrusted or \
                 proxy_malformed",
                &["fault"],
            ),
            stream_faults: new.counters(
                "stream_faults_total",
                "HTTP/2 streams that did not end whole; fault is reset (by the client), \
                 write_timeout, too_slow or header_too_large",
                &["fault"],
            ),
            tls_handshakes: new.counters(
                "tls_handshakes_total",
                "TLS handshakes; outcome is full, resumed, failed or timeout",
                &["outcome"],
            ),
            tls_certificate_expiry_seconds: new.gauges(
                "tls_certificate_expiry_seconds",
                "Unix time at which a certificate expires, by its file",
                &["cert"],
            ),
            tls_certificate_reads: new.counters(
                "tls_certificate_reads_total",
                "Times the certificates' files were read; outcome is taken or refused",
                &["outcome"],
            ),
            reloads: new.counters(
                "reloads_total",
                "Times the configuration was read again; outcome is applied, unchanged or refused",
                &["outcome"],
            ),
            upgrades_refused: new.counter(
                "upgrades_refused_total",
                "Times a new process was to take over and did not; the log says why",
            ),
            config_info: new.gauges(
                "config_info",
                "Always 1; the configuration in use, as the beginning of its SHA-256",
                &["hash"],
            ),
            config_loaded_seconds: new.gauge(
                "config_loaded_seconds",
                "Unix time at which the configuration in use was read",
            ),
            access_log_dropped: new.counter(
                "access_log_dropped_total",
                "Access-log lines dropped because the disk did not keep up",
            ),
            telemetry_spans: new.counters(
                "telemetry_spans_total",
                "Spans by what became of them; outcome is exported, queue_full (there was no room), refused \
                 (the collector said no) or failed (it was asked in vain)",
                &["outcome"],
            ),
            settled: Settled::default(),
            registry: new.registry,
            described: new.described,
        }
    }

    /// Every metric in the order of registration.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// The text of `/metrics`.
    pub fn exposition(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers metrics and remembers how they were described.
#[derive(Default)]
struct Catalogue {
    registry: Registry,
    described: Vec<Described>,
}

impl Catalogue {
    fn counter(&mut self, name: &str, meaning: &str) -> IntCounter {
        self.add("counter", IntCounter::with_opts(opts(name, meaning)))
    }

    fn counters(&mut self, name: &str, meaning: &str, labels: &[&str]) -> IntCounterVec {
        self.add("counter", IntCounterVec::new(opts(name, meaning), labels))
    }

    fn gauge(&mut self, name: &str, meaning: &str) -> IntGauge {
        self.add("gauge", IntGauge::with_opts(opts(name, meaning)))
    }

    fn gauges(&mut self, name: &str, meaning: &str, labels: &[&str]) -> IntGaugeVec {
        self.add("gauge", IntGaugeVec::new(opts(name, meaning), labels))
    }

    fn histogram(&mut self, name: &str, meaning: &str) -> Histogram {
        self.add("histogram", Histogram::with_opts(latency(name, meaning)))
    }

    fn histograms(&mut self, name: &str, meaning: &str, labels: &[&str]) -> HistogramVec {
        self.add("histogram", HistogramVec::new(latency(name, meaning), labels))
    }

    fn add<C: Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        metric: prometheus::Result<C>,
    ) -> C {
        let metric = metric.expect("names and labels here are constants that fit");
        for desc in metric.desc() {
            self.described.push(Described {
                name: desc.fq_name.clone(),
                kind,
                labels: desc.variable_labels.clone(),
                meaning: desc.help.clone(),
            });
        }
        self.registry.register(Box::new(metric.clone())).expect("each name is used once");
        metric
    }
}

fn opts(name: &str, meaning: &str) -> Opts {
    Opts::new(format!("{PREFIX}{name}"), meaning)
}

fn latency(name: &str, meaning: &str) -> HistogramOpts {
    HistogramOpts::from(opts(name, meaning)).buckets(LATENCY_S.to_vec())
}
