//! `play`: simulated players come at a rate, whether or not those before are served well.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use url::Url;

use crate::address;
use crate::arrivals::{Arrivals, Spacing};
use crate::chance::Chance;
use crate::client::{Network, Speak};
use crate::error::Error;
use crate::failure::Failure;
use crate::figures::{Figures, Known};
use crate::harness::Harness;
use crate::limits::MAX_TARGETS;
use crate::live::Live;
use crate::manifest::Protocol;
use crate::number;
use crate::options;
use crate::output::Output;
use crate::report::Report;
use crate::seat::{Hall, Seat};
use crate::sums::Sums;
use crate::tally::Tally;
use crate::viewer::visit::{Habits, Visit};
use crate::zipf::Zipf;

/// What its figures are called.
pub const KNOWN: Known = Known {
    figures: &[
        ("players", "players that joined"),
        ("ended", "players that saw their title to its end"),
        ("gave_up", "players that gave up: the same thing failed three times"),
        ("never_started", "players that left, or gave up, before a picture"),
        ("turned_away", "players beyond --max-players; each is also a failure (not_sent)"),
        ("played_s", "seconds of media that were shown"),
        ("stalls", "times that it ran out"),
        ("stalled_s", "seconds that players stood still for that"),
        ("rebuffer_ratio", "stalled_s of stalled_s and played_s"),
        ("switches", "changes of quality"),
        ("seeks", "jumps"),
        ("seeking_s", "seconds that players waited after jumps"),
        ("requests", "requests that were made, good or failed"),
        ("good", "answered whole, with the right status and bytes"),
        ("failed", "all others"),
        ("failed_share", "failed of requests"),
        ("abandoned", "requests on their way when a viewer left; not among the others"),
        ("redirects", "redirects of manifests that were followed"),
        ("verified", "bodies that were compared with a list or an earlier answer"),
        ("bytes", "bytes of good bodies"),
        ("elapsed_s", "seconds of the run"),
        ("rate_per_s", "good answers a second"),
        ("gbit_s", "their bodies, Gbit/s"),
        ("connections", "connections that were opened"),
        ("harness_cpu_share", "of one core, that the harness itself took"),
    ],
    latencies: &[
        ("ttfb", "until a good answer began"),
        ("segment", "until a segment was whole"),
        ("start", "from a join to the first picture"),
    ],
    compared: &[],
};

