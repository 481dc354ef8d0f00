//! Every packet of a source, read once without decoding: the exact frame count, whether the rate
//! is constant and which, the busiest GOP, and where the file really ends.
//!
//! Fed with ffprobe's lines (`stream_index=0|pts=512|dts=0|duration=512|size=956|pos=48|flags=__`); keeps
//! 40 bytes for each video frame, whose number is bounded.

use std::collections::BTreeMap;

use crate::error::{Error, Kind};
use crate::fetch::Extents;
use crate::grid::Rate;
use crate::limits;
use crate::points::Point;
use crate::probe::{Probe, Stream};
use crate::source::Stamp;

/// What the packets of one source tell.
#[derive(Debug)]
pub struct Scan {
    video_index: u32,
    video: Vec<Packet>,
    video_without_time: u64,
    video_untimed: Vec<Packet>,
    is_guessed: bool,
    points: Vec<Point>,
    spans: BTreeMap<u32, Span>,
    coded: BTreeMap<u32, Coded>,
    extents: Extents,
}

/// All packets of one stream, those that an edit list hides included.
#[derive(Clone, Copy, Debug, Default)]
struct Coded {
    packets: u64,
    bytes: u64,
    start_pts: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    /// When it is shown; once all are read, of every packet or of none.
    pts: i64,
    /// When it is decoded.
    dts: Option<i64>,
    size_bytes: u32,
    duration: i64,
    is_key: bool,
}

/// The packets of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Packets that are to be shown or heard.
    pub packets: u64,
    /// Least presentation time stamp, in the stream's ticks.
    pub start_pts: i64,
    /// Where the last of them ends.
    pub end_pts: i64,
}

impl Scan {
    /// A scan of a source whose picture is stream `video_index`.
    pub fn new(video_index: u32) -> Self {
        Self {
            video_index,
            video: Vec::new(),
            video_without_time: 0,
            points: Vec::new(),
            video_untimed: Vec::new(),
            is_guessed: false,
            spans: BTreeMap::new(),
            coded: BTreeMap::new(),
            extents: Extents::default(),
        }
    }

