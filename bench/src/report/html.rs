//! A report as one HTML file: tables and plots, nothing loaded from anywhere.

use super::svg::{Dots, Line, Plot, Scale, escaped};
use super::table::spread;
use super::{By, Report, Row, SHARES, digits};
use crate::series::Second;
use crate::spread::Verdict;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn render(report: &Report) -> String {
    let about: Vec<_> =
        report.settings.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>headwater-bench {0}</title><style>\n{STYLE}</style></head><body>\n\
         <h1>headwater-bench {0}</h1><p class=\"about\">{1}</p><main>\n",
        report.command,
        escaped(&about.join(" · "))
    );
    page.push_str(&section("Asserted", true, asserted(report)));
    page.push_str(&section("A over B", true, compared(report)));
    page.push_str(&section("Share of answers within a time", false, distribution(report)));
    let (good, failed): (Vec<_>, Vec<_>) =
        (over(report, |s| s.good as f64), over(report, |s| s.failed as f64));
    page.push_str(&section(
        "Answers a second",
        false,
        time_line("answers/s", Scale::Linear, vec![("good", good), ("failed", failed)]),
    ));
    let (p50, p99) = (over(report, |s| s.p50_ttfb_ms), over(report, |s| s.p99_ttfb_ms));
    page.push_str(&section(
        "First byte",
        false,
        time_line("ms", Scale::Log, vec![("half within", p50), ("99 % within", p99)]),
    ));
    let (active, stalled) = (over(report, |s| s.active as f64), over(report, |s| s.stalled as f64));
    page.push_str(&section(
        "On their way",
        false,
        time_line("at once", Scale::Linear, vec![("all", active), ("stalled", stalled)]),
    ));
    page.push_str(&section(
        "Rate",
        false,
        time_line(
            "Mbit/s",
            Scale::Linear,
            vec![("bodies", over(report, |s| s.bytes as f64 * 8e-6))],
        ),
    ));
    page.push_str(&section("Figures", true, Some(figures(report))));
    page.push_str(&section("Times in ms", true, times(report)));
    page.push_str(&section("Failures", true, failures(report)));
    let notes: String =
        report.notes.iter().map(|note| format!("<p>{}</p>", escaped(note))).collect();
    page.push_str(&section("Notes", true, (!notes.is_empty()).then_some(notes)));
    page + "</main></body></html>\n"
}

fn section(title: &str, wide: bool, content: Option<String>) -> String {
    let class = if wide { " class=\"wide\"" } else { "" };
    content.map_or_else(String::new, |content| {
        format!("<section{class}><h2>{title}</h2><div class=\"scroll\">{content}</div></section>\n")
    })
}

/// A table; columns from the second on are numbers, those after `numbers` are words again.
fn table(head: &[&str], numbers: usize, rows: &[Vec<String>]) -> String {
    let class = |n: usize| match n {
        0 => "",
        n if n <= numbers => " class=\"n\"",
        _ => " class=\"says\"",
    };
    let cells = |tag: &str, row: &[String]| -> String {
        row.iter()
            .enumerate()
            .map(|(n, cell)| format!("<{tag}{}>{}</{tag}>", class(n), escaped(cell)))
            .collect()
    };
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    let body: String = rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
    format!("<table><tr>{}</tr>{body}</table>", cells("th", &head))
}

fn asserted(report: &Report) -> Option<String> {
    let lines = report.checked.iter().map(|checked| {
        let (class, word) = if checked.held { ("held", "held") } else { ("missed", "missed") };
        let got = checked.got.map_or_else(|| "not measured".to_owned(), digits);
        format!(
            "<div class=\"{class}\">{word}: {} <small>(got {got})</small></div>",
            escaped(&checked.assertion)
        )
    });
    let budget = report.comparison.as_ref().and_then(|two| two.budget.as_ref()).map(|budget| {
        let (class, word) = match budget.verdict {
            Verdict::Kept => ("held", "kept"),
            Verdict::Missed => ("missed", "missed"),
            Verdict::Undecided => ("missed", "undecided, measure more pairs"),
        };
        format!("<div class=\"{class}\">budget {} &lt;= {}: {word}</div>", budget.of, budget.limit)
    });
    let all: String = lines.chain(budget).collect();
    (!all.is_empty()).then_some(all)
}

fn compared(report: &Report) -> Option<String> {
    let two = report.comparison.as_ref()?;
    let dots = Dots {
        title: "A/B of each pair, with median and interval",
        rows: two.rows.iter().map(dotted).collect(),
        limit: two.budget.as_ref().filter(|b| b.by == By::Ratio).map(|b| (b.of, b.limit)),
    };
    let rows: Vec<_> = two
        .rows
        .iter()
        .map(|row| {
            vec![
                row.name.to_owned(),
                digits(row.a.median),
                digits(row.b.median),
                spread(&row.ratio),
            ]
        })
        .collect();
    let [a, b] = &two.servers;
    Some(format!(
        "<p class=\"about\">A {} · B {} · dots are pairs, the bar is the interval of the median, \
         the orange line the budget</p>{}{}",
        escaped(a),
        escaped(b),
        dots.render().unwrap_or_default(),
        table(&["median", "A", "B", "A/B"], 2, &rows)
    ))
}

