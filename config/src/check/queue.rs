//! Rules between the keys of the encoder's queue and API.

use std::path::Component;

use super::Findings;
use crate::Config;
use crate::store::StoreUrl;

pub(super) fn check(config: &Config, found: &mut Findings) {
    let queue = &config.encoder.queue;
    if queue.beat_s.saturating_mul(2) > queue.lease_s {
        found.error(
            "encoder.queue.beat_s",
            format!("{} is more than half of lease_s = {}", queue.beat_s, queue.lease_s),
            "a worker whose one word is lost would lose its task: make lease_s the larger one",
        );
    }
    if queue.retry_s > queue.retry_cap_s {
        found.error(
            "encoder.queue.retry_s",
            format!("{} is more than retry_cap_s = {}", queue.retry_s, queue.retry_cap_s),
            "make retry_cap_s the larger one",
        );
    }
    if queue.chunk_ms < config.encoder.gop_ms {
        found.warning(
            "encoder.queue.chunk_ms",
            format!("{} is less than gop_ms = {}", queue.chunk_ms, config.encoder.gop_ms),
            "a chunk is one group of pictures then; longer chunks cost less",
        );
    }
    check_api(config, found);
}

fn check_api(config: &Config, found: &mut Findings) {
    let api = &config.encoder.api;
    for (i, key) in api.keys.iter().enumerate() {
        if api.keys[..i].iter().any(|other| other.name == key.name) {
            found.error(
                "encoder.api.keys",
                format!("two keys are called {}", key.name),
                "give each a name of its own",
            );
        }
        if key.scopes.is_empty() {
            found.warning(
                "encoder.api.keys",
                format!("{} allows nothing", key.name),
                "name scopes: read, submit, manage",
            );
        }
    }
    let plain = |folder: &std::path::Path| {
        folder.is_absolute() && !folder.components().any(|part| part == Component::ParentDir)
    };
    for folder in api.inputs.iter().filter_map(StoreUrl::folder).filter(|folder| !plain(folder)) {
        found.error(
            "encoder.api.inputs",
            format!("{} is no absolute path", folder.display()),
            "write the whole path of the folder, without `..`",
        );
    }
    let is_open = !api.listen.ip().is_loopback();
    if is_open && !api.keys.is_empty() {
        found.warning(
            "encoder.api.listen",
            format!("{} speaks without TLS to other machines", api.listen),
            "listen on 127.0.0.1 behind a proxy that has TLS",
        );
    }
}
