//! What a run tells: as a table for people, as JSON for programs, as one HTML file with plots.

pub mod html;
pub mod json;
pub mod svg;
pub mod table;

use crate::assertion::{Assertion, Checked};
use crate::failure::Failures;
use crate::figures::{Figures, Known};
use crate::series::Second;
use crate::spread::{Spread, Verdict};

/// Everything about a run.
#[derive(Debug)]
pub struct Report {
    /// `fetch`, `compare` or `play`.
    pub command: &'static str,
    /// What was asked for, in words.
    pub settings: Vec<(&'static str, String)>,
    /// What its names mean.
    pub known: &'static Known,
    /// Its figures.
    pub figures: Figures,
    /// What failed.
    pub failures: Failures,
    /// How it went, second by second.
    pub seconds: Vec<Second>,
    /// Two servers side by side.
    pub comparison: Option<Comparison>,
    /// What makes its figures weaker than they look.
    pub notes: Vec<String>,
    /// What was asserted.
    pub checked: Vec<Checked>,
}

/// Two servers over the same pairs of turns.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Comparison {
    /// Where A and B are.
    pub servers: [String; 2],
    /// What was measured of both.
    pub rows: Vec<Row>,
    /// What was asked of it.
    pub budget: Option<Budget>,
}

/// One figure of both.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its spread over A's turns.
    pub a: Spread,
    /// Over B's.
    pub b: Spread,
    /// The spread of A-B over pairs.
    pub more: Spread,
    /// The spread of A/B over pairs.
    pub ratio: Spread,
    /// A/B of each pair.
    pub ratios: Vec<f64>,
}

/// What a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A/B.
    Ratio,
    /// A-B.
    More,
    /// A alone.
    Own,
}

/// A limit.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Budget {
    /// Of which figure.
    pub of: &'static str,
    /// Of what of it.
    pub by: By,
    /// At most this.
    pub limit: f64,
    /// What came of it.
    pub verdict: Verdict,
}

/// How a run ends, by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was asked of it holds.
    Held,
    /// Something does not.
    Missed,
    /// All that can be said holds, but an interval lies across its budget.
    Undecided,
}

impl Report {
    /// Checks what must hold. Failures are never passed over: if no assertion speaks of them, there
    /// must be none.
    pub fn check(&mut self, assertions: &[Assertion]) {
        let speaks = |assertion: &Assertion| {
            assertion.name.starts_with("failed")
                || crate::failure::Failure::is_name(&assertion.name)
        };
        let silent = !assertions.iter().any(speaks);
        let implied = silent.then(|| Assertion::equal("failed", 0.0));
        self.checked = implied
            .iter()
            .chain(assertions)
            .map(|assertion| assertion.check(self.figures.value(&assertion.name, &self.failures)))
            .collect();
    }

    /// Figures that are not shown side by side anyway.
    fn plain_figures(&self) -> impl Iterator<Item = &(String, f64)> {
        self.figures.values.iter().filter(|(name, _)| !self.known.is_compared(name))
    }

    /// What comes of it all.
    pub fn outcome(&self) -> Outcome {
        let budget = self.comparison.as_ref().and_then(|two| two.budget.as_ref());
        let verdict = budget.map(|budget| budget.verdict);
        if verdict == Some(Verdict::Missed) || self.checked.iter().any(|checked| !checked.held) {
            return Outcome::Missed;
        }
        if verdict == Some(Verdict::Undecided) { Outcome::Undecided } else { Outcome::Held }
    }
}

/// A number with as many digits as are worth reading.
pub fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e15 {
        let whole = format!("{magnitude:.0}");
        let mut grouped = String::new();
        for (n, c) in whole.chars().enumerate() {
            if n > 0 && (whole.len() - n).is_multiple_of(3) && whole.len() > 4 {
                grouped.push(',');
            }
            grouped.push(c);
        }
        return if value < 0.0 { format!("-{grouped}") } else { grouped };
    }
    match magnitude {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        1.0.. => format!("{value:.3}"),
        0.001.. => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// Shares and their names, as tables and plots show them.
pub const SHARES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999), ("max", 1.0)];

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Failure;
    use crate::latency::Latency;

    pub const KNOWN: Known = Known {
        figures: &[("requests", "asked"), ("failed", "not answered well")],
        latencies: &[("ttfb", "first byte")],
        compared: &[],
    };

    /// A report with something in every part.
    pub fn sample() -> Report {
        let mut figures = Figures::default();
        figures.say("requests", 12_345.0);
        figures.say("failed", 1.0);
        let mut latency = Latency::default();
        (1..=1000).for_each(|n| latency.record(Duration::from_micros(n * n)));
        figures.say_latency("ttfb", latency);
        let mut failures = Failures::default();
        failures.count(Failure::Status(503), || "GET /a<b>: 503".to_owned());
        let second = |at_s: usize| Second {
            at_s,
            good: 100 + at_s as u64,
            p50_ttfb_ms: 2.0,
            p99_ttfb_ms: 9.5,
            ..Second::default()
        };
        let ratios = vec![1.0, 1.1, 1.05, 1.2, 1.15];
        let spread = Spread::of(&ratios).unwrap();
        let row =
            Row { name: "cpu_s_per_gb", a: spread, b: spread, more: spread, ratio: spread, ratios };
        let budget =
            Budget { of: "cpu_s_per_gb", by: By::Ratio, limit: 1.15, verdict: spread.judge(1.15) };
        Report {
            command: "compare",
            settings: vec![("rate", "100/s <even>".to_owned())],
            known: &KNOWN,
            figures,
            failures,
            seconds: (0..20).map(second).collect(),
            comparison: Some(Comparison {
                servers: ["http://a".to_owned(), "http://b".to_owned()],
                rows: vec![row],
                budget: Some(budget),
            }),
            notes: vec!["the harness took 91 % of its core".to_owned()],
            checked: Vec::new(),
        }
    }

    #[test]
    fn failures_are_never_passed_over() {
        let parse = |text: &str| text.parse::<Assertion>().unwrap();
        let mut report = sample();
        report.comparison = None;
        for (assertions, wanted) in [
            (vec![], Outcome::Missed),
            (vec![parse("p99_ttfb_ms<5000")], Outcome::Missed),
            (vec![parse("failed<=1")], Outcome::Held),
            (vec![parse("status_503<2")], Outcome::Held),
            (vec![parse("failed<=1"), parse("requests<5")], Outcome::Missed),
        ] {
            report.check(&assertions);
            assert_eq!(report.outcome(), wanted, "{assertions:?}");
        }
    }

    #[test]
    fn a_budget_decides_the_end() {
        let mut report = sample();
        report.check(&["failed<=1".parse().unwrap()]);
        for (verdict, wanted) in [
            (Verdict::Kept, Outcome::Held),
            (Verdict::Undecided, Outcome::Undecided),
            (Verdict::Missed, Outcome::Missed),
        ] {
            report.comparison.as_mut().unwrap().budget.as_mut().unwrap().verdict = verdict;
            assert_eq!(report.outcome(), wanted);
        }
        report.checked[0].held = false;
        assert_eq!(report.outcome(), Outcome::Missed);
    }

    #[test]
    fn numbers_are_readable() {
        for (value, wanted) in [
            (0.0, "0"),
            (1234.0, "1234"),
            (12_345.0, "12,345"),
            (1_234_567.0, "1,234,567"),
            (-12_345.0, "-12,345"),
            (1234.56, "1235"),
            (12.345, "12.35"),
            (0.01234, "0.0123"),
            (0.000_123, "1.23e-4"),
        ] {
            assert_eq!(digits(value), wanted);
        }
    }
}
