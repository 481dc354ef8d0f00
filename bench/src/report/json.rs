//! A report as JSON. Names are those of assertions; a distribution comes with its whole curve.

use serde_json::{Map, Value, json};

use super::{Report, SHARES};

/// Changes when a reader of the old form could not read the new one.
const FORMAT: u32 = 1;

/// The whole of it.
pub fn render(report: &Report) -> Value {
    let settings: Map<_, _> =
        report.settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let figures: Map<_, _> =
        report.figures.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let latencies: Map<_, _> = report
        .figures
        .latencies
        .iter()
        .map(|(name, latency)| {
            let mut told = Map::new();
            told.insert("count".to_owned(), json!(latency.count()));
            told.insert("mean_ms".to_owned(), json!(latency.mean_ms()));
            for (share, at) in SHARES {
                told.insert(format!("{share}_ms"), json!(latency.quantile_ms(at)));
            }
            told.insert("curve".to_owned(), json!(latency.curve()));
            ((*name).to_owned(), Value::Object(told))
        })
        .collect();
    let failures: Map<_, _> = report
        .failures
        .rows()
        .map(|(kind, count, first)| (kind.to_string(), json!({"count": count, "first": first})))
        .collect();
    json!({
        "format": FORMAT,
        "command": report.command,
        "settings": settings,
        "figures": figures,
        "latencies": latencies,
        "failures": failures,
        "comparison": report.comparison,
        "seconds": report.seconds,
        "notes": report.notes,
        "assertions": report.checked,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn programs_find_what_they_look_for() {
        let mut report = sample();
        report.check(&[]);
        let json = render(&report);
        assert_eq!(json["figures"]["requests"], 12_345.0);
        assert_eq!(json["latencies"]["ttfb"]["count"], 1000);
        assert_eq!(json["failures"]["status_503"]["count"], 1);
        assert_eq!(json["comparison"]["rows"][0]["ratio"]["median"], 1.1);
        assert_eq!(json["comparison"]["budget"]["verdict"], "undecided");
        assert_eq!(json["assertions"][0]["held"], false);
        assert_eq!(json["seconds"].as_array().unwrap().len(), 20);
    }
}
