//! A new configuration under a running service: what is told of it, and what changes.
//!
//! A reload takes all of a good configuration but what a start alone can do, which it names, and
//! nothing of a bad one. Requests that are being answered end by the settings they began with.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use headwater_config::{Config, Severity};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::adapter::Terms;
use crate::admin::Admin;
use crate::metrics::Metrics;
use crate::rooms::Rooms;
use crate::service::Service;
use crate::tls::Tls;

/// Keys, or beginnings of keys, that are read at a start alone.
const AT_A_START: &[&str] = &[
    "store.",
    "origin.listen",
    "origin.proxy_protocol",
    "origin.admin_listen",
    "origin.workers",
    "origin.grace_s",
    "origin.access_log",
    "origin.log_level",
    "origin.tls.listen",
    "origin.store.",
    "origin.telemetry.",
];
/// Another program's.
const NOT_OURS: &str = "encoder.";

/// Where a configuration comes from, again and again. The error is told to the operator.
pub type Load<'a> = &'a dyn Fn() -> Result<Config, String>;

/// What is current, and what it was made of.
pub struct Live {
    config: Config,
    rooms: Rooms,
    /// Answers players and CDNs.
    pub service: Arc<ArcSwap<Service>>,
    /// Answers on the admin port.
    pub admin: Arc<ArcSwap<Admin>>,
    /// Limits of new connections.
    pub terms: Arc<ArcSwap<Terms>>,
    tls: Option<Arc<Tls>>,
    metrics: Arc<Metrics>,
}

/// A key whose value is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    key: String,
    old: String,
    new: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        if key.contains("secret") {
            return write!(f, "{key}: (not shown)");
        }
        write!(f, "{key}: {old} -> {new}")
    }
}

impl Change {
    fn is_at_a_start(&self) -> bool {
        AT_A_START.iter().any(|key| match key.strip_suffix('.') {
            Some(_) => self.key.starts_with(key),
            None => self.key == *key,
        })
    }
}

impl Live {
    /// What a start made.
    pub fn new(config: &Config, rooms: Rooms, tls: Option<Arc<Tls>>) -> Self {
        let live = Self {
            config: config.clone(),
            service: Arc::new(ArcSwap::new(Arc::clone(&rooms.service))),
            admin: Arc::new(ArcSwap::new(Arc::clone(&rooms.admin))),
            terms: Arc::new(ArcSwap::from_pointee(Terms::new(config))),
            metrics: Arc::clone(&rooms.admin.metrics),
            rooms,
            tls,
        };
        live.note();
        live
    }

    /// Makes ready what the configuration names, beside everything else.
    ///
    /// # Errors
    /// Where there is no thread for it.
    pub fn warm_up(&self) -> io::Result<()> {
        let titles = &self.config.origin.warm_up.titles;
        self.rooms.admin.warm_ups.begin(titles, &self.rooms.admin)
    }

    /// The configuration as far as it is in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// TLS, where anything speaks it.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// Reads the configuration again, takes it or refuses it, and says so.
    pub fn reload(&mut self, load: Load<'_>) {
        let outcome = match self.take(load) {
            Ok(changes) if changes.is_empty() => {
                tracing::info!("configuration read again: nothing changed");
                "unchanged"
            }
            Ok(changes) => {
                for change in &changes {
                    let at_a_start = change.is_at_a_start();
                    let change = change.to_string();
                    if at_a_start {
                        tracing::warn!(change, "configuration: this needs a restart");
                    } else {
                        tracing::info!(change, "configuration");
                    }
                }
                "applied"
            }
            Err(error) => {
                tracing::error!(error, "configuration refused: everything is as before");
                "refused"
            }
        };
        self.metrics.reloads.with_label_values(&[outcome]).inc();
    }

    fn take(&mut self, load: Load<'_>) -> Result<Vec<Change>, String> {
        let loaded = load()?;
        let errors = loaded.check().into_iter().filter(|f| f.severity == Severity::Error);
        let errors: Vec<_> = errors.map(|finding| finding.to_string()).collect();
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
        let changes = changes(&self.config, &loaded);
        let config = usable(loaded, &self.config);
        let built = self.rooms.under(&self.config, &config).map_err(|error| error.to_string())?;
        // Also where no key changed: the files may have.
        if let Some(tls) = &self.tls {
            tls.read_again(&config.origin.tls).map_err(|error| error.to_string())?;
        }
        // From here on nothing is refused.
        let rooms = built.move_in();
        let is_warm = |config: &Config| (config.origin.warm_up.clone(), config.profiles.clone());
        let is_cold = is_warm(&self.config) != is_warm(&config);
        self.terms.store(Arc::new(Terms::new(&config)));
        self.service.store(Arc::clone(&rooms.service));
        self.admin.store(Arc::clone(&rooms.admin));
        self.rooms = rooms;
        self.config = config;
        if is_cold && let Err(error) = self.warm_up() {
            tracing::error!(%error, "no titles are made ready");
        }
        self.note();
        Ok(changes)
    }

