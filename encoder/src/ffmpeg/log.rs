//! What ffmpeg and ffprobe write to stderr with `-v level+verbose`: which lines mean that the
//! source is damaged, how many frames were decoded, and the last words for an error message.
//!
//! Not every line at error level is damage: decoders complain about harmless things such as a
//! reference dropped twice at an open GOP. Damage is what ffmpeg itself calls a failed decode, a
//! corrupt packet or frame, or a file that ends early. Only a line that names its level counts: one
//! without is the rest of another, such as a source's own comment of several lines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::limits;

/// A damaged place of the source, as ffmpeg named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The stream, where the line says it.
    pub stream: Option<u32>,
    /// The line, without its prefixes.
    pub said: String,
}

/// How much of a stream was read and decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Packets read.
    pub packets: u64,
    /// Frames decoded.
    pub frames: u64,
}

/// What a child said.
#[derive(Clone, Debug, Default)]
pub struct Log {
    last: VecDeque<String>,
    damage: Option<Damage>,
    tallies: BTreeMap<u32, Tally>,
    captioned: BTreeSet<u32>,
    changed: Option<Option<u32>>,
    shown: Vec<i64>,
    cpu_ms: u64,
}

impl Log {
    /// CPU time that the child had taken when it closed its output, user and system, of all threads.
    pub fn cpu_ms(&self) -> u64 {
        self.cpu_ms
    }

    /// The same, as it is found out.
    pub fn took(&mut self, cpu_ms: u64) {
        self.cpu_ms = cpu_ms;
    }

    /// Takes a line.
    pub fn line(&mut self, line: &str) {
        let line = Line::parse(line);
        if line.has_level
            && let Some((stream, tally)) = tally(line.text)
        {
            self.tallies.insert(stream, tally);
        }
        if line.has_level
            && let Some(stream) = captioned_stream(line.text)
            && self.captioned.len() < limits::STREAMS
        {
            self.captioned.insert(stream);
        }
        if line.has_level
            && let Some(ticks) = shown(line.text)
            && self.shown.len() < limits::FRAMES
        {
            self.shown.push(ticks);
        }
        if line.is_chatter {
            return;
        }
        if self.damage.is_none()
            && line.has_level
            && let Some(stream) = damaged_stream(line.text)
        {
            self.damage = Some(Damage { stream, said: without_file(line.text).to_owned() });
        }
        if line.has_level && line.text.starts_with("Changing audio frame properties") {
            self.changed.get_or_insert(None);
        }
        if let Some(changed) = &mut self.changed
            && let Some((_, stream)) = line.text.split_once("for stream #0:")
        {
            *changed = changed.or(leading_number(stream));
        }
        if self.last.len() == limits::LOG_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.text.to_owned());
    }

    /// The first damage of the source.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// A sound whose channels, rate or samples change in mid-stream: `Some(stream if named)`.
    pub fn changed(&self) -> Option<Option<u32>> {
        self.changed
    }

    /// What was decoded of a stream; `None` from an ffmpeg that does not say.
    pub fn tally(&self, stream: u32) -> Option<Tally> {
        self.tallies.get(&stream).copied()
    }

    /// Times of the frames that the filter showinfo saw, in ticks.
    pub fn shown(&self) -> &[i64] {
        &self.shown
    }

    /// Whether the summary of the source says that a stream's pictures carry captions.
    pub fn has_captions(&self, stream: u32) -> bool {
        self.captioned.contains(&stream)
    }

    /// The last warnings and errors, for a message; `nothing` without any.
    pub fn last_lines(&self) -> String {
        if self.last.is_empty() {
            return "nothing".to_owned();
        }
        Vec::from_iter(self.last.iter().map(String::as_str)).join(" | ")
    }

    /// The last warnings and errors.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

/// The time in a line such as `n:   0 pts:  12012 pts_time:0.1335 ...`.
fn shown(text: &str) -> Option<i64> {
    let (_, rest) = text.strip_prefix("n:")?.split_once(" pts:")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// `[h264 @ 0x55d0c0ffee] [error] text`, taken apart.
struct Line<'a> {
    text: &'a str,
    has_level: bool,
    is_chatter: bool,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        // The second line of a tag's value begins with its indentation.
        let mut is_chatter = line.is_empty() || line.starts_with(char::is_whitespace);
        let mut has_level = false;
        let mut text = line.trim();
        while let Some((tag, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            match tag {
                "info" | "verbose" | "debug" | "trace" => (has_level, is_chatter) = (true, true),
                "warning" | "error" | "fatal" | "panic" | "quiet" => has_level = true,
                // Who says it, with an address that differs from run to run.
                context if context.contains(" @ 0x") => {}
                _ => break,
            }
            text = rest.trim_start();
        }
        Self { text, has_level, is_chatter }
    }
}

/// `file:/folder/film.mp4: corrupt ...` without the name, which the reader knows.
fn without_file(text: &str) -> &str {
    match text.rsplit_once(": ") {
        Some((name, said)) if name.starts_with("file:") => said,
        _ => text,
    }
}

