//! Where a damaged source is damaged: ffprobe decodes the part again and says of each frame what
//! its decoder complained about; frames that fail altogether leave a gap.
//!
//! Reads `-of compact` lines: `frame|stream_index=0|pts_time=1.75|...|log|...|message=...` and
//! further `log|...` lines that belong to the frame before.

use std::collections::BTreeMap;

/// A damaged place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The stream.
    pub stream: u32,
    /// Seconds from the container's zero.
    pub at_s: f64,
}

/// Collects frames of the streams that matter.
#[derive(Debug)]
pub struct Locate {
    streams: Vec<u32>,
    expected_s: BTreeMap<u32, f64>,
    current: Option<Place>,
    first: Option<Place>,
}

impl Locate {
    /// Looks at these streams.
    pub fn new(streams: Vec<u32>) -> Self {
        Self { streams, expected_s: BTreeMap::new(), current: None, first: None }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &str) {
        if let Some(fields) = line.strip_prefix("frame|") {
            self.frame(fields);
        }
        if line.contains("log|context=")
            && let Some(place) = self.current.clone()
        {
            self.found(place);
        }
    }

    /// The earliest damage.
    pub fn first(&self) -> Option<Place> {
        self.first.clone()
    }

    fn frame(&mut self, fields: &str) {
        let value = |key: &str| {
            let mut values = fields.split('|').filter_map(|f| f.strip_prefix(key));
            values.next().and_then(|v| v.parse::<f64>().ok())
        };
        let stream = fields.split('|').find_map(|f| f.strip_prefix("stream_index=")?.parse().ok());
        let (Some(stream), Some(at_s)) =
            (stream, value("best_effort_timestamp_time=").or(value("pts_time=")))
        else {
            return;
        };
        if !self.streams.contains(&stream) {
            self.current = None;
            return;
        }
        let lasts_s = value("pkt_duration_time=").or(value("duration_time=")).unwrap_or(0.0);
        if let Some(&expected_s) = self.expected_s.get(&stream)
            && lasts_s > 0.0
            && at_s > expected_s + lasts_s / 2.0
        {
            self.found(Place { stream, at_s: expected_s });
        }
        self.expected_s.insert(stream, at_s + lasts_s);
        self.current = Some(Place { stream, at_s });
    }

    fn found(&mut self, place: Place) {
        if self.first.as_ref().is_none_or(|first| place.at_s < first.at_s) {
            self.first = Some(place);
        }
    }
}

/// The time of a line that tells of a frame.
pub(super) fn frame_s(line: &str) -> Option<f64> {
    let fields = line.strip_prefix("frame|")?;
    let value =
        |key: &str| fields.split('|').find_map(|field| field.strip_prefix(key)?.parse().ok());
    value("best_effort_timestamp_time=").or_else(|| value("pts_time="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_complaint_or_gap() {
        let frame = |stream: u32, at: &str| {
            format!("frame|stream_index={stream}|pts_time={at}|pkt_duration_time=0.5|")
        };
        let log = "log|context=h264|level=16|category=6|message=error while decoding MB";
        type Case<'a> = (&'a [String], Option<(u32, f64)>);
        let table: [Case<'_>; 5] = [
            (&[frame(0, "0.0"), frame(1, "0.0"), frame(0, "0.5")], None),
            (&[frame(0, "0.0"), format!("{}{log}", frame(0, "0.5")), log.into()], Some((0, 0.5))),
            (&[frame(0, "0.0"), frame(0, "1.5")], Some((0, 0.5))),
            (&[frame(0, "0.0"), frame(7, "0.5"), log.into(), frame(7, "9.5")], None),
            (&[frame(1, "0.0"), frame(1, "0.5"), frame(1, "1.5"), log.into()], Some((1, 1.0))),
        ];
        for (lines, wanted) in table {
            let mut locate = Locate::new(vec![0, 1]);
            lines.iter().for_each(|line| locate.line(line));
            assert_eq!(locate.first().map(|p| (p.stream, p.at_s)), wanted, "{lines:?}");
        }
    }
}