    /// Takes one line of ffprobe's compact packet list; what is no packet is passed over.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        let mut fields = Fields::default();
        for field in line.split('|') {
            match field.split_once('=') {
                Some(("stream_index", value)) => fields.stream = value.parse().ok(),
                Some(("pts", value)) => fields.pts = value.parse().ok(),
                Some(("dts", value)) => fields.dts = value.parse().ok(),
                Some(("duration", value)) => fields.duration = value.parse().ok(),
                Some(("size", value)) => fields.size_bytes = value.parse().ok(),
                Some(("pos", value)) => fields.pos_bytes = value.parse().ok(),
                Some(("flags", value)) => {
                    (fields.discarded, fields.is_key) = (value.contains('D'), value.contains('K'));
                }
                Some(("guessed", _)) => fields.guessed = true,
                _ => {}
            }
        }
        if let Some(stream) = fields.stream {
            self.coded.entry(stream).or_default().add(&fields);
            let bytes = fields.pos_bytes.zip(fields.size_bytes).map(|(pos, size)| {
                let end = pos.saturating_add(size.into());
                pos..end
            });
            let key = fields.pts.filter(|_| fields.is_key);
            self.extents.add(stream == self.video_index, key, bytes);
        }
        // A packet that an edit list hides is decoded, but not shown.
        match fields.stream {
            Some(stream) if !fields.discarded => self.packet(stream, &fields),
            _ => Ok(()),
        }
    }

    fn packet(&mut self, stream: u32, fields: &Fields) -> Result<(), Error> {
        if stream == self.video_index {
            if self.video.len() + self.video_untimed.len() >= limits::FRAMES {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "stream {stream} has more than {} frames; split the source",
                        limits::FRAMES
                    ),
                ));
            }
            let packet = |pts| Packet {
                pts,
                dts: fields.dts,
                size_bytes: fields.size_bytes.unwrap_or(0),
                duration: fields.duration.unwrap_or(0),
                is_key: fields.is_key,
            };
            self.is_guessed |= fields.guessed || fields.pts.is_none();
            match (fields.pts, fields.dts) {
                (Some(pts), _) => self.video.push(packet(pts)),
                (None, Some(dts)) => self.video_untimed.push(packet(dts)),
                (None, None) => self.video_without_time += 1,
            }
        }
        let Some(pts) = fields.pts else { return Ok(()) };
        let end = pts.saturating_add(fields.duration.unwrap_or(0));
        let span =
            self.spans.entry(stream).or_insert(Span { packets: 0, start_pts: pts, end_pts: end });
        span.packets += 1;
        span.start_pts = span.start_pts.min(pts);
        span.end_pts = span.end_pts.max(end);
        Ok(())
    }

    /// Orders the frames by time. Call once after the last line.
    ///
    /// Some containers (AVI, program streams) say of a frame only when it is decoded. Each then
    /// stands for one of the frames that are shown, and the first is shown when the first is
    /// decoded, as players do.
    pub fn finish(&mut self) {
        if !self.video_untimed.is_empty() {
            let by_decoding = |packet: Packet| packet.dts.map(|pts| Packet { pts, ..packet });
            let all = std::mem::take(&mut self.video).into_iter();
            let untimed = std::mem::take(&mut self.video_untimed);
            for packet in all.map(by_decoding).chain(untimed.into_iter().map(Some)) {
                match packet {
                    Some(packet) => self.video.push(packet),
                    None => self.video_without_time += 1,
                }
            }
            let ends = self.video.iter().map(|p| (p.pts, p.pts.saturating_add(p.duration)));
            if let Some((start, end)) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
                let packets = u64::try_from(self.video.len()).expect("a length fits");
                let span = Span { packets, start_pts: start, end_pts: end };
                self.spans.insert(self.video_index, span);
            }
        }
        self.video.sort_unstable_by_key(|packet| packet.pts);
        let keys = self.video.iter().filter(|packet| packet.is_key);
        self.points =
            keys.map(|key| Point { shown: key.pts, decoded: key.dts.unwrap_or(key.pts) }).collect();
    }

    /// Takes the pictures of `frames`, which were decoded, in place of the packets. Where decoding can begin
    /// is known of packets alone.
    pub fn shows(&mut self, frames: Self) {
        self.video = frames.video;
        self.is_guessed = frames.is_guessed;
        self.video_without_time = frames.video_without_time;
        if let Some(span) = frames.spans.get(&self.video_index) {
            self.spans.insert(self.video_index, *span);
        }
    }

    /// Frames of the picture.
    pub fn frames(&self) -> u64 {
        u64::try_from(self.video.len()).expect("a length fits") + self.video_without_time
    }

    /// Whether frames of the picture do not say when they are shown: what a decoder makes of that
    /// depends on where it begins.
    pub fn is_guessed(&self) -> bool {
        self.is_guessed
    }

    /// Where decoding can begin: key frames in the order in which they are shown.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        self.points.iter().copied()
    }

    /// Where in the file its packets lie.
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// When the frames of the picture are shown, in order.
    pub fn shown(&self) -> impl ExactSizeIterator<Item = i64> {
        self.video.iter().map(|packet| packet.pts)
    }

    /// Whether the frame of this number, in the order in which they are shown, is called a key frame.
    pub fn is_key(&self, frame: u64) -> bool {
        let packet = usize::try_from(frame).ok().and_then(|i| self.video.get(i));
        packet.is_some_and(|packet| packet.is_key)
    }

    /// The first of `starts`, numbers of frames in order, that is decoded before a frame that is shown before
    /// it, as far as it is known when they are decoded.
    pub fn first_open(&self, starts: impl Iterator<Item = u64>) -> Option<u64> {
        let (mut latest, mut seen) = (None, 0);
        for start in starts {
            let at = usize::try_from(start).ok()?;
            let before = self.video.get(seen..at)?.iter().filter_map(|packet| packet.dts);
            (latest, seen) = (before.max().max(latest), at);
            let key = self.video.get(at)?.dts;
            if key.is_some() && latest > key {
                return Some(start);
            }
        }
        None
    }

    /// Frames of the picture that carry no time stamp.
    pub fn frames_without_time(&self) -> u64 {
        self.video_without_time
    }

    /// The packets of a stream; `None` when it has none.
    pub fn span(&self, stream: u32) -> Option<Span> {
        self.spans.get(&stream).copied()
    }

    /// Packets of a stream, hidden ones included.
    pub fn coded_packets(&self, stream: u32) -> u64 {
        self.coded.get(&stream).map_or(0, |coded| coded.packets)
    }

    /// Bytes of a stream's packets, hidden ones included.
    pub fn bytes(&self, stream: u32) -> u64 {
        self.coded.get(&stream).map_or(0, |coded| coded.bytes)
    }

    /// Least presentation time stamp of a stream's packets, hidden ones included.
    pub fn coded_start(&self, stream: u32) -> Option<i64> {
        self.coded.get(&stream)?.start_pts
    }

    /// Seconds at which the last packet of any stream ends.
    pub fn end_s(&self, probe: &Probe) -> f64 {
        let ends = probe.streams.iter().filter_map(|stream| {
            Some(seconds(self.span(stream.index)?.end_pts, stream.time_base()?))
        });
        ends.fold(0.0, f64::max)
    }

    /// The constant rate of the picture: the first of the claimed and the usual rates under which
    /// every frame falls into a slot of its own with none left empty. `Err` says where the first
    /// frame is that does not, in seconds, under the likeliest rate.
    pub fn constant_rate(&self, stream: &Stream) -> Result<Rate, f64> {
        let base = stream.time_base().ok_or(0.0)?;
        let mut irregular = None;
        // Of time stamps in milliseconds a muxer may work out odd fractions: usual ones come first.
        let (plain, odd): (Vec<Rate>, Vec<Rate>) =
            stream.claimed_rates().partition(|rate| matches!(rate.den(), 1 | 2 | 1001));
        for rate in plain.into_iter().chain(USUAL_RATES).chain(odd) {
            match self.first_off_grid(rate, base) {
                None => return Ok(rate),
                Some(at_s) => irregular = irregular.or(Some(at_s)),
            }
        }
        Err(irregular.unwrap_or(0.0))
    }

    /// The first frame that is half a frame or more from its slot, in seconds from the first.
    fn first_off_grid(&self, rate: Rate, (base_num, base_den): (u32, u32)) -> Option<f64> {
        let first = self.video.first()?.pts;
        // Both sides of |ticks * base - slot / rate| < 1 / (2 * rate), times 2 * num * base_den.
        let ticks_weight = 2 * i128::from(base_num) * i128::from(rate.num());
        let half_frame = i128::from(rate.den()) * i128::from(base_den);
        let off = (0i128..).zip(&self.video).find(|(slot, packet)| {
            let ticks = i128::from(packet.pts) - i128::from(first);
            (ticks * ticks_weight - slot * 2 * half_frame).abs() >= half_frame
        });
        off.map(|(_, packet)| seconds(packet.pts.saturating_sub(first), (base_num, base_den)))
    }

    /// The longest time between two frames, and when it begins, both in seconds.
    pub fn longest_gap(&self, stream: &Stream) -> Option<(f64, f64)> {
        let base = stream.time_base()?;
        let first = self.video.first()?.pts;
        let gaps = self.video.windows(2).map(|pair| {
            let at = seconds(pair[0].pts.saturating_sub(first), base);
            (at, seconds(pair[1].pts.saturating_sub(pair[0].pts), base))
        });
        gaps.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Bits a second of the busiest run of frames as long as `gop_ms`, in kbit/s, for a title of
    /// `rate`.
    pub fn peak_kbps(&self, rate: Rate, gop_ms: u32) -> u32 {
        let gop = usize::try_from(rate.frames_in(gop_ms)).expect("u32 fits").max(1);
        let busiest: u64 = self
            .video
            .chunks(gop)
            // A short last run would be judged by one key frame.
            .filter(|run| run.len() == gop || self.video.len() < gop)
            .map(|run| {
                let bits: u64 = run.iter().map(|p| u64::from(p.size_bytes) * 8).sum();
                let frames = u64::try_from(run.len()).expect("a length fits").max(1);
                bits * u64::from(rate.num()) / (u64::from(rate.den()) * frames * 1000)
            })
            .max()
            .unwrap_or(0);
        u32::try_from(busiest).unwrap_or(u32::MAX)
    }
}

