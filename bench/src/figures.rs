//! What a run came to, by names: those of the table, of the JSON and of assertions.

use crate::failure::{Failure, Failures};
use crate::latency::Latency;

/// The names that a command knows, each with what it says.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Numbers.
    pub figures: &'static [(&'static str, &'static str)],
    /// Distributions of times; `p99_<name>_ms`, `mean_<name>_ms` and `max_<name>_ms` are figures.
    pub latencies: &'static [(&'static str, &'static str)],
    /// Figures of two servers; `a_<name>` and `b_<name>` are their medians, `ratio_<name>` that of
    /// A/B, `ratio_<name>_low` and `_high` its interval.
    pub compared: &'static [(&'static str, &'static str)],
}

impl Known {
    /// Whether an assertion may ask for it.
    pub fn has(&self, name: &str) -> bool {
        let of_latency =
            |(_, latency): (f64, &str)| self.latencies.iter().any(|(known, _)| *known == latency);
        self.figures.iter().any(|(known, _)| *known == name)
            || self.is_compared(name)
            || Failure::is_name(name)
            || split(name).is_some_and(of_latency)
    }

    /// Whether it is one of those of two servers, which reports show side by side.
    pub fn is_compared(&self, name: &str) -> bool {
        let ratio = name.strip_prefix("ratio_").map(|rest| {
            rest.strip_suffix("_low").or_else(|| rest.strip_suffix("_high")).unwrap_or(rest)
        });
        let side = ratio.or_else(|| name.strip_prefix("a_")).or_else(|| name.strip_prefix("b_"));
        side.is_some_and(|side| self.compared.iter().any(|(known, _)| *known == side))
    }

    /// What a name says; nothing where it is not one of the list itself.
    pub fn says(&self, name: &str) -> &'static str {
        let mut all = self.figures.iter().chain(self.latencies);
        all.find(|(known, _)| *known == name).map_or("", |(_, says)| says)
    }

    /// All names with what they say, for `--help`.
    pub fn told(&self) -> String {
        let mut text = String::from("Figures, for --assert and in --json:\n");
        for (name, says) in self.figures {
            text.push_str(&format!("  {name:<24} {says}\n"));
        }
        text.push_str(
            "How many failed so: status_503 (or another), cut_body, wrong_body, timeout,\n",
        );
        text.push_str("connect, no_answer, manifest, not_sent.\n");
        if !self.compared.is_empty() {
            text.push_str("Of both: a_<name>, b_<name>, ratio_<name>, ratio_<name>_low, _high:\n");
        }
        for (name, says) in self.compared {
            text.push_str(&format!("  {name:<24} {says}\n"));
        }
        if !self.latencies.is_empty() {
            text.push_str("Times: p50_<name>_ms, p99_..., p999_... (99.9 %), mean_..., max_...:\n");
        }
        for (name, says) in self.latencies {
            text.push_str(&format!("  {name:<24} {says}\n"));
        }
        text
    }
}

/// Numbers and distributions in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Numbers.
    pub values: Vec<(String, f64)>,
    /// Distributions.
    pub latencies: Vec<(&'static str, Latency)>,
}

impl Figures {
    /// Says a number.
    pub fn say(&mut self, name: impl Into<String>, value: f64) {
        self.values.push((name.into(), value));
    }

    /// Says a distribution.
    pub fn say_latency(&mut self, name: &'static str, latency: Latency) {
        self.latencies.push((name, latency));
    }

    /// A figure by its name; a kind of failure that did not come up is 0.
    pub fn value(&self, name: &str, failures: &Failures) -> Option<f64> {
        if let Some((_, value)) = self.values.iter().find(|(known, _)| known == name) {
            return Some(*value);
        }
        if let Some((share, latency)) = split(name) {
            let (_, latency) = self.latencies.iter().find(|(known, _)| *known == latency)?;
            return if share.is_nan() { latency.mean_ms() } else { latency.quantile_ms(share) };
        }
        let named = failures.rows().find(|(kind, _, _)| kind.to_string() == name);
        let count = named.map_or(0, |(_, count, _)| count);
        Failure::is_name(name).then_some(count as f64)
    }
}

/// `p99_ttfb_ms` as .99 and `ttfb`; `max` as 1, `mean` as no share.
fn split(name: &str) -> Option<(f64, &str)> {
    let (what, latency) = name.strip_suffix("_ms")?.split_once('_')?;
    let share = match what {
        "mean" => f64::NAN,
        "max" => 1.0,
        _ => {
            // Two digits are per cent, each further one is a decimal: p999 is 99.9 %.
            let digits = what.strip_prefix('p').filter(|digits| (2..=6).contains(&digits.len()))?;
            digits.bytes().all(|c| c.is_ascii_digit()).then_some(())?;
            format!("0.{digits}").parse().ok()?
        }
    };
    Some((share, latency))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KNOWN: Known = Known {
        figures: &[("failed", "failures")],
        latencies: &[("ttfb", "first byte")],
        compared: &[("p50_ttfb_ms", "")],
    };

    #[test]
    fn names_of_times() {
        for (name, wanted) in [
            ("p50_ttfb_ms", Some((0.5, "ttfb"))),
            ("p999_ttfb_ms", Some((0.999, "ttfb"))),
            ("max_time_ms", Some((1.0, "time"))),
            ("p5_ttfb_ms", None),
            ("p+9_ttfb_ms", None),
            ("p99_ttfb", None),
        ] {
            assert_eq!(split(name), wanted, "{name}");
        }
    }

    #[test]
    fn figures_by_name() {
        let (mut figures, mut failures) = (Figures::default(), Failures::default());
        figures.say("failed", 2.0);
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(5));
        latency.record(Duration::from_millis(15));
        figures.say_latency("ttfb", latency);
        failures.count(Failure::Status(503), String::new);
        for (name, wanted) in [
            ("failed", Some(2.0)),
            ("status_503", Some(1.0)),
            ("status_404", Some(0.0)),
            ("cut_body", Some(0.0)),
            ("p99_time_ms", None),
            ("nothing", None),
        ] {
            assert_eq!(figures.value(name, &failures), wanted, "{name}");
        }
        for (name, wanted) in [("p50_ttfb_ms", 5.0), ("mean_ttfb_ms", 10.0), ("max_ttfb_ms", 15.0)]
        {
            let got = figures.value(name, &failures).unwrap();
            assert!((got - wanted).abs() < 0.02, "{name}: {got}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_seen() {
        for (name, known) in [
            ("failed", true),
            ("p99_ttfb_ms", true),
            ("status_503", true),
            ("a_p50_ttfb_ms", true),
            ("ratio_p50_ttfb_ms_high", true),
            ("ratio_p51_ttfb_ms", false),
            ("c_p50_ttfb_ms", false),
            ("faild", false),
            ("p99_tfb_ms", false),
        ] {
            assert_eq!(KNOWN.has(name), known, "{name}");
        }
        assert!(KNOWN.told().contains("first byte"));
    }
}
