//! `serve` and `worker`: processes that go on until they are stopped.

use std::rc::Rc;
use std::sync::Arc;

use clap::Args;
use headwater_config::{ApiScope, Config};
use headwater_encoder::api::{self, Api, ApiKey, ApiKeys, Scope};
use headwater_encoder::cancel::Cancel;
use headwater_encoder::error::Error;
use headwater_encoder::queue::Queue;
use headwater_encoder::worker::{Journal, Until, Worker, now_ms};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::queue;
use crate::Common;

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args)]
pub struct Work {
    /// What this worker is called in lists; by default host and process
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// End when nothing is left to do, for machines that are started when there is
    #[arg(long)]
    drain: bool,
    #[command(flatten)]
    pub common: Common,
}

pub async fn serve(args: &Serve, config: Config, cancel: &Cancel) -> Result<(), Error> {
    let queue: Arc<dyn Queue> = Arc::new(queue(&config).await?);
    let settings = &config.encoder.api;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|e| Error::storage(format!("encoder.api.listen = {}", settings.listen), e))?;
    let address = listener.local_addr().map_err(|e| Error::storage("encoder.api.listen", e))?;
    let journal = journal(&args.common);
    let keys = keys(&config)?;
    journal.say(&format!("jobs are taken on http://{address}/v1/jobs, described by /openapi.json"));
    if settings.keys.is_empty() {
        journal.say("encoder.api.keys is empty: only `headwater-encoder submit` puts jobs in");
    }
    let api = Arc::new(Api::new(Arc::clone(&queue), keys, settings.inputs.clone(), now_ms));
    let worker = worker(&config, queue, None, journal, cancel).await?;
    let both = async {
        let serving = tokio::spawn(api::serve(listener, api, cancel.clone()));
        let worked = worker.run(Until::Stopped, cancel).await;
        // Its connections end by themselves, within a bound.
        let _ = serving.await;
        worked
    };
    LocalSet::new().run_until(both).await
}

pub async fn work(args: &Work, config: Config, cancel: &Cancel) -> Result<(), Error> {
    let queue: Arc<dyn Queue> = Arc::new(queue(&config).await?);
    let journal = journal(&args.common);
    let worker = worker(&config, queue, args.name.as_deref(), journal, cancel).await?;
    let until = if args.drain { Until::Drained } else { Until::Stopped };
    LocalSet::new().run_until(worker.run(until, cancel)).await
}

async fn worker(
    config: &Config,
    queue: Arc<dyn Queue>,
    name: Option<&str>,
    journal: Journal,
    cancel: &Cancel,
) -> Result<Rc<Worker>, Error> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let usual = format!("{host:.200}-{}", std::process::id());
    let name = name.unwrap_or(&usual);
    let worker = Worker::new(queue, name, &config.encoder, &config.store, journal, cancel).await?;
    Ok(Rc::new(worker))
}

fn journal(common: &Common) -> Journal {
    if common.json { Journal::Json } else { Journal::Text }
}

fn keys(config: &Config) -> Result<ApiKeys, Error> {
    let mut keys = Vec::new();
    for key in &config.encoder.api.keys {
        let scopes: Vec<_> = key
            .scopes
            .iter()
            .map(|scope| match scope {
                ApiScope::Read => Scope::Read,
                ApiScope::Submit => Scope::Submit,
                ApiScope::Manage => Scope::Manage,
            })
            .collect();
        keys.push(ApiKey::read(&key.name.to_string(), &key.secret, &scopes)?);
    }
    Ok(ApiKeys::new(keys))
}
