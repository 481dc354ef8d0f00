//! `fetch`: request rates over a set of URLs, cold or warm.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::address;
use crate::arrivals::Spacing;
use crate::chance::Chance;
use crate::client::{Ask, Keep, Link, Network, Speak};
use crate::discover::Sources;
use crate::error::Error;
use crate::feed::{Feed, Order};
use crate::figures::{Figures, Known};
use crate::harness::Harness;
use crate::live::Live;
use crate::load::{self, Mode, Target};
use crate::manifest::Piece;
use crate::number;
use crate::options;
use crate::output::Output;
use crate::report::Report;
use crate::sums::Sums;
use crate::tally::{Delivery, Tally};

/// What its figures are called.
pub const KNOWN: Known = Known {
    figures: &[
        ("urls", "URLs in the set"),
        ("requests", "requests that were due, good or failed"),
        ("good", "answered whole, with the right status and bytes"),
        ("failed", "all others"),
        ("failed_share", "failed of requests"),
        ("verified", "bodies that were compared with a list or an earlier answer"),
        ("bytes", "bytes of good bodies"),
        ("elapsed_s", "seconds from the first request that counts to the last answer"),
        ("rate_per_s", "good answers a second"),
        ("gbit_s", "their bodies, Gbit/s"),
        ("connections", "connections that were opened"),
        ("warmup_failed", "requests that failed while warming up; not among the others"),
        ("harness_cpu_share", "of one core, that the harness itself took"),
    ],
    latencies: &[
        ("ttfb", "until a good answer began, from when it was due"),
        ("time", "until it was whole"),
    ],
    compared: &[],
};

/// Seconds to measure, where nothing says how much.
const DURATION_S: f64 = 10.0;

/// What `fetch` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Fetch {
    /// URLs to ask for
    #[arg(value_name = "URL")]
    named: Vec<String>,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    speak: Speak,
    #[command(flatten)]
    pressure: Pressure,
    /// Ask for each URL once and end; without it all are asked once before anything is measured.
    /// What a server has in its caches is the operator's to clear
    #[arg(long)]
    cold: bool,
    /// Seconds to measure [default: 10, or until --requests]
    #[arg(long, value_name = "S", value_parser = options::positive)]
    duration_s: Option<f64>,
    /// Seconds at the beginning whose requests are made and not counted; a wrong body is. They are
    /// a part of --duration-s
    #[arg(long, value_name = "S", value_parser = options::positive)]
    #[arg(conflicts_with_all = ["cold", "requests"])]
    settle_s: Option<f64>,
    /// Requests to measure
    #[arg(long, value_name = "COUNT", conflicts_with = "cold")]
    requests: Option<u64>,
    /// Checksums that bodies must have, as --write-sums makes them
    #[arg(long, value_name = "FILE")]
    sums: Option<PathBuf>,
    /// Write the checksums of all bodies
    #[arg(long, value_name = "FILE")]
    write_sums: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// How hard to press.
#[derive(Clone, Debug, clap::Args)]
pub struct Pressure {
    /// Open loop: requests a second, whether or not earlier ones were answered
    #[arg(long, value_name = "PER_S", value_parser = options::positive)]
    pub rate: Option<f64>,
    /// How the requests of --rate lie
    #[arg(long, value_enum, default_value_t = Spacing::Poisson, value_name = "HOW")]
    pub spacing: Spacing,
    /// Closed loop: clients that ask as soon as they are answered; of HTTP/2, connections
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Requests on their way on each connection of HTTP/2
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub streams: u16,
    /// With --rate: beyond so many on their way, requests are not sent and counted as failed
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub max_in_flight: usize,
    /// In which order URLs are asked for
    #[arg(long, value_enum, default_value_t = Order::InTurn, value_name = "ORDER")]
    pub order: Order,
}

impl Pressure {
    /// As a mode.
    pub fn mode(&self) -> Mode {
        let connections = usize::from(self.connections);
        match self.rate {
            None => Mode::Closed { connections, streams: usize::from(self.streams) },
            Some(per_s) => Mode::Open {
                per_s,
                spacing: self.spacing,
                max_in_flight: self.max_in_flight,
                connections,
            },
        }
    }

    /// In words.
    pub fn told(&self) -> String {
        match self.mode() {
            Mode::Closed { connections, .. } => format!("closed loop, {connections} connections"),
            Mode::Open { per_s, spacing, .. } => format!("open loop, {per_s}/s, {spacing:?}"),
        }
    }
}

