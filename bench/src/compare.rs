//! `compare A B`: the same work on two servers in turn, A B A B, so that what the machine does
//! beside it meets both. Ratios are of pairs of neighbours; a budget is judged by their whole
//! interval.

use std::rc::Rc;
use std::time::Duration;

use url::Url;

use crate::address;
use crate::chance::Chance;
use crate::client::{Network, Speak};
use crate::cpu::{self, Seconds};
use crate::discover::Sources;
use crate::error::Error;
use crate::failure::Failures;
use crate::feed::Feed;
use crate::fetch::{Pressure, targets, warm};
use crate::figures::{Figures, Known};
use crate::harness::Harness;
use crate::live::Live;
use crate::load::{self, Mode, Target};
use crate::manifest::Piece;
use crate::number::{self, ratio};
use crate::options;
use crate::output::Output;
use crate::report::{Budget, By, Comparison, Report, Row};
use crate::spread::{Spread, Verdict};
use crate::sums::Sums;
use crate::tally::Tally;

/// What is measured of both.
const COMPARED: [(&str, &str); 7] = [
    ("cpu_s_per_gb", "CPU seconds of the server for 10^9 bytes of good bodies"),
    ("user_s_per_gb", "of these, the seconds in the program itself, not in the kernel"),
    ("cpu_us_per_request", "CPU microseconds of the server for a good answer"),
    ("rate_per_s", "good answers a second"),
    ("gbit_s", "their bodies, Gbit/s"),
    ("p50_ttfb_ms", "half of the good answers began within"),
    ("p99_ttfb_ms", "99 % of them did"),
];

/// What its figures are called.
pub const KNOWN: Known = Known {
    figures: &[
        ("pairs", "turns of each server"),
        ("urls", "URLs in the set"),
        ("requests_per_turn", "the work of a turn"),
        ("requests", "requests of all turns"),
        ("failed", "not answered well, by A and by B"),
        ("a_failed", "by A"),
        ("b_failed", "by B"),
        ("failed_share", "failed of requests"),
        ("verified", "bodies that were compared with an earlier one of either"),
        ("harness_cpu_share", "of one core, that the harness itself took"),
    ],
    latencies: &[],
    compared: &COMPARED,
};

/// Those of which less is better: what a budget can be of.
const COSTS: [&str; 5] =
    ["cpu_s_per_gb", "user_s_per_gb", "cpu_us_per_request", "p50_ttfb_ms", "p99_ttfb_ms"];

/// Ticks of the kernel's account that a turn should have, for a step of 1 %.
const ENOUGH_TICKS: f64 = 100.0;

/// What `compare` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Compare {
    /// The server in question, with the path below which the work lies: http://127.0.0.1:8080/clear
    a: String,
    /// The server to compare with
    b: String,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    speak: Speak,
    #[command(flatten)]
    pressure: Pressure,
    /// Pairs of turns; a budget wants at least 5
    #[arg(long, value_name = "COUNT", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pairs: u16,
    /// Requests of a turn [default: as many as A answers in --turn-s]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Seconds that a turn should take
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = options::positive)]
    turn_s: f64,
    /// A's process; its children count too
    #[arg(long, value_name = "PID")]
    pid_a: Option<u32>,
    /// B's process
    #[arg(long, value_name = "PID")]
    pid_b: Option<u32>,
    /// What A/B may be at most: kept or missed by the whole interval
    #[arg(long, value_name = "RATIO", value_parser = options::positive)]
    budget: Option<f64>,
    /// What A may cost more than B at most, A - B: kept or missed by the whole interval
    #[arg(long, value_name = "COST", value_parser = options::positive, conflicts_with = "budget")]
    budget_more: Option<f64>,
    /// What A may cost at most by itself: kept or missed by the whole interval
    #[arg(long, value_name = "COST", value_parser = options::positive, conflicts_with_all = ["budget", "budget_more"])]
    budget_own: Option<f64>,
    /// What the budget is of [default: cpu_s_per_gb with both processes, else p50_ttfb_ms]
    #[arg(long, value_name = "FIGURE")]
    of: Option<String>,
    /// Each server's bodies are compared with its own only
    #[arg(long)]
    bodies_may_differ: bool,
    #[command(flatten)]
    output: Output,
}