    /// Metrics say which configuration is in use, and since when.
    fn note(&self) {
        let json = serde_json::to_vec(&self.config).expect("a configuration is plain data");
        let digest = Sha256::digest(&json);
        let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.metrics.config_info.reset();
        self.metrics.config_info.with_label_values(&[&hash]).set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.metrics.config_loaded_seconds.set(i64::try_from(now).unwrap_or(i64::MAX));
    }
}

/// The new configuration, with the old one's values where only a start can change them.
fn usable(new: Config, old: &Config) -> Config {
    let (mut config, kept) = (new, &old.origin);
    config.store = old.store.clone();
    config.encoder = old.encoder.clone();
    let origin = &mut config.origin;
    origin.listen.clone_from(&kept.listen);
    origin.proxy_protocol.clone_from(&kept.proxy_protocol);
    origin.admin_listen = kept.admin_listen;
    origin.workers = kept.workers;
    origin.grace_s = kept.grace_s;
    origin.access_log = kept.access_log.clone();
    origin.log_level = kept.log_level;
    origin.tls.listen.clone_from(&kept.tls.listen);
    origin.store = kept.store.clone();
    origin.telemetry = kept.telemetry.clone();
    config
}

/// Every key of which the values differ, in order. A key that only one has is `none` in the other.
fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (leaves(old), leaves(new));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let text = |leaf: Option<&String>| leaf.cloned().unwrap_or_else(|| "none".to_owned());
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key) && !key.starts_with(NOT_OURS))
        .map(|key| Change { key: key.clone(), old: text(old.get(key)), new: text(new.get(key)) })
        .collect()
}

/// Every key's whole path and its value as JSON. A list is one value.
fn leaves(config: &Config) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, all: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(&format!("{path}{dot}{key}"), value, all);
                }
            }
            leaf => {
                all.insert(path.to_owned(), leaf.to_string());
            }
        }
    }
    let mut all = BTreeMap::new();
    let value = serde_json::to_value(config).expect("a configuration is plain data");
    walk("", &value, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_key_with_both_values() {
        let old = Config::default();
        let mut new = old.clone();
        new.origin.limits.idle_timeout_s = 7;
        new.origin.workers = 3;
        new.encoder.threads = 9;
        let changes = changes(&old, &new);
        let told: Vec<_> = changes.iter().map(|c| (c.to_string(), c.is_at_a_start())).collect();
        let wanted = [
            ("origin.limits.idle_timeout_s: 75 -> 7".to_owned(), false),
            ("origin.workers: 0 -> 3".to_owned(), true),
        ];
        assert_eq!(told, wanted);
        let change = |key: &str| Change { key: key.into(), old: "a".into(), new: "b".into() };
        let secret = change("profiles.vip.access.cdn_secrets").to_string();
        assert_eq!(secret, "profiles.vip.access.cdn_secrets: (not shown)");
    }

    /// What is said to need a restart stays as it was, and nothing else does.
    #[test]
    fn what_a_start_alone_can_do_is_not_taken() {
        let old = Config::default();
        for (key, default) in leaves(&old) {
            let change = Change { key: key.clone(), old: default, new: String::new() };
            let path = format!("/{}", key.replace('.', "/"));
            let mut value = serde_json::to_value(&old).unwrap();
            let Some(leaf) = value.pointer_mut(&path) else { continue };
            match leaf {
                Value::Number(number) => *leaf = (number.as_u64().unwrap() + 1).into(),
                Value::Bool(on) => *leaf = (!*on).into(),
                _ => continue,
            }
            let new: Config = serde_json::from_value(value).unwrap();
            let is_taken = !changes(&old, &usable(new, &old)).is_empty();
            let is_ours = !key.starts_with(NOT_OURS);
            assert_eq!(is_taken, is_ours && !change.is_at_a_start(), "{key}");
        }
    }
}