impl Coded {
    fn add(&mut self, fields: &Fields) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(fields.size_bytes.unwrap_or(0).into());
        self.start_pts = match (self.start_pts, fields.pts) {
            (Some(before), Some(pts)) => Some(before.min(pts)),
            (before, pts) => before.or(pts),
        };
    }
}

impl Span {
    /// From the first packet's start to the last one's end, in seconds.
    pub fn length_s(self, base: (u32, u32)) -> f64 {
        seconds(self.end_pts.saturating_sub(self.start_pts), base)
    }
}

/// Tried when no claimed rate fits, as with time stamps rounded to milliseconds.
const USUAL_RATES: [Rate; 8] = [
    rate(24_000, 1001),
    rate(24, 1),
    rate(25, 1),
    rate(30_000, 1001),
    rate(30, 1),
    rate(50, 1),
    rate(60_000, 1001),
    rate(60, 1),
];

const fn rate(num: u32, den: u32) -> Rate {
    Rate::new(num, den).expect("not zero")
}

#[derive(Default)]
struct Fields {
    stream: Option<u32>,
    pts: Option<i64>,
    dts: Option<i64>,
    duration: Option<i64>,
    size_bytes: Option<u32>,
    pos_bytes: Option<u64>,
    is_key: bool,
    discarded: bool,
    guessed: bool,
}

