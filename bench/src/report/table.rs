//! A report as plain text.

use super::{By, Comparison, Report, SHARES, digits};
use crate::spread::{Spread, Verdict};

/// The whole of it.
pub fn render(report: &Report) -> String {
    let mut text = format!("headwater-bench {}\n", report.command);
    for (name, value) in &report.settings {
        text.push_str(&format!("  {name:<14} {value}\n"));
    }
    if let Some(comparison) = &report.comparison {
        text.push('\n');
        text.push_str(&compared(comparison));
    }
    text.push('\n');
    for (name, value) in report.plain_figures() {
        let says = report.known.says(name);
        text.push_str(format!("  {name:<24} {:>12}  {says}", digits(*value)).trim_end());
        text.push('\n');
    }
    text.push_str(&times(report));
    if report.failures.total() > 0 {
        text.push_str("\n  failures\n");
        for (kind, count, example) in report.failures.rows() {
            text.push_str(&format!("  {:<24} {count:>12}  first: {example}\n", kind.to_string()));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text.push('\n');
    for checked in &report.checked {
        let word = if checked.held { "held  " } else { "MISSED" };
        let got = checked.got.map_or_else(|| "not measured".to_owned(), digits);
        text.push_str(&format!("{word} {} (got {got})\n", checked.assertion));
    }
    text
}

/// How two servers compare.
fn compared(comparison: &Comparison) -> String {
    let [a, b] = &comparison.servers;
    let mut text = format!("  A {a}\n  B {b}\n\n");
    text.push_str(&format!(
        "  {:<20} {:>12} {:>12}  {}\n",
        "median", "A", "B", "A/B, with its interval"
    ));
    for row in &comparison.rows {
        text.push_str(&format!(
            "  {:<20} {:>12} {:>12}  {}\n",
            row.name,
            digits(row.a.median),
            digits(row.b.median),
            spread(&row.ratio)
        ));
    }
    if let Some(budget) = &comparison.budget {
        let word = match budget.verdict {
            Verdict::Kept => "kept: the whole interval is within it",
            Verdict::Missed => "MISSED: the whole interval is beyond it",
            Verdict::Undecided => "UNDECIDED: measure more pairs",
        };
        let row = comparison.rows.iter().find(|row| row.name == budget.of);
        let of = match budget.by {
            By::Ratio => budget.of.to_owned(),
            By::More => format!("A-B of {}", budget.of),
            By::Own => format!("A's {}", budget.of),
        };
        let shown = match budget.by {
            By::Ratio => None,
            By::More => row.map(|row| row.more),
            By::Own => row.map(|row| row.a),
        };
        let shown = shown.map(|shown| format!(" (got {})", spread(&shown))).unwrap_or_default();
        text.push_str(&format!("\n  budget {of} <= {}: {word}{shown}\n", budget.limit));
    }
    text
}

/// `1.05 [1.02, 1.09] 96 % of 8`.
pub fn spread(spread: &Spread) -> String {
    let Spread { count, median, low, high, confidence } = spread;
    format!("{median:.3} [{low:.3}, {high:.3}] {:.0} % of {count} pairs", confidence * 100.0)
}

fn times(report: &Report) -> String {
    if report.figures.latencies.is_empty() {
        return String::new();
    }
    let mut text = format!("\n  {:<12} {:>9}", "ms", "count");
    for (share, _) in SHARES {
        text.push_str(&format!(" {share:>9}"));
    }
    text.push_str(&format!(" {:>9}\n", "mean"));
    for (name, latency) in &report.figures.latencies {
        text.push_str(&format!("  {name:<12} {:>9}", latency.count()));
        let shares = SHARES.iter().map(|(_, share)| latency.quantile_ms(*share));
        for value in shares.chain([latency.mean_ms()]) {
            text.push_str(&format!(" {:>9}", value.map_or_else(|| "-".to_owned(), digits)));
        }
        text.push_str(&format!("  {}\n", report.known.says(name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn everything_is_told() {
        let mut report = sample();
        report.check(&["p50_ttfb_ms<1".parse().unwrap()]);
        let text = render(&report);
        for part in [
            "headwater-bench compare",
            "rate           100/s <even>",
            "12,345  asked",
            "status_503                          1  first: GET /a<b>: 503",
            "1.100 [1.000, 1.200] 94 % of 5 pairs",
            "budget cpu_s_per_gb <= 1.15: UNDECIDED",
            "MISSED failed==0 (got 1)",
            "MISSED p50_ttfb_ms<1 (got 250.1)",
            "note: the harness took 91 %",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
