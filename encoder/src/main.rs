//! `headwater-encoder`: the command line. Exit codes are in `--help` and in [`Kind::exit_code`].

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use headwater_config::{self as config, Config, Severity, StoreUrl};
use headwater_encoder::cancel::{self, Cancel, Canceller};
use headwater_encoder::encode::{self, Request};
use headwater_encoder::error::{Error, Kind};
use headwater_encoder::ffmpeg::Tools;
use headwater_encoder::report::{self, Meter, Report, Stage, print_json, print_line};
use headwater_encoder::retention::{self, Terms};
use headwater_encoder::sample::{self, Sample};
use headwater_encoder::source::Said;
use headwater_encoder::text::Sidecar;
use headwater_encoder::version::{self, Published};
use headwater_encoder::{audit, import, inspect, look, outlook, publish, store};
use headwater_packager::ids::{TitleId, VersionId};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Turns a film into a title that headwater-origin serves as HLS and DASH.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  headwater-encoder encode film.mp4 --title film
      Makes every rendition of film.mp4 and publishes it. Publishing again replaces the title for
      new viewers; who is watching goes on with the version they have.
  headwater-encoder encode film.mp4 --title film --json | jq .percent
  headwater-encoder import film_1080.mp4 film_720.mp4 film_360.mp4 --title film
  headwater-encoder encode film.mkv --title film --audio 2:role=commentary --text film.srt:en
  headwater-encoder probe film.mp4
  headwater-encoder inspect film
  headwater-encoder verify film
  headwater-encoder delete film
  headwater-encoder sweep
  headwater-encoder serve
      Takes jobs and works on them, chunk by chunk on all cores; whatever is killed goes on where it
      was when it is started again.
  headwater-encoder submit film.mp4 --title film --priority launch --deadline 2h
  headwater-encoder jobs --watch
  headwater-encoder sample test.mp4 --seconds 60

Exit codes:
  0    done
  1    stored bytes are damaged, or there is no such title
  2    the command line or the configuration is wrong
  3    this version does not take such a source
  4    the source is cut off or corrupt
  5    ffmpeg is missing, failed, hung, or made something else than was planned
  6    store or work folder cannot be read or written
  130  stopped by a signal; nothing was published

Every key of the configuration can also be set by an environment variable, such as
HEADWATER_ENCODER__PRESET=medium.";

#[derive(Subcommand)]
enum Command {
    /// Encode a film and publish it as a title
    Encode(Encode),
    /// Publish a ladder that exists already, progressive or fragmented MP4, without encoding it again
    Import(Import),
    /// Take jobs by the job API and work on them, on this machine alone
    Serve(cli::service::Serve),
    /// Work on jobs of a queue that others share
    #[command(name = "worker")]
    Work(cli::service::Work),
    /// Put a film into the queue
    Submit(cli::jobs::Submit),
    /// Show the queue: what waits, what is worked on, how long it will take
    Jobs(cli::jobs::Jobs),
    /// Call a job off
    Cancel(cli::jobs::Cancel),
    /// Try a job again that failed, from what is done
    Retry(cli::jobs::Retry),
    /// Show what a film is, which recipe it gets and what would be made of it; nothing is written
    Probe(Probe),
    /// Show what is stored of a title: versions, tracks, sizes, bit rates
    Inspect(Inspect),
    /// Read every byte of a title's tracks and texts again and compare it with its checksum
    Verify(Verify),
    /// Delete a title: nobody finds it any more, and its objects go after encoder.version_grace_h
    Delete(Delete),
    /// Remove displaced versions and deleted titles whose grace is over, of the whole store; for a
    /// daily timer. `encode` does the same for its own title
    Sweep(Sweep),
    /// Make a test film: running time, frame number as a bar code, a beep each second
    Sample(MakeSample),
}

#[derive(Args)]
struct Common {
    /// Configuration file; without one the defaults are used
    #[arg(long, value_name = "FILE", env = headwater_config::CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    json: bool,
}