fn dotted(row: &Row) -> (&str, &[f64], [f64; 3]) {
    (row.name, &row.ratios, [row.ratio.median, row.ratio.low, row.ratio.high])
}

fn figures(report: &Report) -> String {
    let row = |(name, value): &(String, f64)| {
        vec![name.clone(), digits(*value), report.known.says(name).to_owned()]
    };
    table(&["", "", ""], 1, &report.plain_figures().map(row).collect::<Vec<_>>())
}

/// x is how often the slower share halved: 0 for none, 1 for 90 %, 2 for 99 %.
fn distribution(report: &Report) -> Option<String> {
    /// The last share that has a place; "all" lies beyond every one.
    const END: f64 = 5.0;
    let nines = |share: f64| if share >= 1.0 { f64::NAN } else { -(1.0 - share).log10() };
    let lines = report.figures.latencies.iter().filter(|(_, latency)| latency.count() > 0);
    let lines: Vec<_> = lines
        .map(|(name, latency)| {
            let placed = latency.curve().into_iter().map(|(share, ms)| (nines(share), ms));
            let points = placed.filter(|(x, _)| x.is_finite() && *x <= END).collect();
            Line { name, points }
        })
        .collect();
    let marks = [
        (0.0, "0 %"),
        (0.301, "50 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99 %"),
        (5.0, "99.999 %"),
    ];
    let marks = marks.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
    Plot {
        title: "distribution of times",
        x: "share within",
        y: "ms",
        scale: Scale::Log,
        marks,
        lines,
    }
    .render()
}

/// The last second is not whole: it would look like a fall.
fn over(report: &Report, value: impl Fn(&Second) -> f64) -> Vec<(f64, f64)> {
    let whole = report.seconds.len().saturating_sub(1).max(1);
    report.seconds.iter().take(whole).map(|second| (second.at_s as f64, value(second))).collect()
}

/// Lines over the run's time. What is 0 all the time is no line.
fn time_line(y: &str, scale: Scale, lines: Vec<(&str, Vec<(f64, f64)>)>) -> Option<String> {
    let lines = lines
        .into_iter()
        .filter(|(_, points)| points.len() > 1 && points.iter().any(|(_, y)| *y > 0.0))
        .map(|(name, points)| Line { name, points })
        .collect();
    Plot { title: y, x: "seconds", y, scale, marks: Vec::new(), lines }.render()
}

fn times(report: &Report) -> Option<String> {
    let mut head = vec!["", "count"];
    head.extend(SHARES.iter().map(|(name, _)| *name));
    head.extend(["mean", ""]);
    let rows: Vec<_> = report
        .figures
        .latencies
        .iter()
        .map(|(name, latency)| {
            let told = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), digits);
            let mut row = vec![(*name).to_owned(), digits(latency.count() as f64)];
            row.extend(SHARES.iter().map(|(_, share)| told(latency.quantile_ms(*share))));
            row.extend([told(latency.mean_ms()), report.known.says(name).to_owned()]);
            row
        })
        .collect();
    (!rows.is_empty()).then(|| table(&head, SHARES.len() + 2, &rows))
}

fn failures(report: &Report) -> Option<String> {
    let row = |(kind, count, first): (crate::failure::Failure, u64, &str)| {
        vec![kind.to_string(), digits(count as f64), first.to_owned()]
    };
    let rows: Vec<_> = report.failures.rows().map(row).collect();
    (!rows.is_empty()).then(|| table(&["", "count", "first"], 1, &rows))
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn the_page_is_whole_and_stands_alone() {
        let mut report = sample();
        report.check(&[]);
        let page = render(&report);
        for part in [
            "<svg",
            "12,345",
            "missed: failed==0",
            "GET /a&lt;b&gt;: 503",
            "100/s &lt;even&gt;",
            "A over B",
            "undecided",
            "91 % of its core",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        for outside in ["src=", "href=", "@import", "url(", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for tag in ["section", "table", "svg", "div", "p", "main", "tr", "td"] {
            let count = |text: &str| page.matches(text).count();
            let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
            assert_eq!(opened, count(&format!("</{tag}>")), "{tag}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf,"), "{page}");
    }

    #[test]
    fn a_run_without_an_answer_has_a_page() {
        let mut report = sample();
        report.figures.latencies.clear();
        (report.seconds, report.comparison) = (Vec::new(), None);
        assert!(render(&report).contains("Figures"));
    }
}
