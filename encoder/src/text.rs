//! Texts: subtitles of the source or of files beside it, kept as WebVTT with the title.
//!
//! Read from SRT or WebVTT into cues and written anew in one form, so that what is stored is
//! known to be sound: times in order, no cue without end. Not delivered yet.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::language::{self, Language};
use crate::limits;
use crate::remux;

/// A text of a title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Its object: `t-en.vtt`.
    pub name: String,
    /// BCP 47.
    pub language: Option<String>,
    /// Whether it is only what must be read, such as foreign signs.
    pub forced: bool,
    /// How many cues.
    pub cues: usize,
    /// CRC-32C of the object.
    pub crc32c: u32,
    /// The object's bytes.
    #[serde(skip)]
    pub webvtt: Vec<u8>,
}

/// A file of the uploader's: `film.en.srt:en`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// SRT or WebVTT.
    pub path: PathBuf,
    /// Its language.
    pub language: Language,
}

impl FromStr for Sidecar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, tag) = text.rsplit_once(':').ok_or_else(|| {
            format!("`{text}`: expected a file and its language, such as film.srt:en")
        })?;
        let unknown = || format!("`{tag}` is no language: expected a code such as en or deu");
        Ok(Self { path: path.into(), language: language::parse(tag).ok_or_else(unknown)? })
    }
}

impl Sidecar {
    /// Reads and checks it.
    pub fn read(&self, taken: &[Text]) -> Result<Text, Error> {
        let usage =
            |what: String| Error::new(Kind::Usage, format!("{}: {what}", self.path.display()));
        let file = std::fs::metadata(&self.path).map_err(|e| usage(e.to_string()))?;
        if !file.is_file() {
            return Err(usage("expected a file of subtitles, this is none".to_owned()));
        }
        let file = std::fs::File::open(&self.path).map_err(|e| usage(e.to_string()))?;
        let mut bytes = Vec::new();
        let read = file.take(limits::TEXT_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|e| usage(e.to_string()))?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > limits::TEXT_BYTES) {
            return Err(usage(format!(
                "more than {} bytes, the most that is taken",
                limits::TEXT_BYTES
            )));
        }
        let cues = cues(&bytes).map_err(|what| {
            Error::new(Kind::Refused, format!("{}: {what}", self.path.display()))
        })?;
        Ok(text(&cues, Some(&self.language), false, taken))
    }
}

/// A cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it comes.
    pub start_ms: i64,
    /// When it goes.
    pub end_ms: i64,
    /// WebVTT's settings, such as `line:0`.
    pub settings: String,
    /// Its lines.
    pub lines: Vec<String>,
}

/// The text of these cues. Its name differs from those of `taken`.
pub fn text(cues: &[Cue], language: Option<&Language>, forced: bool, taken: &[Text]) -> Text {
    let tag = language.map_or("und", |language| language.tag.as_str());
    let base = if forced { format!("t-{tag}-forced") } else { format!("t-{tag}") };
    let names =
        std::iter::once(format!("{base}.vtt")).chain((2..).map(|k| format!("{base}-{k}.vtt")));
    let mut free = names.filter(|name| taken.iter().all(|other| other.name != *name));
    let mut webvtt = String::from("WEBVTT\n");
    for Cue { start_ms, end_ms, settings, lines } in cues {
        let (start, end) = (clock(*start_ms), clock(*end_ms));
        let space = if settings.is_empty() { "" } else { " " };
        let _ = write!(webvtt, "\n{start} --> {end}{space}{settings}\n{}\n", lines.join("\n"));
    }
    Text {
        crc32c: crc32c::crc32c(webvtt.as_bytes()),
        name: free.next().expect("numbers do not end"),
        language: language.map(|language| language.tag.clone()),
        forced,
        cues: cues.len(),
        webvtt: webvtt.into_bytes(),
    }
}

/// Moves cues by `by_ms`; what ends before zero goes.
pub fn shifted(cues: Vec<Cue>, by_ms: i64) -> Vec<Cue> {
    let moved = cues.into_iter().map(|cue| Cue {
        start_ms: (cue.start_ms.saturating_add(by_ms)).max(0),
        end_ms: cue.end_ms.saturating_add(by_ms),
        ..cue
    });
    moved.filter(|cue| cue.end_ms > cue.start_ms).collect()
}

/// Reads SRT or WebVTT, or says which line is wrong.
pub fn cues(bytes: &[u8]) -> Result<Vec<Cue>, String> {
    let cues = read(bytes, &mut Err)?;
    if cues.is_empty() {
        return Err("no cue was found; is it SRT or WebVTT?".to_owned());
    }
    Ok(cues)
}