/// One server.
struct Side {
    url: Url,
    targets: Rc<[Target]>,
    pid: Option<u32>,
    sums: Sums,
    turns: Vec<Vec<(&'static str, f64)>>,
    failures: Failures,
}

impl Compare {
    /// Runs it and writes its report.
    pub async fn run(&self) -> Result<Report, Error> {
        self.output.check(&KNOWN)?;
        let budget_of = self.budget_of()?;
        let network = Network::new(&self.speak).map_err(Error::usage)?;
        let a_url = address::parse(&self.a).map_err(Error::usage)?;
        let b_url = address::parse(&self.b).map_err(Error::usage)?;
        let pieces = self.sources.gather(&network, Some(&a_url), &[]).await?;
        let mut sides = [
            self.side(&network, &pieces, [&a_url, &a_url], self.pid_a).await?,
            self.side(&network, &pieces, [&a_url, &b_url], self.pid_b).await?,
        ];
        let harness = Harness::start();
        let per_turn = self.warm(&network, &mut sides).await?;
        let (mut good, mut verified, mut least_cpu_s) = (0, 0, f64::MAX);
        for turn in 0..self.pairs {
            for n in 0..sides.len() {
                self.tell(turn, n);
                let side = &mut sides[n];
                let (tally, values, cpu_s) = self.turn(&network, side, per_turn, turn).await?;
                good += tally.good();
                verified += tally.verified;
                least_cpu_s = least_cpu_s.min(cpu_s.map_or(f64::MAX, |cpu_s| cpu_s.all));
                side.failures.add(&tally.failures);
                side.turns.push(values);
                let sums = tally.sums;
                // What either has shown the other must show too.
                let shown = if self.bodies_may_differ { n } else { 1 - n };
                sides[shown].sums = sums;
            }
        }
        self.tell(self.pairs, 0);
        let share = harness.share();
        let [a, b] = &sides;
        let rows = rows(&a.turns, &b.turns);
        let mut figures = Figures::default();
        let mut failures = a.failures.clone();
        failures.add(&b.failures);
        let failed = failures.total() as f64;
        figures.say("pairs", f64::from(self.pairs));
        figures.say("urls", a.targets.len() as f64);
        figures.say("requests_per_turn", per_turn as f64);
        figures.say("requests", good as f64 + failed);
        figures.say("failed", failed);
        figures.say("a_failed", a.failures.total() as f64);
        figures.say("b_failed", b.failures.total() as f64);
        figures.say("failed_share", ratio(failed, good as f64 + failed));
        figures.say("verified", verified as f64);
        figures.say("harness_cpu_share", share);
        for row in &rows {
            say_row(&mut figures, row);
        }
        let mut notes: Vec<_> = Harness::note(share).into_iter().collect();
        if least_cpu_s < ENOUGH_TICKS * cpu::tick_seconds() {
            notes.push(format!(
                "a turn took {least_cpu_s:.2} s of CPU, which the kernel counts in steps of {} s: \
                 longer turns (--turn-s) are finer",
                cpu::tick_seconds()
            ));
        }
        let unmeasured = |of: &str| !rows.iter().any(|row| row.name == of);
        if self.limit().is_some() && unmeasured(budget_of) {
            notes.push(format!(
                "{budget_of} was not above 0 in every turn: there is nothing to judge"
            ));
        }
        let mut report = Report {
            command: "compare",
            settings: vec![
                ("load", self.pressure.told()),
                ("turns", format!("{} pairs of {per_turn} requests", self.pairs)),
                ("http", format!("{:?}", self.speak.http)),
                ("seed", self.output.seed.to_string()),
            ],
            known: &KNOWN,
            figures,
            failures,
            seconds: Vec::new(),
            comparison: Some(Comparison {
                servers: [a.url.to_string(), b.url.to_string()],
                budget: self.judge(budget_of, &rows),
                rows,
            }),
            notes,
            checked: Vec::new(),
        };
        self.output.write(&mut report)?;
        Ok(report)
    }

    fn budget_of(&self) -> Result<&'static str, Error> {
        let both = self.pid_a.is_some() && self.pid_b.is_some();
        let default = if both { "cpu_s_per_gb" } else { "p50_ttfb_ms" };
        let wanted = self.of.as_deref().unwrap_or(default);
        let Some(name) = COSTS.into_iter().find(|name| *name == wanted) else {
            let costs = COSTS.join(", ");
            return Err(Error::usage(format!("--of {wanted}: expected a cost, one of {costs}")));
        };
        if self.of.is_some() && self.limit().is_none() {
            return Err(Error::usage(
                "--of wants --budget, --budget-more or --budget-own".to_owned(),
            ));
        }
        if (name.starts_with("cpu") || name.starts_with("user")) && !both {
            return Err(Error::usage(format!("--of {name} wants --pid-a and --pid-b")));
        }
        Ok(name)
    }

    /// What could not be measured in every turn keeps no budget, and misses none.
    fn judge(&self, of: &'static str, rows: &[Row]) -> Option<Budget> {
        let (by, limit) = self.limit()?;
        let row = rows.iter().find(|row| row.name == of);
        let verdict = row.map_or(Verdict::Undecided, |row| {
            let judged = match by {
                By::Ratio => &row.ratio,
                By::More => &row.more,
                By::Own => &row.a,
            };
            judged.judge(limit)
        });
        Some(Budget { of, by, limit, verdict })
    }