/// What `play` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Play {
    /// Multivariant playlists and MPDs, the most popular first
    #[arg(value_name = "MANIFEST")]
    named: Vec<String>,
    /// A file of them, one a line; # begins a remark
    #[arg(long, value_name = "FILE")]
    titles: Option<PathBuf>,
    #[command(flatten)]
    speak: Speak,
    /// Players that join each second
    #[arg(long, value_name = "PER_S", default_value_t = 1.0, value_parser = options::positive)]
    rate: f64,
    /// How they come
    #[arg(long, value_enum, default_value_t = Spacing::Poisson, value_name = "HOW")]
    spacing: Spacing,
    /// Seconds of the run; who watches then leaves
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = options::positive)]
    duration_s: f64,
    /// Players at once; further ones are turned away and counted
    #[arg(long, value_name = "COUNT", default_value_t = 5000)]
    max_players: usize,
    /// Popularity: the k-th title is asked for in proportion to 1/k^S
    #[arg(long, value_name = "S", default_value_t = 0.8, value_parser = options::not_negative)]
    zipf: f64,
    /// Seconds after which viewers leave, on average [default: at the end]
    #[arg(long, value_name = "S", value_parser = options::positive)]
    watch_s: Option<f64>,
    /// Seconds of watching between jumps, on average [default: none]
    #[arg(long, value_name = "S", value_parser = options::positive)]
    seek_every_s: Option<f64>,
    /// Share of viewers that begin in the middle
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = options::share)]
    join_middle: f64,
    /// Viewers' lines in Mbit/s, one or a span as in 1..20 [default: as fast as it goes]
    #[arg(long, value_name = "MBPS", value_parser = options::span)]
    line_mbps: Option<(f64, f64)>,
    /// A token that goes before every path (/~TOKEN/...)
    #[arg(long, value_name = "TOKEN", conflicts_with = "tokens")]
    token: Option<String>,
    /// A file of tokens, one a line; viewers take them in turn
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Send no CMCD headers (CTA-5004)
    #[arg(long)]
    no_cmcd: bool,
    /// Checksums that bodies must have, as `fetch --write-sums` makes them
    #[arg(long, value_name = "FILE")]
    sums: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Play {
    /// Runs it and writes its report.
    pub async fn run(&self) -> Result<Report, Error> {
        self.output.check(&KNOWN)?;
        let network = Network::new(&self.speak).map_err(Error::usage)?;
        let titles = self.titles()?;
        for title in &titles {
            network.place(title).await.map_err(Error::run)?;
        }
        let sums = match &self.sums {
            Some(path) => Sums::parse(&read(path)?)
                .map_err(|what| Error::usage(format!("{}: {what}", path.display())))?,
            None => Sums::default(),
        };
        let habits = Habits {
            titles: Zipf::new(titles.len(), self.zipf),
            watch_s: self.watch_s,
            seek_every_s: self.seek_every_s,
            join_middle: self.join_middle,
            line_mbps: self.line_mbps,
        };
        let end = number::seconds(self.duration_s);
        let live = Live::start(Tally::with(sums));
        let told = titles.len();
        let hall = Rc::new(Hall::new(&network, &live, titles, self.tokens()?, !self.no_cmcd, end));
        let (harness, watch) = (Harness::start(), live.watch(!self.output.quiet));
        let turned_away = self.admit(&hall, &live, &habits, end).await;
        let elapsed = live.now();
        watch.abort();
        let share = harness.share();
        let tally = live.finish();
        let (crowd, segments, abandoned, redirects) = hall.finish();
        let mut figures = Figures::default();
        crowd.say(&mut figures);
        figures.say("turned_away", turned_away as f64);
        tally.say(&mut figures, elapsed);
        figures.say("abandoned", abandoned as f64);
        figures.say("redirects", redirects as f64);
        figures.say("connections", network.opened.get() as f64);
        figures.say("harness_cpu_share", share);
        figures.say_latency("ttfb", tally.ttfb);
        figures.say_latency("segment", segments);
        let mut report = Report {
            command: "play",
            settings: vec![
                (
                    "players",
                    format!(
                        "{}/s, {:?}, {told} titles, Zipf {}",
                        self.rate, self.spacing, self.zipf
                    ),
                ),
                ("viewers", self.habits_told()),
                ("http", format!("{:?}", self.speak.http)),
                ("seed", self.output.seed.to_string()),
            ],
            known: &KNOWN,
            figures,
            failures: tally.failures,
            seconds: tally.series.finish(),
            comparison: None,
            notes: Harness::note(share).into_iter().collect(),
            checked: Vec::new(),
        };
        self.output.write(&mut report)?;
        Ok(report)
    }

    /// Lets players in until the end, and waits until they have left; how many were turned away.
    async fn admit(&self, hall: &Rc<Hall>, live: &Rc<Live>, habits: &Habits, end: Duration) -> u64 {
        let seed = self.output.seed;
        let arrivals = Arrivals::new(self.spacing, self.rate, Chance::of(seed, u64::MAX));
        let (mut players, mut turned_away) = (JoinSet::new(), 0);
        for (n, arrival) in (0_u64..).zip(arrivals.take_while(|at| *at < end)) {
            tokio::time::sleep_until((live.started + arrival).into()).await;
            while players.try_join_next().is_some() {}
            if players.len() >= self.max_players {
                turned_away += 1;
                let what = || format!("a player: {} were there", self.max_players);
                live.tally.borrow_mut().fail(live.now(), Failure::NotSent, what);
                continue;
            }
            let visit = Visit::draw(habits, seed, n);
            players.spawn_local(Seat::take(hall, visit, n).watch());
        }
        while players.join_next().await.is_some() {}
        turned_away
    }

    fn titles(&self) -> Result<Vec<Url>, Error> {
        let listed = self.titles.as_ref().map(|path| read(path)).transpose()?.unwrap_or_default();
        let named = self.named.iter().map(String::as_str);
        let all = named.chain(lines(&listed)).map(|text| {
            let url = address::parse(text)?;
            Protocol::of(&url).map(|_| url)
        });
        let all = all.collect::<Result<Vec<_>, _>>().map_err(Error::usage)?;
        match all.len() {
            0 => Err(Error::usage("nothing to play: name manifests, or --titles FILE")),
            count if count > MAX_TARGETS => {
                Err(Error::usage(format!("{count} titles, at most {MAX_TARGETS}")))
            }
            _ => Ok(all),
        }
    }

    fn tokens(&self) -> Result<Vec<String>, Error> {
        let listed = self.tokens.as_ref().map(|path| read(path)).transpose()?.unwrap_or_default();
        let all: Vec<_> =
            self.token.iter().cloned().chain(lines(&listed).map(str::to_owned)).collect();
        match all.iter().find(|token| token.contains(['/', '?', '#'])) {
            Some(_) => Err(Error::usage("a token has none of / ? #: give it without its /~")),
            None => Ok(all),
        }
    }

    fn habits_told(&self) -> String {
        let leave = self.watch_s.map_or("at the end".to_owned(), |s| format!("after {s} s"));
        let jump =
            self.seek_every_s.map_or("never jump".to_owned(), |s| format!("jump every {s} s"));
        let lines = self
            .line_mbps
            .map_or("without limit".to_owned(), |(low, high)| format!("of {low} to {high} Mbit/s"));
        format!("leave {leave}, {jump}, {} begin in the middle, lines {lines}", self.join_middle)
    }
}

fn read(path: &std::path::Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("{}: {error}", path.display())))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}
