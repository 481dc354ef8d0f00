//! Rules between keys: what one key alone cannot show to be wrong.

mod access;
mod protection;
mod queue;
mod recipes;
mod telemetry;

use std::fmt;
use std::net::SocketAddr;

use crate::{Config, StoreUrl};

/// Something that an operator should change, or know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key's whole path.
    pub key: String,
    /// What is wrong, with the values.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and may surprise.
    Warning,
    /// It cannot work: a binary refuses to start.
    Error,
}

impl Config {
    /// Everything that is wrong between keys, in the order of the example file.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Findings(Vec::new());
        self.check_store(&mut found);
        self.check_listeners(&mut found);
        self.check_proxies(&mut found);
        self.check_caches(&mut found);
        self.check_limits(&mut found);
        telemetry::check(self, &mut found);
        self.check_profiles(&mut found);
        access::check(self, &mut found);
        protection::check(self, &mut found);
        self.check_encoder(&mut found);
        recipes::check(self, &mut found);
        queue::check(self, &mut found);
        found.0
    }

    fn check_store(&self, found: &mut Findings) {
        let s3 = &self.store.s3;
        let StoreUrl::S3(bucket) = &self.store.url else {
            if let Some(address) = s3.endpoint.address() {
                found.warning(
                    "store.s3.endpoint",
                    format!("{address} is not used: store.url = {} is a folder", self.store.url),
                    "write store.url = \"s3://bucket/prefix\", or remove the endpoint",
                );
            }
            return;
        };
        if s3.attempt_timeout_ms > s3.operation_timeout_ms {
            found.error(
                "store.s3.attempt_timeout_ms",
                format!(
                    "{} is more than operation_timeout_ms = {}, which holds all attempts",
                    s3.attempt_timeout_ms, s3.operation_timeout_ms
                ),
                "make operation_timeout_ms the larger one",
            );
        }
        let read_timeout_ms = self.origin.store.read_timeout_ms;
        for (key, timeout_ms) in [
            ("store.s3.attempt_timeout_ms", s3.attempt_timeout_ms),
            ("store.s3.stall_timeout_ms", s3.stall_timeout_ms),
        ] {
            if timeout_ms.saturating_mul(2) > read_timeout_ms {
                found.warning(
                    key,
                    format!(
                        "{timeout_ms} leaves no time for a second attempt within origin.store.read_timeout_ms = {read_timeout_ms}"
                    ),
                    "make it at most half of that",
                );
            }
        }
        let has_tls = s3.endpoint.address().is_none_or(|address| address.starts_with("https://"));
        if let Some(file) = s3.ca_file().filter(|_| !has_tls) {
            found.warning(
                "store.s3.ca_file",
                format!("{} is not used: the endpoint is no https:// address", file.display()),
                "make it one, or remove ca_file",
            );
        }
        if bucket.name().contains('.') && has_tls && !s3.path_style {
            found.warning(
                "store.s3.path_style",
                format!(
                    "no certificate covers the host name of a bucket with a dot, {}",
                    bucket.name()
                ),
                "set path_style = true, or take a bucket without dots",
            );
        }
    }

    fn check_listeners(&self, found: &mut Findings) {
        let origin = &self.origin;
        let mut seen: Vec<&SocketAddr> = Vec::new();
        let served = || origin.listen.iter().chain(&origin.tls.listen);
        for address in served().chain([&origin.admin_listen]) {
            if let Some(other) = seen.iter().find(|other| overlap(other, address)) {
                let what = if *other == address {
                    format!("{address} is listened on twice")
                } else {
                    format!("{other} and {address} overlap")
                };
                found.error(
                    "origin.listen",
                    what,
                    "give each listener, and admin_listen, an address of its own",
                );
            }
            seen.push(address);
        }
        if served().next().is_none() {
            found.error(
                "origin.listen",
                "nothing is listened on: origin.tls.listen is empty too".to_owned(),
                "name an address in one of them",
            );
        }
        self.check_tls(found);
        if !origin.admin_listen.ip().is_loopback() {
            found.warning(
                "origin.admin_listen",
                format!(
                    "{} can be reached from the network, without a password",
                    origin.admin_listen
                ),
                "use a loopback address, or close the port to all but the monitoring",
            );
        }
        for network in origin.admin_from.iter().filter(|network| network.is_everything()) {
            found.warning(
                "origin.admin_from",
                format!("{network} is everybody: whoever reaches the port can empty the caches"),
                "name the machines that purge",
            );
        }
        if origin.page && served().any(|address| !address.ip().is_loopback()) {
            found.warning(
                "origin.page",
                "the list of titles can be read by whoever reaches this origin".to_owned(),
                "set page = false in a deployment",
            );
        }
    }

    fn check_proxies(&self, found: &mut Findings) {
        let origin = &self.origin;
        for network in self.origin.trusted_proxies.iter().filter(|network| network.is_everything())
        {
            found.warning(
                "origin.trusted_proxies",
                format!("{network} is everybody: any client can say which address it has"),
                "name the networks of your CDN or load balancer",
            );
        }
        for address in &origin.proxy_protocol {
            if !origin.listen.contains(address) && !origin.tls.listen.contains(address) {
                found.error(
                    "origin.proxy_protocol",
                    format!("nothing listens on {address}"),
                    "name it in origin.listen or origin.tls.listen as well, in the same words",
                );
            }
        }
        if !origin.proxy_protocol.is_empty() && origin.trusted_proxies.is_empty() {
            found.error(
                "origin.proxy_protocol",
                "nobody is trusted to send a PROXY header, so nobody could connect".to_owned(),
                "name the load balancer's network in origin.trusted_proxies",
            );
        }
    }

    fn check_tls(&self, found: &mut Findings) {
        let tls = &self.origin.tls;
        if !tls.listen.is_empty() && tls.certificates.is_empty() {
            found.error(
                "origin.tls.certificates",
                "there is none to show".to_owned(),
                "name a certificate and its key, or empty origin.tls.listen",
            );
        }
        if tls.listen.is_empty() && !tls.certificates.is_empty() {
            found.warning(
                "origin.tls.listen",
                "certificates are named and nothing speaks TLS".to_owned(),
                "name an address, such as \"0.0.0.0:8443\"",
            );
        }
    }

    fn check_caches(&self, found: &mut Findings) {
        let origin = &self.origin;
        let grace_s = u64::from(self.encoder.version_grace_h) * 3_600;
        let if_error_s = origin.cache.pointer_stale_if_error_s;
        if u64::from(if_error_s) >= grace_s {
            found.warning(
                "origin.cache.pointer_stale_if_error_s",
                format!("{if_error_s} s: while the store cannot be asked, manifests may name versions that encoder.version_grace_h lets be deleted after {grace_s} s"),
                "make it shorter than that",
            );
        }
        if origin.prefetch.segments > 0 && origin.cache.responses_mib == 0 {
            found.warning(
                "origin.prefetch.segments",
                "what is made ahead is kept until it is asked for, and by nobody then: origin.cache.responses_mib is 0".to_owned(),
                "give the response cache room, or make nothing ahead",
            );
        }
    }

    fn check_limits(&self, found: &mut Findings) {
        let limits = &self.origin.limits;
        if limits.max_uri_bytes >= limits.max_header_bytes {
            found.error(
                "origin.limits.max_uri_bytes",
                format!(
                    "{} leaves no room in max_header_bytes = {}, which counts the request line too",
                    limits.max_uri_bytes, limits.max_header_bytes
                ),
                "make max_header_bytes larger than max_uri_bytes",
            );
        }
    }

    fn check_profiles(&self, found: &mut Findings) {
        let gop_ms = self.encoder.gop_ms;
        let grace_s = u64::from(self.encoder.version_grace_h) * 3_600;
        for (name, profile) in &self.profiles {
            let key = |key: &str| format!("profiles.{name}.{key}");
            if profile.titles.is_empty() && profile.access_classes.is_empty() {
                found.warning(
                    key("titles"),
                    "no title is admitted: both titles and access_classes are empty".to_owned(),
                    "name titles (\"*\" for all) or access classes",
                );
            }
            if !profile.segment_ms.is_multiple_of(gop_ms) {
                found.warning(
                    key("segment_ms"),
                    format!("{} is no multiple of encoder.gop_ms = {gop_ms}: segments will differ in length", profile.segment_ms),
                    "make it a multiple",
                );
            }
            for (max_age_key, max_age_s, stale_key, stale_s) in [
                (
                    "manifest_max_age_s",
                    profile.manifest_max_age_s,
                    "manifest_stale_s",
                    profile.manifest_stale_s,
                ),
                (
                    "cdn_manifest_max_age_s",
                    profile.cdn_manifest_max_age_s,
                    "cdn_manifest_stale_s",
                    profile.cdn_manifest_stale_s,
                ),
            ] {
                let if_error_s = profile.manifest_stale_if_error_s;
                let stale_key =
                    if if_error_s > stale_s { "manifest_stale_if_error_s" } else { stale_key };
                let held_s = u64::from(max_age_s) + u64::from(stale_s.max(if_error_s));
                if held_s >= grace_s {
                    found.error(
                        key(max_age_key),
                        format!("with {stale_key} a cache may hand out a manifest for {held_s} s, while encoder.version_grace_h lets its version be deleted after {grace_s} s"),
                        "shorten the manifest's lifetime, or lengthen version_grace_h",
                    );
                }
            }
        }
    }

    fn check_encoder(&self, found: &mut Findings) {
        let titles = self.store.url.folder().map(|folder| folder.join("titles"));
        if titles.is_some_and(|titles| self.encoder.work_dir.starts_with(titles)) {
            found.error(
                "encoder.work_dir",
                format!("{} lies among the published titles", self.encoder.work_dir.display()),
                "put it beside the store's folder, on the same file system",
            );
        }
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, key: impl Into<String>, message: String, remedy: &str) {
        self.add(Severity::Error, key.into(), message, remedy);
    }

    fn warning(&mut self, key: impl Into<String>, message: String, remedy: &str) {
        self.add(Severity::Warning, key.into(), message, remedy);
    }

    fn add(&mut self, severity: Severity, key: String, message: String, remedy: &str) {
        let remedy = remedy.to_owned();
        self.0.push(Finding { severity, key, message, remedy });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, key, message, remedy } = self;
        let word = match severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: `{key}`: {message}; {remedy}")
    }
}