    /// The budget that was given, and what it limits.
    fn limit(&self) -> Option<(By, f64)> {
        let ratio = self.budget.map(|limit| (By::Ratio, limit));
        let more = self.budget_more.map(|limit| (By::More, limit));
        ratio.or(more).or(self.budget_own.map(|limit| (By::Own, limit)))
    }

    /// A server's requests: what lies below `from` is asked for below `to`.
    async fn side(
        &self,
        network: &Rc<Network>,
        pieces: &[Piece],
        [from, to]: [&Url; 2],
        pid: Option<u32>,
    ) -> Result<Side, Error> {
        let moved = pieces.iter().map(|piece| {
            let url = address::rebase(&piece.url, from, to).map_err(Error::usage)?;
            Ok(Piece { url, range: piece.range.clone() })
        });
        let moved = moved.collect::<Result<Vec<_>, Error>>()?;
        let below = |piece: &Piece| {
            let bare = address::rebase(&piece.url, to, &root(to)).map_err(Error::usage)?;
            Ok(address::key(&bare))
        };
        let targets = targets(network, &moved, below).await?;
        let url = to.clone();
        Ok(Side {
            url,
            targets,
            pid,
            sums: Sums::default(),
            turns: Vec::new(),
            failures: Failures::default(),
        })
    }

    /// Warms both; how much work a turn is.
    async fn warm(&self, network: &Rc<Network>, sides: &mut [Side; 2]) -> Result<u64, Error> {
        let [a, b] = sides;
        let (sums, _) = warm(network, &a.targets, Sums::default()).await?;
        let for_b = if self.bodies_may_differ { Sums::default() } else { sums.clone() };
        (b.sums, _) = warm(network, &b.targets, for_b).await?;
        a.sums = sums;
        if let Some(requests) = self.requests {
            return Ok(requests);
        }
        if let Mode::Open { per_s, .. } = self.pressure.mode() {
            return Ok(number::whole(per_s * self.turn_s).max(1));
        }
        let feed = Feed::new(
            self.pressure.order,
            a.targets.len(),
            Chance::of(self.output.seed, 0),
            u64::MAX,
            number::seconds(self.turn_s),
        );
        let live = Live::start(Tally::with(a.sums.clone()));
        let chance = Chance::of(self.output.seed, 1);
        load::run(network, &a.targets, self.pressure.mode(), feed, chance, &live).await;
        Ok(live.finish().requests().max(1))
    }

