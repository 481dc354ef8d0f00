//! The commands of the encoder as a service.

pub mod jobs;
pub mod service;
mod table;
mod when;

use headwater_config::{Config, SecretSource};
use headwater_encoder::error::{Error, Kind};
use headwater_encoder::job::Terms;
use headwater_encoder::queue::SqlQueue;
use headwater_encoder::worker::unreachable;

/// Opens the configured queue.
async fn queue(config: &Config) -> Result<SqlQueue, Error> {
    let queue = &config.encoder.queue;
    let url = match &queue.postgres {
        Some(source) => secret(source)?,
        None => {
            let path = std::path::absolute(&queue.sqlite)
                .map_err(|e| Error::storage(queue.sqlite.display(), e))?;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|e| Error::storage(folder.display(), e))?;
            }
            // What an address would read as more than a path.
            let path = path.to_string_lossy().replace('%', "%25");
            format!("sqlite://{}", path.replace('?', "%3f").replace('#', "%23"))
        }
    };
    SqlQueue::open(&url, queue.connections, terms(config)).await.map_err(unreachable)
}

fn terms(config: &Config) -> Terms {
    let queue = &config.encoder.queue;
    let ms = |seconds: u32| i64::from(seconds) * 1_000;
    Terms {
        lease_ms: ms(queue.lease_s),
        stall_ms: ms(config.encoder.stall_s),
        backoff_ms: ms(queue.retry_s),
        backoff_cap_ms: ms(queue.retry_cap_s),
        failures: queue.failures,
        age_ms: ms(queue.age_s),
        ..Terms::default()
    }
}

fn secret(source: &SecretSource) -> Result<String, Error> {
    let wrong =
        |why: String| Error::new(Kind::Usage, format!("encoder.queue.postgres: {source}: {why}"));
    let text = match source {
        SecretSource::File(path) => {
            std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?
        }
        SecretSource::Variable(variable) => {
            std::env::var(variable).map_err(|e| wrong(e.to_string()))?
        }
    };
    Ok(text.trim().to_owned())
}