/// Whether one address is the other, or all addresses of its family with the same port. Whether
/// `[::]` covers IPv4 too is the system's choice, so that is left to the start.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    let (a_ip, b_ip) = (a.ip(), b.ip());
    let covers = a_ip.is_unspecified() || b_ip.is_unspecified() || a_ip == b_ip;
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && covers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rung;

    #[test]
    fn the_defaults_have_nothing_to_find() {
        assert_eq!(Config::default().check(), []);
        assert_eq!(Config::embedded().check(), []);
    }

    #[test]
    fn what_is_found() {
        type Change = fn(&mut Config);
        fn on_s3(config: &mut Config, url: &str) {
            config.store.url = url.parse().expect("an address");
        }
        let table: &[(&str, Change, &str)] = &[
            (
                "beats that are too rare",
                |c| c.encoder.queue.beat_s = 16,
                "error: `encoder.queue.beat_s`: 16 is more than half of lease_s = 30; a worker whose one word is lost would lose its task: make lease_s the larger one",
            ),
            (
                "a cap below the pause",
                |c| c.encoder.queue.retry_s = 301,
                "error: `encoder.queue.retry_s`: 301 is more than retry_cap_s = 300; make retry_cap_s the larger one",
            ),
            (
                "chunks shorter than a fragment",
                |c| c.encoder.queue.chunk_ms = 1_000,
                "warning: `encoder.queue.chunk_ms`: 1000 is less than gop_ms = 2000; a chunk is one group of pictures then; longer chunks cost less",
            ),
            (
                "a folder of inputs that leads elsewhere",
                |c| c.encoder.api.inputs = vec!["/srv/../etc".parse().expect("a folder")],
                "error: `encoder.api.inputs`: /srv/../etc is no absolute path; write the whole path of the folder, without `..`",
            ),
            (
                "two keys of one name",
                |c| {
                    let key = crate::queue::ApiKey::example();
                    c.encoder.api.keys = vec![key.clone(), key];
                },
                "error: `encoder.api.keys`: two keys are called uploads; give each a name of its own",
            ),
            (
                "keys in clear text",
                |c| {
                    c.encoder.api.keys = vec![crate::queue::ApiKey::example()];
                    c.encoder.api.listen = "0.0.0.0:8090".parse().expect("an address");
                },
                "warning: `encoder.api.listen`: 0.0.0.0:8090 speaks without TLS to other machines; listen on 127.0.0.1 behind a proxy that has TLS",
            ),
            (
                "an endpoint for a folder",
                |c| c.store.s3.endpoint = "http://127.0.0.1:9000".parse().expect("an address"),
                "warning: `store.s3.endpoint`: http://127.0.0.1:9000 is not used: store.url = ./data/store is a folder; write store.url = \"s3://bucket/prefix\", or remove the endpoint",
            ),
            (
                "an attempt longer than all",
                |c| {
                    on_s3(c, "s3://bucket");
                    c.store.s3.operation_timeout_ms = 1_999;
                },
                "error: `store.s3.attempt_timeout_ms`: 2000 is more than operation_timeout_ms = 1999, which holds all attempts; make operation_timeout_ms the larger one",
            ),
            (
                "no second attempt",
                |c| {
                    on_s3(c, "s3://bucket/films");
                    c.store.s3.attempt_timeout_ms = 2_501;
                },
                "warning: `store.s3.attempt_timeout_ms`: 2501 leaves no time for a second attempt within origin.store.read_timeout_ms = 5000; make it at most half of that",
            ),
            (
                "no second body",
                |c| {
                    on_s3(c, "s3://bucket");
                    c.store.s3.stall_timeout_ms = 5_000;
                },
                "warning: `store.s3.stall_timeout_ms`: 5000 leaves no time for a second attempt within origin.store.read_timeout_ms = 5000; make it at most half of that",
            ),
            (
                "an authority without TLS",
                |c| {
                    on_s3(c, "s3://bucket");
                    c.store.s3.endpoint = "http://127.0.0.1:9000".parse().expect("an address");
                    c.store.s3.ca_file = "/etc/ca.pem".into();
                },
                "warning: `store.s3.ca_file`: /etc/ca.pem is not used: the endpoint is no https:// address; make it one, or remove ca_file",
            ),
            (
                "a dot under a certificate",
                |c| on_s3(c, "s3://films.example.com"),
                "warning: `store.s3.path_style`: no certificate covers the host name of a bucket with a dot, films.example.com; set path_style = true, or take a bucket without dots",
            ),
            (
                "one address twice",
                |c| c.origin.listen = vec![c.origin.listen[0], c.origin.listen[0]],
                "error: `origin.listen`: 127.0.0.1:8080 is listened on twice; give each listener, and admin_listen, an address of its own",
            ),
            (
                "admin on a player's address",
                |c| c.origin.admin_listen = c.origin.listen[0],
                "error: `origin.listen`: 127.0.0.1:8080 is listened on twice; give each listener, and admin_listen, an address of its own",
            ),
            (
                "admin among all addresses",
                |c| c.origin.listen = vec!["0.0.0.0:9090".parse().expect("an address")],
                "error: `origin.listen`: 0.0.0.0:9090 and 127.0.0.1:9090 overlap; give each listener, and admin_listen, an address of its own",
            ),
            (
                "open admin",
                |c| c.origin.admin_listen = "0.0.0.0:9090".parse().expect("an address"),
                "warning: `origin.admin_listen`: 0.0.0.0:9090 can be reached from the network, without a password; use a loopback address, or close the port to all but the monitoring",
            ),
            (
                "open page",
                |c| {
                    c.origin.page = true;
                    c.origin.listen = vec!["0.0.0.0:80".parse().expect("an address")];
                },
                "warning: `origin.page`: the list of titles can be read by whoever reaches this origin; set page = false in a deployment",
            ),
            (
                "everybody empties the caches",
                |c| c.origin.admin_from = vec!["::/0".parse().expect("a network")],
                "warning: `origin.admin_from`: ::/0 is everybody: whoever reaches the port can empty the caches; name the machines that purge",
            ),
            (
                "everybody is a proxy",
                |c| c.origin.trusted_proxies = vec!["0.0.0.0/0".parse().expect("a network")],
                "warning: `origin.trusted_proxies`: 0.0.0.0/0 is everybody: any client can say which address it has; name the networks of your CDN or load balancer",
            ),
            (
                "no listener",
                |c| c.origin.listen.clear(),
                "error: `origin.listen`: nothing is listened on: origin.tls.listen is empty too; name an address in one of them",
            ),
            (
                "a PROXY header where nobody listens",
                |c| {
                    c.origin.proxy_protocol = vec!["127.0.0.1:81".parse().expect("an address")];
                    c.origin.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
                },
                "error: `origin.proxy_protocol`: nothing listens on 127.0.0.1:81; name it in origin.listen or origin.tls.listen as well, in the same words",
            ),
            (
                "a PROXY header from nobody",
                |c| c.origin.proxy_protocol = c.origin.listen.clone(),
                "error: `origin.proxy_protocol`: nobody is trusted to send a PROXY header, so nobody could connect; name the load balancer's network in origin.trusted_proxies",
            ),
            (
                "TLS without a certificate",
                |c| c.origin.tls.listen = vec!["127.0.0.1:8443".parse().expect("an address")],
                "error: `origin.tls.certificates`: there is none to show; name a certificate and its key, or empty origin.tls.listen",
            ),
            (
                "a certificate without TLS",
                |c| {
                    let (cert, key) = ("c.pem".into(), "k.pem".into());
                    c.origin.tls.certificates.push(crate::Certificate { cert, key });
                },
                "warning: `origin.tls.listen`: certificates are named and nothing speaks TLS; name an address, such as \"0.0.0.0:8443\"",
            ),
            (
                "URI as long as the header",
                |c| c.origin.limits.max_uri_bytes = c.origin.limits.max_header_bytes,
                "error: `origin.limits.max_uri_bytes`: 16384 leaves no room in max_header_bytes = 16384, which counts the request line too; make max_header_bytes larger than max_uri_bytes",
            ),
            (
                "nothing admitted",
                |c| c.profiles.values_mut().for_each(|p| p.titles.clear()),
                "warning: `profiles.clear.titles`: no title is admitted: both titles and access_classes are empty; name titles (\"*\" for all) or access classes",
            ),
            (
                "segments between fragments",
                |c| c.profiles.values_mut().for_each(|p| p.segment_ms = 5_000),
                "warning: `profiles.clear.segment_ms`: 5000 is no multiple of encoder.gop_ms = 2000: segments will differ in length; make it a multiple",
            ),
            (
                "manifests that outlive their version",
                |c| c.profiles.values_mut().for_each(|p| p.manifest_stale_s = 86_398),
                "error: `profiles.clear.manifest_max_age_s`: with manifest_stale_s a cache may hand out a manifest for 86400 s, while encoder.version_grace_h lets its version be deleted after 86400 s; shorten the manifest's lifetime, or lengthen version_grace_h",
            ),
            (
                "a CDN's manifests that outlive their version",
                |c| c.profiles.values_mut().for_each(|p| p.cdn_manifest_max_age_s = 86_400),
                "error: `profiles.clear.cdn_manifest_max_age_s`: with cdn_manifest_stale_s a cache may hand out a manifest for 86460 s, while encoder.version_grace_h lets its version be deleted after 86400 s; shorten the manifest's lifetime, or lengthen version_grace_h",
            ),
            (
                "work among titles",
                |c| {
                    c.store.url = StoreUrl::File("/srv".into());
                    c.encoder.work_dir = "/srv/titles/work".into();
                },
                "error: `encoder.work_dir`: /srv/titles/work lies among the published titles; put it beside the store's folder, on the same file system",
            ),
            (
                "odd height",
                |c| c.encoder.ladder[3].height = 361,
                "error: `encoder.ladder`: height 361 is odd, which 4:2:0 video cannot be; use an even height",
            ),
            (
                "one height twice",
                |c| {
                    let rung: Rung = c.encoder.ladder[0].clone();
                    c.encoder.ladder.push(rung);
                },
                "error: `encoder.ladder`: two rungs are 1080 high, and a track is named after its height; remove one",
            ),
            (
                "larger for fewer bits",
                |c| c.encoder.ladder[0].max_bitrate_kbps = 3_500,
                "warning: `encoder.ladder`: 720 lines may take 3500 kbit/s, 1080 lines only 3500: players choose by bit rate; let max_bitrate_kbps rise with height",
            ),
        ];
        for (name, change, wanted) in table {
            let mut config = Config::default();
            change(&mut config);
            let found: Vec<_> = config.check().iter().map(ToString::to_string).collect();
            assert_eq!(found, [*wanted], "{name}");
        }
    }
}
