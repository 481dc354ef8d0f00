//! `submit`, `jobs`, `cancel`, `retry`: the queue from the command line, without a service in between.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use headwater_config::Config;
use headwater_encoder::api::json as form;
use headwater_encoder::cancel;
use headwater_encoder::error::{Error, Kind};
use headwater_encoder::fetch::Address;
use headwater_encoder::job::{JobState, Priority, Submission};
use headwater_encoder::limits;
use headwater_encoder::queue::{Filter, Page, Queue, QueueError};
use headwater_encoder::report::{print_json, print_line};
use headwater_encoder::source::Said;
use headwater_encoder::text::Sidecar;
use headwater_encoder::worker::{now_ms, unreachable};
use headwater_packager::ids::{TitleId, VersionId};
use serde_json::json;

use super::{queue, table, when::When};
use crate::Common;

#[derive(Args)]
pub struct Submit {
    /// The film: a file that every worker can read by this path, or an object, s3://bucket/key, that
    /// every worker may read
    input: PathBuf,
    /// The title's id: 1 to 128 of A-Z a-z 0-9 . _ -
    #[arg(long, value_name = "ID")]
    title: TitleId,
    /// launch: somebody waits for it. normal. backfill: when nothing else is to do
    #[arg(long, value_name = "PRIORITY", default_value = "normal")]
    priority: Priority,
    /// When it should be done: what is due earlier is made earlier, within its priority. So long from
    /// now (90s, 30m, 2h, 3d), or a time such as 2026-11-22T18:00:00Z
    #[arg(long, value_name = "T")]
    deadline: Option<When>,
    /// What a sound is, where the film does not say it or says it wrongly, as `encode` takes it
    #[arg(long, value_name = "STREAM:WHAT", value_parser = sound)]
    audio: Vec<String>,
    /// A file of subtitles, SRT or WebVTT, and its language, such as film.srt:en
    #[arg(long, value_name = "FILE:LANG")]
    text: Vec<Sidecar>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args)]
pub struct Jobs {
    /// One job: its tasks and its story
    job: Option<VersionId>,
    /// Show again and again until Ctrl-C, or until the job has ended
    #[arg(long)]
    watch: bool,
    /// Only those that are queued, running, published, failed, cancelled or superseded
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<JobState>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args)]
pub struct Cancel {
    /// The job
    job: VersionId,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args)]
pub struct Retry {
    /// The job
    job: VersionId,
    #[command(flatten)]
    pub common: Common,
}

fn sound(text: &str) -> Result<String, String> {
    text.parse::<Said>().map(|_| text.to_owned())
}

fn state(word: &str) -> Result<JobState, String> {
    JobState::from_word(word).ok_or_else(|| {
        let words = JobState::ALL.map(JobState::as_str).join(", ");
        format!("{word:.40?} is no state: write one of {words}")
    })
}

pub async fn submit(args: &Submit, config: &Config) -> Result<(), Error> {
    let input = named(&args.input)?;
    let mut texts = Vec::new();
    for Sidecar { path, language } in &args.text {
        texts.push(format!("{}:{}", absolute(path)?, language.tag));
    }
    let now_ms = now_ms();
    let version = VersionId::from_u128(uuid::Uuid::now_v7().as_u128());
    let submission = Submission {
        version,
        title: args.title.clone(),
        input,
        priority: args.priority,
        deadline_ms: args.deadline.map(|deadline| deadline.at_ms(now_ms)),
        growing: false,
        audio: args.audio.clone(),
        texts,
    };
    let queue = queue(config).await?;
    queue.submit(&submission, now_ms).await.map_err(refused)?;
    if args.common.json {
        print_json(&form::job(&queue.job(version).await.map_err(refused)?));
    } else {
        print_line(&format!(
            "submitted {} as job {version}; `headwater-encoder jobs --watch` shows how it goes",
            args.title
        ));
    }
    queue.close().await;
    Ok(())
}

/// A source as every worker finds it. Whether an object is there the plan says: it is the workers that
/// may read it.
fn named(input: &Path) -> Result<String, Error> {
    match input.to_str() {
        Some(text) if text.starts_with("s3://") => {
            let address = text.parse::<Address>().map_err(|why| Error::new(Kind::Usage, why))?;
            Ok(address.to_string())
        }
        Some(text) => absolute(Path::new(text.strip_prefix("file://").unwrap_or(text))),
        None => absolute(input),
    }
}