/// How long before `zero` a stream's packets start; `None` of an empty stream.
pub fn early(stream: &Stream, scan: &Scan, zero: Stamp) -> Option<Stamp> {
    let base = stream.time_base()?;
    // In the stream's ticks: zero's ticks * its base / ours.
    let (above, below) = (
        i128::from(zero.ticks) * i128::from(zero.base.0) * i128::from(base.1),
        i128::from(zero.base.1) * i128::from(base.0),
    );
    let zero = i64::try_from((2 * above + below).div_euclid(2 * below)).ok()?;
    let ticks = zero.saturating_sub(scan.coded_start(stream.index)?);
    Some(Stamp { ticks, base })
}

/// Ticks of a time base in seconds, for messages and slack comparisons only.
#[expect(clippy::cast_precision_loss, reason = "shown with milliseconds, compared with a second")]
pub fn seconds(ticks: i64, (num, den): (u32, u32)) -> f64 {
    ticks as f64 * f64::from(num) / f64::from(den)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(lines: &[&str]) -> Scan {
        let mut scan = Scan::new(0);
        lines.iter().for_each(|line| scan.line(line).unwrap());
        scan.finish();
        scan
    }

    /// Field pictures: two packets for a frame, of which the decoder then says when they are shown.
    #[test]
    fn where_decoding_can_begin_is_known_of_pictures_that_were_decoded_too() {
        let mut source = scan(&[
            "stream_index=0|pts=0|dts=-2|duration=1|size=9|flags=K__",
            "stream_index=0|pts=1|dts=-1|duration=1|size=9|flags=___",
            "stream_index=0|pts=2|dts=0|duration=1|size=9|flags=K__",
            "stream_index=0|pts=3|dts=1|duration=1|size=9|flags=___",
        ]);
        let points = [Point { shown: 0, decoded: -2 }, Point { shown: 2, decoded: 0 }];
        assert!(source.points().eq(points));
        source.shows(scan(&[
            "stream_index=0|pts=0|duration=2|size=18",
            "stream_index=0|pts=2|duration=2|size=18",
        ]));
        assert!(source.shown().eq([0, 2]));
        assert!(source.points().eq(points));
    }
}
