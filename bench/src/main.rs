//! The `headwater-bench` binary: reads its arguments, runs one command, ends with its exit code.

use std::io::{Write, stderr};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use headwater_bench::compare::{self, Compare};
use headwater_bench::error::{Error, Kind};
use headwater_bench::fetch::{self, Fetch};
use headwater_bench::play::{self, Play};
use headwater_bench::report::{Outcome, Report};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Puts load on an origin, or any HTTP server, and says what it stood.
///
/// Nothing is hidden: each request is one good answer (whole, the right status, the right bytes) or
/// one failure of a kind; times are of good answers; in an open loop they count from when a request
/// was due. The harness runs on one thread and says how much of its core it took.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  headwater-bench fetch --title http://127.0.0.1:8080/clear/film/master.m3u8 --connections 4
      Everything that a playlist leads to, again and again, from warm caches.
  headwater-bench fetch --title http://127.0.0.1:8080/clear/film/manifest.mpd --rate 500 \\
        --assert 'p99_ttfb_ms<20' --assert 'failed==0' --html report.html
      500 requests a second whatever becomes of them; exit code 1 if an assertion does not hold.
  headwater-bench compare http://127.0.0.1:8080/clear http://127.0.0.1:8081/files \\
        --title film/master.m3u8 --what segments --pid-a 4711 --pid-b 4712 --budget 1.15
      The same segments from two servers in turn: CPU, rates and times of A over B.
  headwater-bench play http://127.0.0.1:8080/clear/film/master.m3u8 --rate 5 --line-mbps 2..20 \\
        --watch-s 120 --seek-every-s 60 --assert 'rebuffer_ratio<0.01'
      Five viewers a second, who choose qualities, jump and leave.

Exit codes:
  0  everything that was asserted holds
  1  an assertion does not hold, or a budget is missed
  2  the command line, or a file that it names, is wrong
  3  the run could not be made: nothing answers, a process is not there
  4  undecided: an interval lies across its budget; measure more pairs";

#[derive(Subcommand)]
enum Command {
    /// Measure request rates and times over a set of URLs, cold or warm
    #[command(after_help = FETCH.as_str())]
    Fetch(Fetch),
    /// Measure two servers in turn over the same work: ratios, CPU, a budget's verdict
    #[command(after_help = COMPARE.as_str())]
    Compare(Compare),
    /// Simulate players of HLS and DASH: starts, stalls, qualities, segment times
    #[command(after_help = PLAY.as_str())]
    Play(Play),
}

static FETCH: LazyLock<String> = LazyLock::new(|| fetch::KNOWN.told());
static COMPARE: LazyLock<String> = LazyLock::new(|| compare::KNOWN.told());
static PLAY: LazyLock<String> = LazyLock::new(|| play::KNOWN.told());

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(report) => ExitCode::from(match report.outcome() {
            Outcome::Held => 0,
            Outcome::Missed => 1,
            Outcome::Undecided => 4,
        }),
        Err(error) => {
            let _ = writeln!(stderr(), "headwater-bench: {error}");
            ExitCode::from(match error.kind {
                Kind::Usage => 2,
                Kind::Run => 3,
            })
        }
    }
}

/// One thread: the server under test has the other cores.
fn run(command: Command) -> Result<Report, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::run(format!("no runtime: {error}")))?;
    LocalSet::new().block_on(&runtime, async {
        match command {
            Command::Fetch(fetch) => fetch.run().await,
            Command::Compare(compare) => compare.run().await,
            Command::Play(play) => play.run().await,
        }
    })
}