    /// One turn of one server: the same draws as its neighbour's.
    async fn turn(
        &self,
        network: &Rc<Network>,
        side: &mut Side,
        requests: u64,
        turn: u16,
    ) -> Result<(Tally, Vec<(&'static str, f64)>, Option<Seconds>), Error> {
        let seed = self.output.seed;
        let feed = Feed::new(
            self.pressure.order,
            side.targets.len(),
            Chance::of(seed, 2 * u64::from(turn)),
            requests,
            Duration::MAX,
        );
        let live = Live::start(Tally::with(std::mem::take(&mut side.sums)));
        let chance = Chance::of(seed, 2 * u64::from(turn) + 1);
        let cpu_of = |pid: Option<u32>| pid.map(cpu::tree_seconds).transpose().map_err(Error::run);
        let before = cpu_of(side.pid)?;
        let elapsed =
            load::run(network, &side.targets, self.pressure.mode(), feed, chance, &live).await;
        let cpu_s = cpu_of(side.pid)?.zip(before).map(|(after, before)| after.since(before));
        let tally = live.finish();
        let values = measured(&tally, elapsed, cpu_s);
        Ok((tally, values, cpu_s))
    }

    fn tell(&self, turn: u16, side: usize) {
        use std::io::{IsTerminal, Write, stderr};
        if self.output.quiet || !stderr().is_terminal() {
            return;
        }
        let text = match turn {
            turn if turn == self.pairs => String::new(),
            turn => format!("pair {} of {}: {}", turn + 1, self.pairs, ["A", "B"][side]),
        };
        let _ = write!(stderr(), "\r\x1b[K{text}");
    }
}

/// The server's own root.
fn root(url: &Url) -> Url {
    let mut root = url.clone();
    root.set_path("/");
    root
}

/// What a turn came to; what could not be measured is left out.
fn measured(tally: &Tally, elapsed: Duration, cpu_s: Option<Seconds>) -> Vec<(&'static str, f64)> {
    let (good, bytes) = (tally.good() as f64, tally.bytes as f64);
    let elapsed_s = elapsed.as_secs_f64();
    let values = [
        ("cpu_s_per_gb", cpu_s.map(|cpu_s| ratio(cpu_s.all, bytes * 1e-9))),
        ("user_s_per_gb", cpu_s.map(|cpu_s| ratio(cpu_s.user, bytes * 1e-9))),
        ("cpu_us_per_request", cpu_s.map(|cpu_s| ratio(cpu_s.all * 1e6, good))),
        ("rate_per_s", Some(ratio(good, elapsed_s))),
        ("gbit_s", Some(ratio(bytes * 8e-9, elapsed_s))),
        ("p50_ttfb_ms", tally.ttfb.quantile_ms(0.5)),
        ("p99_ttfb_ms", tally.ttfb.quantile_ms(0.99)),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Both servers' turns, pair by pair. A figure without a value above 0 in every turn has no ratio.
fn rows(a: &[Vec<(&'static str, f64)>], b: &[Vec<(&'static str, f64)>]) -> Vec<Row> {
    let of = |turns: &[Vec<(&'static str, f64)>], wanted: &str| {
        let find = |turn: &Vec<(&'static str, f64)>| {
            turn.iter()
                .find(|(name, value)| *name == wanted && *value > 0.0)
                .map(|(_, value)| *value)
        };
        turns.iter().map(find).collect::<Option<Vec<f64>>>()
    };
    let row = |name: &'static str| {
        let (a, b) = (of(a, name)?, of(b, name)?);
        let ratios: Vec<_> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
        let more: Vec<_> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let (a, b, more) = (Spread::of(&a)?, Spread::of(&b)?, Spread::of(&more)?);
        Some(Row { name, a, b, more, ratio: Spread::of(&ratios)?, ratios })
    };
    COMPARED.iter().filter_map(|(name, _)| row(name)).collect()
}

fn say_row(figures: &mut Figures, row: &Row) {
    figures.say(format!("a_{}", row.name), row.a.median);
    figures.say(format!("b_{}", row.name), row.b.median);
    figures.say(format!("ratio_{}", row.name), row.ratio.median);
    figures.say(format!("ratio_{}_low", row.name), row.ratio.low);
    figures.say(format!("ratio_{}_high", row.name), row.ratio.high);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that slows down over the run slows both: ratios of neighbours do not move.
    #[test]
    fn ratios_are_of_neighbours() {
        let turns =
            |times: f64| (1..=5).map(|n| vec![("rate_per_s", f64::from(n) * times)]).collect();
        let (a, b): (Vec<_>, Vec<_>) = (turns(1.2), turns(1.0));
        let rows = rows(&a, &b);
        assert_eq!(rows.len(), 1);
        let more = rows[0].more;
        assert!((more.median - 0.6).abs() < 1e-9 && more.low < more.high, "{more:?}");
        let Spread { median, low, high, .. } = rows[0].ratio;
        for value in [median, low, high] {
            assert!((value - 1.2).abs() < 1e-9, "{value}");
        }
        assert!(rows[0].a.high > 4.0 * rows[0].a.low);
    }

    #[test]
    fn what_a_turn_lacks_has_no_ratio() {
        let a = vec![vec![("p50_ttfb_ms", 1.0), ("rate_per_s", 5.0)], vec![("rate_per_s", 5.0)]];
        let b = vec![vec![("p50_ttfb_ms", 1.0), ("rate_per_s", 5.0)]; 2];
        let names: Vec<_> = rows(&a, &b).iter().map(|row| row.name).collect();
        assert_eq!(names, ["rate_per_s"]);
        let idle = vec![vec![("cpu_s_per_gb", 0.0)]; 2];
        assert!(rows(&idle, &idle).is_empty());
    }

    #[test]
    fn a_turn_by_its_parts() {
        let mut tally = Tally::default();
        for _ in 0..1000 {
            tally.count(crate::tally::Delivery {
                key: "/a",
                wanted_status: 200,
                ttfb: Duration::from_millis(2),
                time: Duration::from_millis(3),
                at: Duration::ZERO,
                result: Ok((200, crate::sums::Sum { crc32c: 1, len_bytes: 2_000_000 })),
            });
        }
        let values =
            measured(&tally, Duration::from_secs(4), Some(Seconds { all: 0.5, user: 0.2 }));
        let value = |wanted| values.iter().find(|(name, _)| *name == wanted).unwrap().1;
        for (name, wanted) in [
            ("cpu_s_per_gb", 0.25),
            ("user_s_per_gb", 0.1),
            ("cpu_us_per_request", 500.0),
            ("rate_per_s", 250.0),
            ("gbit_s", 4.0),
        ] {
            assert!((value(name) / wanted - 1.0).abs() < 1e-9, "{name}: {}", value(name));
        }
        assert!(
            !measured(&tally, Duration::from_secs(4), None)
                .iter()
                .any(|(name, _)| name.starts_with("cpu"))
        );
    }
}