impl Fetch {
    /// Runs it and writes its report.
    pub async fn run(&self) -> Result<Report, Error> {
        self.output.check(&KNOWN)?;
        if self.settle_s.is_some_and(|settle_s| settle_s >= self.duration_s.unwrap_or(DURATION_S)) {
            let told = "--settle-s leaves nothing of --duration-s to measure";
            return Err(Error::usage(told.to_owned()));
        }
        let network = Network::new(&self.speak).map_err(Error::usage)?;
        let pieces = self.sources.gather(&network, None, &self.named).await?;
        let targets = targets(&network, &pieces, |piece| Ok(address::key(&piece.url))).await?;
        let (sums, warmup_failed) = self.warm(&network, &targets).await?;
        let opened_before = network.opened.get();
        let settle = self.settle_s.map_or(Duration::ZERO, number::seconds);
        let live = Live::start(Tally::with(sums).settling(settle));
        let (harness, watch) = (Harness::start(), live.watch(!self.output.quiet));
        let elapsed = load::run(
            &network,
            &targets,
            self.pressure.mode(),
            self.feed(targets.len()),
            Chance::of(self.output.seed, 1),
            &live,
        )
        .await;
        watch.abort();
        let share = harness.share();
        let tally = live.finish();
        self.write_sums(&tally.sums)?;
        let mut figures = Figures::default();
        figures.say("urls", targets.len() as f64);
        tally.say(&mut figures, elapsed);
        figures.say("connections", (network.opened.get() - opened_before) as f64);
        figures.say("warmup_failed", warmup_failed as f64);
        figures.say("harness_cpu_share", share);
        figures.say_latency("ttfb", tally.ttfb);
        figures.say_latency("time", tally.time);
        let mut report = Report {
            command: "fetch",
            settings: vec![
                ("load", self.pressure.told()),
                ("settling", format!("{} s", settle.as_secs_f64())),
                ("caches", if self.cold { "cold" } else { "warm" }.to_owned()),
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

    fn feed(&self, count: usize) -> Feed {
        let chance = Chance::of(self.output.seed, 0);
        let most = if self.cold { Some(count as u64) } else { self.requests };
        let until = match (self.duration_s, most) {
            (Some(seconds), _) => number::seconds(seconds),
            (None, Some(_)) => Duration::MAX,
            (None, None) => number::seconds(DURATION_S),
        };
        Feed::new(self.pressure.order, count, chance, most.unwrap_or(u64::MAX), until)
    }

    /// The sums of a list, or of one answer to each URL; and how many of those failed.
    async fn warm(
        &self,
        network: &Rc<Network>,
        targets: &Rc<[Target]>,
    ) -> Result<(Sums, u64), Error> {
        let listed = match &self.sums {
            None => Sums::default(),
            Some(path) => {
                let told = |what: String| Error::usage(format!("{}: {what}", path.display()));
                let text =
                    std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
                Sums::parse(&text).map_err(told)?
            }
        };
        if self.cold {
            return Ok((listed, 0));
        }
        warm(network, targets, listed).await
    }

    fn write_sums(&self, sums: &Sums) -> Result<(), Error> {
        let Some(path) = &self.write_sums else { return Ok(()) };
        std::fs::write(path, sums.print())
            .map_err(|error| Error::run(format!("{}: {error}", path.display())))
    }
}

/// Requests for pieces, known by what `key` says.
pub async fn targets(
    network: &Rc<Network>,
    pieces: &[Piece],
    key: impl Fn(&Piece) -> Result<String, Error>,
) -> Result<Rc<[Target]>, Error> {
    let mut targets = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let ask = Ask::new(network, piece, &[]).await.map_err(Error::run)?;
        let (mut key, mut wanted_status) = (key(piece)?, 200);
        if let Some(range) = &piece.range {
            key.push_str(&format!("#{}-{}", range.start, range.end));
            wanted_status = 206;
        }
        targets.push(Target { key, ask, wanted_status });
    }
    Ok(targets.into())
}

/// Asks for each target once, so that caches have it; learns the sums of what is not listed. It is an
/// error only if nothing at all comes back.
pub async fn warm(
    network: &Rc<Network>,
    targets: &Rc<[Target]>,
    sums: Sums,
) -> Result<(Sums, u64), Error> {
    let mut tally = Tally::with(sums);
    let mut link = Link::own(network);
    for target in targets.iter() {
        let reply = link.get(&target.ask, Keep::Sum, None).await;
        tally.count(Delivery {
            key: &target.key,
            wanted_status: target.wanted_status,
            ttfb: Duration::ZERO,
            time: Duration::ZERO,
            at: Duration::ZERO,
            result: reply.result.map(|answer| (answer.status, answer.sum)),
        });
    }
    if tally.good() == 0 {
        let first = tally.failures.rows().next().map_or("", |(_, _, first)| first);
        return Err(Error::run(format!("no URL could be had: {first}")));
    }
    Ok((tally.sums, tally.failures.total()))
}