/// A file by a path that is good in any working folder: workers have others.
fn absolute(file: &Path) -> Result<String, Error> {
    let usage = |what: String| Error::new(Kind::Usage, format!("{}: {what}", file.display()));
    let path = std::fs::canonicalize(file).map_err(|e| usage(e.to_string()))?;
    let path = path.to_str().ok_or_else(|| usage("its path is no UTF-8".to_owned()))?;
    Ok(path.to_owned())
}

pub async fn jobs(args: &Jobs, config: &Config, stop: &cancel::Cancel) -> Result<(), Error> {
    let queue = queue(config).await?;
    loop {
        let (text, is_over) = match args.job {
            Some(job) => one(args, &queue, job).await?,
            None => (all(args, &queue).await?, false),
        };
        if args.watch && !args.common.json && io::stdout().is_terminal() {
            // ECMA-48: the cursor to the first place, and what is below it erased.
            print_line(&format!("\u{1b}[H\u{1b}[J{text}"));
        } else {
            print_line(text.trim_end());
        }
        if !args.watch || is_over {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(limits::EVENTS_LOOK) => {}
            () = stop.cancelled() => break,
        }
    }
    queue.close().await;
    Ok(())
}

async fn all(args: &Jobs, queue: &dyn Queue) -> Result<String, Error> {
    let filter = Filter { state: args.state, ..Filter::default() };
    let page = Page { before: None, entries: limits::USUAL_PAGE_ENTRIES };
    let views = queue.jobs(&filter, &page).await.map_err(unreachable)?;
    if args.common.json {
        let jobs: Vec<_> = views.iter().map(form::job).collect();
        return Ok(json!({ "jobs": jobs }).to_string());
    }
    let depth = queue.depth().await.map_err(unreachable)?;
    Ok(table::jobs(&views, now_ms()) + &table::tools(&depth))
}

/// A job, and whether it has ended.
async fn one(args: &Jobs, queue: &dyn Queue, job: VersionId) -> Result<(String, bool), Error> {
    let view = queue.job(job).await.map_err(refused)?;
    let tasks = queue.tasks(job).await.map_err(refused)?;
    let story = queue.story(job, 0).await.map_err(refused)?;
    let is_over = !view.job.state.is_open();
    if args.common.json {
        let tasks: Vec<_> = tasks.iter().map(form::task).collect();
        let story: Vec<_> = story.iter().map(form::told).collect();
        let mut shown = form::job(&view);
        shown["task_list"] = tasks.into();
        shown["story"] = story.into();
        return Ok((shown.to_string(), is_over));
    }
    Ok((table::job(&view, &tasks, &story, now_ms()), is_over))
}

pub async fn cancel(args: &Cancel, config: &Config) -> Result<(), Error> {
    let queue = queue(config).await?;
    queue.cancel(args.job, now_ms()).await.map_err(refused)?;
    said(&args.common, args.job, &queue, "cancelled").await
}

pub async fn retry(args: &Retry, config: &Config) -> Result<(), Error> {
    let queue = queue(config).await?;
    queue.retry(args.job, now_ms()).await.map_err(refused)?;
    said(&args.common, args.job, &queue, "goes on").await
}

async fn said(
    common: &Common,
    job: VersionId,
    queue: &headwater_encoder::queue::SqlQueue,
    word: &str,
) -> Result<(), Error> {
    if common.json {
        print_json(&form::job(&queue.job(job).await.map_err(refused)?));
    } else {
        print_line(&format!("{job} {word}"));
    }
    queue.close().await;
    Ok(())
}

/// What the queue refuses, as the fault of whoever asked.
#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn refused(error: QueueError) -> Error {
    let kind = match &error {
        QueueError::NoSuchJob(_) | QueueError::NoSuchTask(_) => Kind::NotFound,
        QueueError::Database { .. } => Kind::Storage,
        QueueError::Refused(_) | QueueError::Exists(_) | QueueError::OutOfBounds(_) => Kind::Usage,
    };
    Error::new(kind, error.to_string())
}
