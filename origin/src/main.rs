//! The `headwater-origin` binary: reads its arguments, then checks or serves.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use headwater_config::{CONFIG_VARIABLE, Config, Severity, environment};
use headwater_origin::admin_tool::{Purge, Told, Warm};
use headwater_origin::token_tool::{Explain, Sign};
use headwater_origin::upgrade::{self, Step};
use headwater_origin::{check, open_files, server};
use tracing_subscriber::EnvFilter;

/// Segments of megabytes come and go with each request. The system's allocator gives their memory
/// back each time and the kernel clears it anew, which cost more than reading and encrypting them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Serves stored titles as HLS and DASH.
///
/// Without a configuration it serves the folder ./data/store on 127.0.0.1:8080, with a player
/// page at http://127.0.0.1:8080/ that lists what is there. A title is put there by
/// `headwater-encoder encode movie.mp4 --title movie`, and is then at
///
///   http://127.0.0.1:8080/clear/movie/master.m3u8    (HLS)
///   http://127.0.0.1:8080/clear/movie/manifest.mpd   (DASH)
///
/// where `clear` is the profile. Every key of the configuration can also be set by a variable:
/// HEADWATER_ORIGIN__PAGE=true sets `page` in `[origin]`. SIGTERM ends running responses within
/// `origin.grace_s`, Ctrl-C within two seconds; SIGHUP reads the configuration again; SIGUSR2 starts
/// this program anew, as it now lies on the disk, and hands the listeners over to it.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// The configuration, a TOML file; config/headwater.example.toml shows every key.
    #[arg(long, global = true, env = CONFIG_VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the listeners of the running origin that starts this one over; see SIGUSR2.
    #[arg(long, hide = true, value_name = "STEP")]
    take_over: Option<Step>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads the configuration, opens the store and each live title, reports and exits:
    /// 0 if it can serve, 1 if something must be mended.
    Check,
    /// Makes a token, or a URL with one; docs/tokens.md says what it can say.
    Sign(Sign),
    /// Says what a token allows, and why a request with it would be refused: 0 if it is good,
    /// 1 if not.
    ExplainToken(Explain),
    Purge(Purge),
    Warm(Warm),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    headwater_store::install_provider();
    let outcome = match arguments.command {
        Some(Command::Check) => run_check(arguments.config.as_deref()),
        Some(Command::Sign(sign)) => run_sign(arguments.config.as_deref(), sign),
        Some(Command::ExplainToken(explain)) => run_explain(arguments.config.as_deref(), explain),
        Some(Command::Purge(purge)) => {
            run_admin(arguments.config.as_deref(), |config| purge.run(config))
        }
        Some(Command::Warm(warm)) => {
            run_admin(arguments.config.as_deref(), |config| warm.run(config))
        }
        None => match arguments.take_over {
            None => run_server(arguments.config.as_deref(), false),
            Some(Step::Detach) => detach(),
            Some(Step::Serve) => run_server(arguments.config.as_deref(), true),
        },
    };
    outcome.unwrap_or_else(|problem| {
        let _ = writeln!(io::stderr(), "headwater-origin: {problem}");
        ExitCode::FAILURE
    })
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

fn run_sign(config: Option<&Path>, sign: Sign) -> Outcome {
    let config = Config::load(config, environment())?;
    writeln!(io::stdout(), "{}", sign.run(&config, SystemTime::now())?)?;
    Ok(ExitCode::SUCCESS)
}

fn run_explain(config: Option<&Path>, explain: Explain) -> Outcome {
    let config = Config::load(config, environment())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (told, good) = runtime.block_on(explain.run(&config, SystemTime::now()))?;
    write!(io::stdout(), "{told}")?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_admin(config: Option<&Path>, ask: impl FnOnce(&Config) -> Result<Told, String>) -> Outcome {
    let config = Config::load(config, environment())?;
    let (told, good) = ask(&config)?;
    write!(io::stdout(), "{told}")?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_check(config: Option<&Path>) -> Outcome {
    let config = Config::load(config, environment())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = io::stdout().lock();
    let found = runtime.block_on(check::check(&config, &mut out))?;
    writeln!(out, "{} errors, {} warnings", found.errors, found.warnings)?;
    Ok(if found.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn detach() -> Outcome {
    upgrade::detach().map_err(|error| format!("cannot start once more, to take over: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

fn run_server(path: Option<&Path>, take_over: bool) -> Outcome {
    let config = Config::load(path, environment())?;
    log_to_stderr(config.origin.log_level.as_str());
    let mut refused = false;
    for finding in config.check() {
        match finding.severity {
            Severity::Error => {
                refused = true;
                tracing::error!(%finding, "configuration");
            }
            Severity::Warning => tracing::warn!(%finding, "configuration"),
        }
    }
    if refused {
        return Err("the configuration cannot work; see above".into());
    }
    let load = || Config::load(path, environment()).map_err(|error| error.to_string());
    open_files::take(&config);
    server::run(&config, &load, take_over)?;
    Ok(ExitCode::SUCCESS)
}

/// Lines for people on a terminal, JSON for everything else.
fn log_to_stderr(level: &str) {
    // Of libraries only what is wrong: Pingora tells of each start and stop of its own parts, and
    // the S3 client of its signatures.
    let filter = EnvFilter::new(format!("warn,headwater={level}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).with_target(false).init();
    }
}