/// Reads what can be read; `on_wrong` is told of each cue that cannot, and may go on without it.
fn read(
    bytes: &[u8],
    on_wrong: &mut dyn FnMut(String) -> Result<(), String>,
) -> Result<Vec<Cue>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        format!("line {line} is not UTF-8; save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // To WebVTT a lone CR ends a line as well, and NUL is no character (WebVTT 4.1, 6.1).
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    let is_webvtt = text.starts_with("WEBVTT");
    let mut lines = (1..).zip(text.lines().map(str::trim_end)).peekable();
    let mut cues: Vec<Cue> = Vec::new();
    while let Some((number, line)) = lines.next() {
        let is_block = ["NOTE", "STYLE", "REGION"].iter().any(|block| line.starts_with(block));
        if is_webvtt && (is_block || number == 1) {
            while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
            continue;
        }
        let Some((start, rest)) = line.split_once("-->") else {
            // A number or a name of the cue that follows; or what stands behind an empty line of the
            // cue above.
            let is_name = lines.peek().is_none_or(|(_, next)| next.contains("-->"));
            if let (false, false, Some(cue)) = (is_name, line.is_empty(), cues.last_mut()) {
                cue.lines.push(line.to_owned());
                while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                    cue.lines.push(line.to_owned());
                }
            }
            continue;
        };
        let rest = rest.trim();
        let (end, settings) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let wrong = || {
            format!(
                "line {number}: `{line}` is no time of a cue, such as 00:01:02.500 --> 00:01:04.000"
            )
        };
        let (Some(start_ms), Some(end_ms)) = (time(start.trim()), time(end)) else {
            on_wrong(wrong())?;
            continue;
        };
        let why = match () {
            () if end_ms <= start_ms => Some(format!("the cue ends before it begins: `{line}`")),
            () if cues.last().is_some_and(|before| before.start_ms > start_ms) => {
                Some("the cue begins before the one above it; put them in order".to_owned())
            }
            () if cues.len() == limits::CUES => Some(format!("more than {} cues", limits::CUES)),
            () => None,
        };
        if let Some(why) = why {
            on_wrong(format!("line {number}: {why}"))?;
            // Its words are not the next one's name.
            while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
            continue;
        }
        let mut words = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            words.push(line.replace("-->", "->"));
        }
        // SRT knows no settings, but some writers put coordinates there.
        let settings = if is_webvtt { settings.trim().to_owned() } else { String::new() };
        if !words.is_empty() {
            cues.push(Cue { start_ms, end_ms, settings, lines: words });
        }
    }
    Ok(cues)
}

/// `1:02:03.500`, `02:03.500`, with a comma in SRT.
fn time(text: &str) -> Option<i64> {
    let (clock, ms) = text.split_once(['.', ','])?;
    let mut seconds = 0i64;
    let parts: Vec<&str> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        let part: u32 = part.parse().ok()?;
        seconds = seconds.checked_mul(60)?.checked_add(part.into())?;
    }
    let is_three = ms.len() == 3 && ms.bytes().all(|b| b.is_ascii_digit());
    let ms: i64 = if is_three { ms.parse().ok()? } else { return None };
    (seconds <= limits::SECONDS.into()).then_some(seconds * 1000 + ms)
}