/// What a publication becomes, and where.
#[derive(Args)]
struct Target {
    /// The title's id: 1 to 128 of A-Z a-z 0-9 . _ -
    #[arg(long, value_name = "ID")]
    title: TitleId,
    /// Where to publish: s3://bucket/prefix, file:///absolute/path or a path [default: store.url]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// Folder for unfinished work, best on the store's file system [default: encoder.work_dir]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

#[derive(Args)]
struct Encode {
    /// The film, a local file
    input: PathBuf,
    #[command(flatten)]
    target: Target,
    /// What a sound is, where the film does not say it or says it wrongly: its stream, language and
    /// role (main, alternate, description, commentary), such as 1:lang=en,role=commentary
    #[arg(long, value_name = "STREAM:WHAT")]
    audio: Vec<Said>,
    /// A file of subtitles, SRT or WebVTT, and its language, such as film.srt:en
    #[arg(long, value_name = "FILE:LANG")]
    text: Vec<Sidecar>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Import {
    /// The ladder's files: each with a rendition, sounds, or both. Their key frames must align
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Probe {
    /// The film, a local file
    input: PathBuf,
    /// What a sound is, as `encode` takes it
    #[arg(long, value_name = "STREAM:WHAT")]
    audio: Vec<Said>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Inspect {
    /// The title's id
    title: TitleId,
    /// The store [default: store.url]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Verify {
    /// The title's id
    title: TitleId,
    /// A version other than the live one
    #[arg(long, value_name = "VERSION")]
    version: Option<VersionId>,
    /// The store [default: store.url]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Delete {
    /// The title's id
    title: TitleId,
    /// Remove its objects at once: who is watching is cut off. Caches still hold what they hold
    #[arg(long)]
    now: bool,
    /// The store [default: store.url]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Sweep {
    /// The store [default: store.url]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct MakeSample {
    /// The file to make, an MP4
    out: PathBuf,
    /// Length in whole seconds
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Width in pixels, even
    #[arg(long, default_value_t = 1280)]
    width: u32,
    /// Height in pixels, even
    #[arg(long, default_value_t = 720)]
    height: u32,
    /// Frames a second, such as 24, 12.5 or 30000/1001
    #[arg(long, default_value = "24")]
    rate: String,
    #[command(flatten)]
    common: Common,
}

impl Command {
    fn common(&self) -> &Common {
        match self {
            Self::Encode(args) => &args.common,
            Self::Import(args) => &args.common,
            Self::Serve(args) => &args.common,
            Self::Work(args) => &args.common,
            Self::Submit(args) => &args.common,
            Self::Jobs(args) => &args.common,
            Self::Cancel(args) => &args.common,
            Self::Retry(args) => &args.common,
            Self::Probe(args) => &args.common,
            Self::Inspect(args) => &args.common,
            Self::Verify(args) => &args.common,
            Self::Delete(args) => &args.common,
            Self::Sweep(args) => &args.common,
            Self::Sample(args) => &args.common,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = close_to_children() {
        eprintln!("error: {error}");
        return ExitCode::from(error.kind().exit_code());
    }
    headwater_store::install_provider();
    // One thread for all async work: children die with the thread that spawned them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(|e| Error::storage("this process cannot start", e))
        .and_then(|runtime| runtime.block_on(run(&cli.command)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if cli.command.common().json {
                let kind = error.kind().as_str();
                print_json(&json!({"event": "error", "kind": kind, "text": error.to_string()}));
            } else {
                eprintln!("error: {error}");
            }
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Environment and memory of this process, where a store's credentials may stand, are kept from the
/// programs that it runs: they read what strangers send, as the same user.
fn close_to_children() -> Result<(), Error> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|e| Error::storage("this process cannot be closed to others (prctl)", e))
}

async fn run(command: &Command) -> Result<(), Error> {
    let common = command.common();
    let config = configuration(common)?;
    let (canceller, cancel) = cancel::pair();
    stop_on_signals(&canceller)?;
    let report = report::choose(common.json);
    let outcome = match command {
        Command::Encode(args) => encode(args, config, &report, &cancel).await,
        Command::Import(args) => import(args, config, &report, &cancel).await,
        Command::Serve(args) => cli::service::serve(args, config, &cancel).await,
        Command::Work(args) => cli::service::work(args, config, &cancel).await,
        Command::Submit(args) => cli::jobs::submit(args, &config).await,
        Command::Jobs(args) => cli::jobs::jobs(args, &config, &cancel).await,
        Command::Cancel(args) => cli::jobs::cancel(args, &config).await,
        Command::Retry(args) => cli::jobs::retry(args, &config).await,
        Command::Probe(args) => probe(args, &config, &cancel).await,
        Command::Inspect(args) => inspect(args, &config).await,
        Command::Verify(args) => verify(args, &config, &report, &cancel).await,
        Command::Delete(args) => delete(args, &config).await,
        Command::Sweep(args) => sweep(args, &config, &cancel).await,
        Command::Sample(args) => sample(args, &config, &report, &cancel).await,
    };
    report.end();
    outcome
}

fn configuration(common: &Common) -> Result<Config, Error> {
    let usage = |text: String| Error::new(Kind::Usage, text);
    let config = Config::load(common.config.as_deref(), headwater_config::environment())
        .map_err(|e| usage(e.to_string()))?;
    let ours = |key: &str| key.starts_with("encoder.") || key.starts_with("store.");
    let wrong = config
        .check()
        .into_iter()
        .find(|finding| finding.severity == Severity::Error && ours(&finding.key));
    match wrong {
        Some(finding) => {
            Err(usage(format!("{}: {}; {}", finding.key, finding.message, finding.remedy)))
        }
        None => Ok(config),
    }
}

/// The first signal stops the work, which then cleans up; a second one ends the process at once,
/// and the next run cleans up.
fn stop_on_signals(canceller: &Canceller) -> Result<(), Error> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds {
        let mut signals = signal(kind).map_err(|e| Error::storage("signals", e))?;
        let canceller = canceller.clone();
        tokio::spawn(async move {
            signals.recv().await;
            canceller.cancel();
            signals.recv().await;
            std::process::exit(Kind::Interrupted.exit_code().into());
        });
    }
    Ok(())
}

impl Target {
    /// The store; the work folder goes into `config`.
    fn apply(&self, config: &mut Config) -> config::Store {
        if let Some(work_dir) = &self.work_dir {
            config.encoder.work_dir.clone_from(work_dir);
        }
        chosen(self.store.as_ref(), config)
    }
}

async fn encode(
    args: &Encode,
    mut config: Config,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<(), Error> {
    let store = args.target.apply(&mut config);
    let request = Request {
        input: args.input.clone(),
        title: args.target.title.clone(),
        store,
        said: args.audio.clone(),
        sidecars: args.text.clone(),
    };
    let published = encode::encode(&request, &config.encoder, report, cancel).await?;
    tell(&published, &args.common, "encoded");
    Ok(())
}

async fn import(
    args: &Import,
    mut config: Config,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<(), Error> {
    let store = args.target.apply(&mut config);
    let (inputs, title) = (args.inputs.clone(), args.target.title.clone());
    let request = import::Request { inputs, title, store };
    let published = import::import(&request, &config.encoder, report, cancel).await?;
    tell(&published, &args.common, "imported");
    Ok(())
}

/// Tells of a publication.
fn tell(published: &Published, common: &Common, done: &str) {
    if common.json {
        print_json(&result(published));
    } else {
        let Published { title, version, duration_ms, took_s, tracks, texts } = published;
        print_line(&format!(
            "published {title} as {version}: {:.3} s in {} tracks{}, {done} in {took_s:.1} s",
            std::time::Duration::from_millis(*duration_ms).as_secs_f64(),
            tracks.len(),
            match texts.len() {
                0 => String::new(),
                texts => format!(" and {texts} texts"),
            }
        ));
    }
}

fn result(published: &Published) -> serde_json::Value {
    let tracks: Vec<_> = published
        .tracks
        .iter()
        .map(|track| {
            json!({
                "track": track.id, "codecs": track.codecs,
                "bytes": track.objects.iter().map(|object| object.len_bytes).sum::<u64>(),
                "fragments": track.objects.iter().map(|object| object.fragments).sum::<u32>(),
            })
        })
        .collect();
    json!({
        "event": "result",
        "title": published.title,
        "version": published.version,
        "duration_ms": published.duration_ms,
        "tracks": tracks,
        "texts": published.texts,
        "took_s": published.took_s,
    })
}

/// The store that the command line names, or the configured one; reached as configured.
fn chosen(url: Option<&StoreUrl>, config: &Config) -> config::Store {
    let mut store = config.store.clone();
    if let Some(url) = url {
        store.url.clone_from(url);
    }
    store
}

async fn probe(args: &Probe, config: &Config, cancel: &Cancel) -> Result<(), Error> {
    let tools = Tools::new(&config.encoder)?;
    let looked = look::look(&args.input, &args.audio, &tools, &config.encoder, cancel).await?;
    if args.common.json {
        print_json(&outlook::to_json(&looked));
    } else {
        print_line(outlook::to_text(&looked).trim_end());
    }
    Ok(())
}

async fn inspect(args: &Inspect, config: &Config) -> Result<(), Error> {
    let store = store::open(&chosen(args.store.as_ref(), config))?;
    let stored = inspect::inspect(store.as_ref(), &args.title).await?;
    if args.common.json {
        print_json(&stored.to_json());
    } else {
        print_line(stored.to_text().trim_end());
    }
    Ok(())
}

async fn verify(
    args: &Verify,
    config: &Config,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<(), Error> {
    let store = store::open(&chosen(args.store.as_ref(), config))?;
    let (store, title) = (store.as_ref(), &args.title);
    let missing = |what: String| Error::new(Kind::NotFound, what);
    let version = match args.version {
        Some(version) => Some(version),
        None => publish::pointer(store, title).await?.and_then(|pointer| pointer.live),
    };
    let version = version.ok_or_else(|| missing(format!("there is no live title {title}")))?;
    let opened = audit::open(store, title, version).await?;
    let opened = opened
        .ok_or_else(|| missing(format!("title {title} has no finished version {version}")))?;
    let meter = Meter::start(report, Stage::Verify);
    let whole = audit::media_bytes(&opened);
    let mut read = 0;
    let mut on_bytes = |bytes| {
        read += bytes;
        meter.of(read, whole);
    };
    let mut damages = audit::audit(store, &opened, cancel, &mut on_bytes).await?;
    damages.extend(audit::texts(store, title, version).await?);
    report.end();
    for damage in &damages {
        if args.common.json {
            print_json(&json!({
                "event": "damage", "object": damage.object, "offset": damage.offset,
                "detail": damage.detail,
            }));
        } else {
            print_line(&format!("damaged: {damage}"));
        }
    }
    if !damages.is_empty() {
        return Err(Error::new(
            Kind::StoredDamage,
            format!(
                "{} damaged places in {title} {version}; encode the title again from its source",
                damages.len()
            ),
        ));
    }
    if args.common.json {
        print_json(&json!({
            "event": "result", "title": title, "version": version, "bytes": whole,
        }));
    } else {
        print_line(&format!(
            "{title} {version}: all {whole} bytes of media and its texts are as they were published"
        ));
    }
    Ok(())
}

async fn delete(args: &Delete, config: &Config) -> Result<(), Error> {
    let store = store::open(&chosen(args.store.as_ref(), config))?;
    let title = &args.title;
    let grace_ms = if args.now { 0 } else { version::grace_ms(&config.encoder) };
    let terms = Terms { now_ms: version::unix_ms(), grace_ms };
    let lease = store.lease(title).await?;
    let deleted = retention::delete(store.as_ref(), title, terms).await;
    lease.give_back().await;
    let removed = deleted?;
    if args.common.json {
        print_json(&json!({"event": "result", "title": title, "removed": removed}));
    } else if args.now {
        print_line(&format!("deleted {title}, and everything that was stored of it"));
    } else {
        print_line(&format!(
            "deleted {title}; who is watching it goes on, and `headwater-encoder sweep` removes its \
             objects after {} h",
            config.encoder.version_grace_h
        ));
    }
    Ok(())
}

async fn sweep(args: &Sweep, config: &Config, cancel: &Cancel) -> Result<(), Error> {
    let store = store::open(&chosen(args.store.as_ref(), config))?;
    let store = store.as_ref();
    let grace_ms = version::grace_ms(&config.encoder);
    let (mut removed, mut failed) = (0, 0);
    for title in retention::unsettled(store).await? {
        cancel.check()?;
        match sweep_one(store, &title, grace_ms).await {
            Ok(versions) => {
                removed += versions.len();
                for version in versions {
                    if args.common.json {
                        let said = json!({"event": "removed", "title": title, "version": version});
                        print_json(&said);
                    } else {
                        print_line(&format!("removed {title} {version}"));
                    }
                }
            }
            Err(e) => {
                failed += 1;
                eprintln!("{title}: left as it is: {e}");
            }
        }
    }
    if args.common.json {
        print_json(&json!({"event": "result", "removed": removed, "failed": failed}));
    } else {
        print_line(&format!("{removed} versions removed, {failed} titles left as they are"));
    }
    Ok(())
}

async fn sweep_one(
    store: &dyn store::Store,
    title: &TitleId,
    grace_ms: u64,
) -> Result<Vec<VersionId>, Error> {
    let lease = store.lease(title).await?;
    let terms = Terms { now_ms: version::unix_ms(), grace_ms };
    let retained = retention::retain(store, title, terms).await;
    lease.give_back().await;
    retained
}

async fn sample(
    args: &MakeSample,
    config: &Config,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<(), Error> {
    let sample = Sample::new(args.seconds, args.width, args.height, &args.rate)?;
    let tools = Tools::new(&config.encoder)?;
    let meter = Meter::start(report, Stage::Encode);
    let frames = sample.frames();
    let mut on_progress = |progress: &headwater_encoder::ffmpeg::Progress| {
        let reached_s = progress.out_time_s();
        meter.encoding(progress.frames, frames, reached_s, progress.frames_per_s);
    };
    sample::make(&tools, &sample, &args.out, cancel, &mut on_progress).await?;
    report.end();
    let out = args.out.display();
    if args.common.json {
        print_json(&json!({"event": "result", "file": out.to_string(), "frames": frames}));
    } else {
        print_line(&format!("made {out}: {frames} frames"));
    }
    Ok(())
}