/// Some(stream if named) when the line means damage. Wordings of ffmpeg 5 to 7.
fn damaged_stream(text: &str) -> Option<Option<u32>> {
    const NAMING: [&str; 5] = [
        "Error while decoding stream #0:",
        "corrupt decoded frame in stream ",
        "corrupt input packet in stream ",
        "Packet corrupt (stream = ",
        "Error submitting packet to decoder",
    ];
    const OTHER: [&str; 3] = ["partial file", "File ended prematurely", "corrupt decoded frame"];
    for words in NAMING {
        if let Some(at) = text.find(words) {
            return Some(leading_number(&text[at + words.len()..]));
        }
    }
    let ended = OTHER.iter().any(|words| text.contains(words));
    ended.then(|| text.strip_prefix("stream ").and_then(leading_number))
}

/// `Input stream #0:1 (audio): 260 packets read (52191 bytes); 259 frames decoded ...`
fn tally(text: &str) -> Option<(u32, Tally)> {
    let rest = text.strip_prefix("Input stream #0:")?;
    let stream = leading_number(rest)?;
    let (_, rest) = rest.split_once("): ")?;
    let (packets, rest) = rest.split_once(" packets read")?;
    let (_, rest) = rest.split_once("; ")?;
    let (frames, _) = rest.split_once(" frames decoded")?;
    let tally = Tally { packets: packets.parse().ok()?, frames: frames.parse().ok()? };
    Some((stream, tally))
}

/// `Stream #0:0[0x1](und): Video: h264 (High), yuv420p, 320x180, Closed Captions, 24 fps, 24 tbr`
fn captioned_stream(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("Stream #0:")?;
    rest.contains(", Closed Captions").then(|| leading_number(rest))?
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damage() {
        let damage = |stream| Some(stream);
        let table = [
            ("[error] Error while decoding stream #0:1: Invalid data found", damage(Some(1))),
            ("[warning] file:/a/b.mp4: corrupt decoded frame in stream 0", damage(Some(0))),
            ("[warning] file:/a/b.mp4: corrupt input packet in stream 0", damage(Some(0))),
            (
                "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x556d46da4940] [error] stream 1, offset 0x21a83: partial file",
                damage(Some(1)),
            ),
            (
                "[mov,mp4 @ 0x5] [warning] Packet corrupt (stream = 0, dts = 41984).",
                damage(Some(0)),
            ),
            ("[matroska,webm @ 0x5] [error] File ended prematurely at pos. 12", damage(None)),
            ("[h264 @ 0x5] [error] mmco: unref short failure", None),
            ("[verbose] Error while decoding stream #0:1: quoted", None),
            ("[libx264 @ 0x5] [info] using cpu capabilities", None),
            // The second line of a comment in the source, as ffmpeg shows it.
            ("                    : This is a partial file", None),
            ("Error while decoding stream #0:1", None),
        ];
        for (line, wanted) in table {
            let mut log = Log::default();
            log.line(line);
            assert_eq!(log.damage().map(|d| d.stream), wanted, "{line}");
        }
    }

    #[test]
    fn a_layout_that_changes() {
        let mut log = Log::default();
        log.line("[graph_0_in_0_1 @ 0x55] [error] Changing audio frame properties on the fly is not supported.");
        assert_eq!(log.changed(), Some(None));
        log.line("[fatal] Error while processing the decoded data for stream #0:2");
        assert_eq!((log.changed(), log.damage()), (Some(Some(2)), None));
    }

    #[test]
    fn captions() {
        let mut log = Log::default();
        log.line(
            "[info]   Stream #0:2[0x3](und): Video: h264 (High), 320x180, Closed Captions, 24 fps",
        );
        log.line("[info]   Stream #0:1: Audio: aac (LC), 48000 Hz, stereo, fltp");
        log.line("       : Stream #0:0: Video: h264, Closed Captions, as a comment has it");
        assert_eq!([0, 1, 2].map(|stream| log.has_captions(stream)), [false, false, true]);
    }

    #[test]
    fn tallies_and_last_lines() {
        let mut log = Log::default();
        assert_eq!(log.last_lines(), "nothing");
        log.line("[verbose]   Input stream #0:1 (audio): 260 packets read (5 bytes); 259 frames decoded (265216 samples); ");
        assert_eq!(log.tally(1), Some(Tally { packets: 260, frames: 259 }));
        assert_eq!(log.tally(0), None);
        log.line(
            "       : Input stream #0:0 (video): 1 packets read (5 bytes); 1 frames decoded; ",
        );
        assert_eq!(log.tally(0), None, "a comment is no tally");
        assert_eq!(log.last_lines(), "nothing", "chatter is no last word");
        for i in 0..100 {
            log.line(&format!("[aac @ 0x7f] [error] line {i}"));
        }
        assert_eq!(log.lines().count(), limits::LOG_LINES);
        assert!(log.last_lines().ends_with("line 98 | line 99"));
    }
}