fn clock(ms: i64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

/// A text of the source that was written as WebVTT at `path`, moved by `by_ms`, and how many of its cues
/// cannot be kept, with the reason of the first. `Err` says why it is no text at all.
pub fn of_source(path: &Path, by_ms: i64) -> Result<(Vec<Cue>, Option<String>), String> {
    let mut bytes = Vec::new();
    // Its bytes are bounded where it is written.
    let got = remux::regular(path).and_then(|mut file| file.read_to_end(&mut bytes));
    got.map_err(|e| format!("ffmpeg wrote nothing of it ({e})"))?;
    let (mut wrong, mut first) = (0usize, None);
    let mut count = |why: String| {
        wrong += 1;
        first.get_or_insert(why);
        Ok(())
    };
    let cues = shifted(read(&bytes, &mut count)?, by_ms);
    let said =
        first.map(|why| format!("{wrong} of its {} cues are left out: {why}", cues.len() + wrong));
    Ok((cues, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SRT: &str = "1\r\n00:00:01,000 --> 00:00:02,500\r\nOne\r\ntwo\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000 X1:5\r\nThree\r\n";

    #[test]
    fn srt_becomes_webvtt() {
        let cues = cues(SRT.as_bytes()).unwrap();
        let en = language::parse("eng");
        let made = text(&cues, en.as_ref(), false, &[]);
        let wanted = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nOne\ntwo\n\n00:00:03.000 --> 00:00:04.000\nThree\n";
        assert_eq!(String::from_utf8(made.webvtt.clone()).unwrap(), wanted);
        assert_eq!((made.name.as_str(), made.cues), ("t-en.vtt", 2));
        assert_eq!(text(&cues, en.as_ref(), false, &[made]).name, "t-en-2.vtt");
        assert_eq!(text(&cues, None, true, &[]).name, "t-und-forced.vtt");
    }

    #[test]
    fn webvtt_keeps_settings_and_drops_notes() {
        let source = "WEBVTT - a film\nKind: captions\n\nNOTE 00:00 --> nothing\n\nname\n00:01.000 --> 00:02.000 line:0\nHi\n";
        let cues = cues(source.as_bytes()).unwrap();
        assert_eq!(cues[0].settings, "line:0");
        assert_eq!((cues.len(), cues[0].start_ms, cues[0].end_ms), (1, 1000, 2000));
    }

    #[test]
    fn what_is_wrong_is_shown() {
        let table: [(&[u8], &str); 5] = [
            (b"1\n00:00:01,000 --> soon\nx\n", "line 2: `00:00:01,000 --> soon` is no time"),
            (b"1\n00:00:02,000 --> 00:00:01,000\nx\n", "line 2: the cue ends before it begins"),
            (
                b"00:00:02,000 --> 00:00:03,000\nx\n\n00:00:01,000 --> 00:00:03,000\ny\n",
                "line 4: the cue begins before",
            ),
            (b"a\n\xff\n", "line 2 is not UTF-8"),
            (b"words\n", "no cue was found"),
        ];
        for (bytes, words) in table {
            let error = cues(bytes).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    /// As ffmpeg writes an ASS track: cues without length, cues out of order, and empty lines.
    #[test]
    fn a_bad_cue_of_a_source_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vtt");
        let vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\n\nbehind an empty line\n\n\
                   00:03.000 --> 00:03.000\nnever seen\n\n00:05.000 --> 00:06.000\nTwo\n\n\
                   00:04.000 --> 00:06.000\ntoo late\n\nname\n00:07.000 --> 00:08.000\nThree\n";
        std::fs::write(&path, vtt).unwrap();
        let (cues, said) = of_source(&path, -1000).unwrap();
        let lines: Vec<_> = cues.iter().map(|cue| (cue.start_ms, cue.lines.join("|"))).collect();
        let wanted = [(0, "One|behind an empty line"), (4000, "Two"), (6000, "Three")];
        assert_eq!(lines, wanted.map(|(at, words)| (at, words.to_owned())));
        let wanted = "2 of its 5 cues are left out: line 8: the cue ends before it begins: \
                      `00:03.000 --> 00:03.000`";
        assert_eq!(said.as_deref(), Some(wanted));
        std::fs::write(&path, "WEBVTT\n").unwrap();
        assert_eq!(of_source(&path, 0), Ok((Vec::new(), None)));
    }

    #[test]
    fn a_lone_carriage_return_ends_a_line() {
        let cues = cues(b"WEBVTT\r\r00:01.000 --> 00:02.000 line:0\rHi\0\r").unwrap();
        assert_eq!(
            (cues[0].settings.as_str(), cues[0].lines[0].as_str()),
            ("line:0", "Hi\u{fffd}")
        );
    }

    /// A pipe has no length, and no end that one may wait for.
    #[test]
    fn a_sidecar_is_a_file() {
        let sidecar: Sidecar = "/dev/zero:en".parse().unwrap();
        let error = sidecar.read(&[]).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: expected a file of subtitles, this is none");
    }

    proptest! {
        /// What is written is read again as it was.
        #[test]
        fn round_trip(times in prop::collection::vec((0i64..100_000, 1i64..5000), 1..20)) {
            let mut start = 0;
            let cues_in: Vec<Cue> = times.iter().map(|(gap, length)| {
                start += gap;
                Cue { start_ms: start, end_ms: start + length, settings: String::new(), lines: vec!["x".into()] }
            }).collect();
            let made = text(&cues_in, None, false, &[]);
            prop_assert_eq!(cues(&made.webvtt).unwrap(), cues_in);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = cues(&bytes);
        }
    }
}
