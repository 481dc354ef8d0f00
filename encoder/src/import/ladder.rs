//! What a ladder's files hold, by their headers and packets: renditions, sounds, and what is left
//! out or refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use headwater_packager::heads::Role;
use headwater_packager::ids::TrackId;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::ffmpeg::{Copied, Log};
use crate::grid::Rate;
use crate::language::{self, Language};
use crate::limits;
use crate::probe::{Probe, Stream};
use crate::scan::{Scan, early};
use crate::source::Stamp;

/// A file of the ladder.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What ffprobe says.
    pub probe: Probe,
    /// What becomes of its streams.
    pub streams: Vec<Copied>,
}

/// What a title is to be made of.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// Every file.
    pub files: Vec<File>,
    /// Renditions, best first.
    pub pictures: Vec<Picture>,
    /// Sounds, in the order in which players list them.
    pub sounds: Vec<Sound>,
    /// What the operator should know.
    pub notices: Vec<String>,
}

/// A rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its track.
    pub track: TrackId,
    /// For messages: file and stream.
    pub name: String,
    /// What its container claims, where it does.
    pub rate: Option<Rate>,
    /// Packets of its stream.
    pub packets: u64,
}

/// A sound track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Its track.
    pub track: TrackId,
    /// For messages: file and stream.
    pub name: String,
    /// What it declares.
    pub language: Option<Language>,
    /// What it is for.
    pub role: Role,
    /// How long before the picture its first frame starts; negative after it.
    pub early: Stamp,
    /// Packets of its stream.
    pub packets: u64,
}

/// A stream of a file, before tracks are named.
struct Candidate<'p> {
    file: usize,
    /// Whether its file has a picture: ladders repeat their sound in such files.
    is_muxed: bool,
    stream: &'p Stream,
    kbps: u64,
    name: String,
    /// How long before the picture of its file its first packet is, hidden ones included.
    early: Stamp,
    packets: u64,
    /// Those of them that no edit list hides.
    shown: u64,
}

/// A file that was looked at: its path, ffprobe's words, its packets and what it was told of them.
pub type Looked = (PathBuf, Probe, Scan, Log);

/// Chooses from the files' streams, or refuses.
pub fn choose(files: &[Looked]) -> Result<Ladder, Error> {
    let mut ladder = Ladder::default();
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    let zeros: Vec<Option<Stamp>> = files
        .iter()
        .map(|(path, probe, scan, _)| zero(path, probe, scan))
        .collect::<Result<_, _>>()?;
    for (file, (path, probe, scan, log)) in files.iter().enumerate() {
        check_whole(path, probe, scan, log)?;
        let zero = zeros[file].unwrap_or_else(|| shared_zero(&zeros));
        for stream in &probe.streams {
            let name = format!("{}, {}", file_name(path), stream.describe());
            let Some(early) = early(stream, scan, zero) else {
                ladder.notices.push(format!("{name}: left out, it is empty"));
                continue;
            };
            let (kbps, packets) = (kbps(stream, scan), scan.coded_packets(stream.index));
            let is_muxed = zeros[file].is_some();
            let shown = scan.span(stream.index).map_or(0, |span| span.packets);
            let candidate = Candidate { file, is_muxed, stream, kbps, name, early, packets, shown };
            if stream.is_video() {
                check_picture(&candidate)?;
                pictures.push(candidate);
            } else if stream.is_audio() {
                check_sound(&candidate)?;
                sounds.push(candidate);
            } else {
                let name = candidate.name;
                ladder.notices.push(format!("{name}: left out, it is neither picture nor sound"));
            }
        }
    }
    if pictures.is_empty() {
        let names: Vec<_> = files.iter().map(|(path, ..)| file_name(path)).collect();
        let text = format!("there is no moving picture in {}", names.join(", "));
        return Err(Error::new(Kind::Refused, text));
    }
    pictures.sort_by_key(|c| std::cmp::Reverse((short_side(c.stream), c.kbps)));
    sounds.sort_by_key(|c| (c.file, c.stream.index));
    let mut copied: Vec<Vec<Copied>> = vec![Vec::new(); files.len()];
    let mut names = BTreeSet::new();
    for candidate in &pictures {
        let track = picture_track(candidate.stream, &mut names);
        copied[candidate.file].push(copied_as(candidate.stream, &track));
        ladder.pictures.push(Picture {
            track,
            name: candidate.name.clone(),
            rate: candidate.stream.claimed_rates().next(),
            packets: candidate.packets,
        });
    }
    for candidate in best_sounds(&sounds, &mut ladder.notices) {
        let language = candidate.stream.tags.get("language").and_then(|tag| language::parse(tag));
        let track = sound_track(candidate.stream, language.as_ref(), &mut names);
        copied[candidate.file].push(copied_as(candidate.stream, &track));
        let Candidate { name, early, packets, .. } = candidate;
        let name = name.clone();
        let role = role(candidate.stream);
        let (early, packets) = (*early, *packets);
        ladder.sounds.push(Sound { track, name, language, role, early, packets });
    }
    if ladder.sounds.is_empty() {
        ladder.notices.push("the ladder has no sound; the title will have none".to_owned());
    }
    let paths = files.iter().zip(copied);
    ladder.files = paths
        .map(|((path, probe, ..), streams)| File {
            path: path.clone(),
            probe: probe.clone(),
            streams,
        })
        .collect();
    Ok(ladder)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into())
}

fn refusal(name: &str, found: &str, remedy: &str) -> Error {
    Error::new(Kind::Refused, format!("{name}: {found}; {remedy}"))
}

/// A file that was cut off: its demuxer says so, or it ends before its container's promise.
fn check_whole(path: &Path, probe: &Probe, scan: &Scan, log: &Log) -> Result<(), Error> {
    let (end_s, promised_s) = (scan.end_s(probe), probe.format.duration_s());
    let is_short = promised_s.is_some_and(|p| p - end_s > limits::TRUNCATION_SLACK_SECONDS);
    if log.damage().is_none() && !is_short {
        return Ok(());
    }
    let promise = promised_s.map_or_else(String::new, |p| format!(" of {p:.3} s"));
    let text = format!(
        "{} is cut off or damaged: its packets end at {end_s:.3} s{promise}; use a whole copy",
        file_name(path)
    );
    Err(Error::new(Kind::SourceDamaged, text))
}

/// Where files of sound alone count from: where all pictures start, if that is one time.
fn shared_zero(zeros: &[Option<Stamp>]) -> Stamp {
    let mut starts = zeros.iter().flatten();
    let Some(first) = starts.next() else { return Stamp { ticks: 0, base: (1, 1) } };
    match starts.all(|start| is_same(*start, *first)) {
        true => *first,
        false => Stamp { ticks: 0, base: (1, 1) },
    }
}

fn is_same(one: Stamp, other: Stamp) -> bool {
    (one.seconds() - other.seconds()).abs() <= 0.001
}

/// When a file's first picture is shown; `None` where it has none.
fn zero(path: &Path, probe: &Probe, scan: &Scan) -> Result<Option<Stamp>, Error> {
    let mut starts = probe.streams.iter().filter(|s| s.is_video()).filter_map(|stream| {
        let ticks = scan.span(stream.index)?.start_pts;
        Some(Stamp { ticks, base: stream.time_base()? })
    });
    let Some(first) = starts.next() else { return Ok(None) };
    if let Some(other) = starts.find(|start| !is_same(*start, first)) {
        return Err(refusal(
            &file_name(path),
            &format!("its pictures start at {:.3} s and {:.3} s", first.seconds(), other.seconds()),
            "remux each into a file of its own",
        ));
    }
    Ok(Some(first))
}

/// For choosing between streams, in kbit/s.
fn kbps(stream: &Stream, scan: &Scan) -> u64 {
    let length_s = match (scan.span(stream.index), stream.time_base()) {
        (Some(span), Some(base)) => span.length_s(base),
        _ => 0.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded below")]
    let ms = (length_s * 1000.0).max(1.0) as u64;
    scan.bytes(stream.index) * 8 / ms
}

fn check_picture(candidate: &Candidate<'_>) -> Result<(), Error> {
    let &Candidate { stream, ref name, early, packets, shown, .. } = candidate;
    let encode = "encode the source with `headwater-encoder encode`";
    if !matches!(stream.codec(), "h264" | "hevc" | "av1") {
        return Err(refusal(
            name,
            "no codec that can be served as it is (h264, hevc, av1)",
            encode,
        ));
    }
    if let Some(degrees) = stream.side_data_list.iter().find_map(|data| data.rotation)
        && degrees != 0.0
    {
        return Err(refusal(
            name,
            &format!("a picture to be rotated by {degrees} degrees"),
            encode,
        ));
    }
    if matches!(stream.field_order.as_deref(), Some("tt" | "tb" | "bb" | "bt")) {
        return Err(refusal(name, "interlaced pictures, which browsers do not show", encode));
    }
    if early.ticks > 0 {
        return Err(refusal(name, "an edit list hides its first pictures", encode));
    }
    if shown < packets {
        let hidden = packets - shown;
        return Err(refusal(name, &format!("an edit list hides {hidden} of its pictures"), encode));
    }
    Ok(())
}

fn check_sound(candidate: &Candidate<'_>) -> Result<(), Error> {
    let Candidate { stream, name, .. } = candidate;
    if matches!(stream.codec(), "aac" | "opus" | "ac3" | "eac3") {
        return Ok(());
    }
    let found = "no codec that can be served as it is (aac, opus, ac3, eac3)";
    Err(refusal(name, found, "encode the sound to AAC first (ffmpeg -c:v copy -c:a aac)"))
}

fn copied_as(stream: &Stream, track: &TrackId) -> Copied {
    Copied {
        index: stream.index,
        track: track.clone(),
        is_video: stream.is_video(),
        is_hevc: stream.codec() == "hevc",
    }
}

fn short_side(stream: &Stream) -> u32 {
    stream.width.unwrap_or(0).min(stream.height.unwrap_or(0))
}

/// Of sounds that differ in nothing but their rate, the best: muxed ladders repeat the sound in
/// every file.
fn best_sounds<'c, 'p>(
    sounds: &'c [Candidate<'p>],
    notices: &mut Vec<String>,
) -> Vec<&'c Candidate<'p>> {
    let what = |c: &Candidate<'_>| {
        let language = c.stream.tags.get("language").cloned().unwrap_or_default();
        (c.stream.codec().to_owned(), language, c.stream.channels, role(c.stream))
    };
    let mut kept: Vec<&Candidate<'_>> = Vec::new();
    let is_same = |one: &Candidate<'_>, other: &Candidate<'_>| {
        one.file != other.file && one.is_muxed && other.is_muxed && what(one) == what(other)
    };
    for sound in sounds {
        match kept.iter_mut().find(|k| is_same(k, sound)) {
            None => kept.push(sound),
            Some(before) => {
                let (best, other) =
                    if sound.kbps > before.kbps { (sound, *before) } else { (*before, sound) };
                notices.push(format!(
                    "{}: left out, {} is the same at {} kbit/s",
                    other.name, best.name, best.kbps
                ));
                *before = best;
            }
        }
    }
    kept
}

/// By the container's flags.
fn role(stream: &Stream) -> Role {
    match () {
        () if stream.has("comment") => Role::Commentary,
        () if stream.has("visual_impaired") || stream.has("descriptions") => Role::Description,
        () if stream.has("dub") => Role::Dub,
        () => Role::Main,
    }
}

fn picture_track(stream: &Stream, names: &mut BTreeSet<String>) -> TrackId {
    let codec = match stream.codec() {
        "h264" => String::new(),
        other => format!("-{other}"),
    };
    unused(&format!("v{}{codec}", short_side(stream)), names)
}

fn sound_track(
    stream: &Stream,
    language: Option<&Language>,
    names: &mut BTreeSet<String>,
) -> TrackId {
    let codec = match stream.codec() {
        "aac" => String::new(),
        other => format!("-{other}"),
    };
    unused(&format!("a-{}{codec}", language.map_or("und", |l| l.tag.as_str())), names)
}

/// `name`, or with a number behind it where it is taken.
fn unused(name: &str, names: &mut BTreeSet<String>) -> TrackId {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|n| !names.contains(n));
    let free = free.expect("numbers do not end");
    names.insert(free.clone());
    free.parse().expect("letters, digits and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An edit list may hide pictures at the end as well; served, they would be shown.
    #[test]
    fn hidden_pictures_are_refused_at_both_ends() {
        let json = r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "h264",
            "width": 320, "height": 180, "time_base": "1/24"}]}"#;
        let probe = Probe::parse(json.as_bytes()).unwrap();
        let choose = |flags: [&str; 3]| {
            let mut scan = Scan::new(0);
            for (k, flags) in flags.iter().enumerate() {
                let line =
                    format!("stream_index=0|pts={k}|dts={k}|duration=1|size=9|flags={flags}");
                scan.line(&line).unwrap();
            }
            scan.finish();
            choose(&[("film.mp4".into(), probe.clone(), scan, Log::default())]).map(|_| ())
        };
        assert_eq!(choose(["K_", "__", "__"]), Ok(()));
        let said = |flags| choose(flags).unwrap_err().to_string();
        let first = said(["KD", "K_", "__"]);
        assert!(first.contains("an edit list hides its first pictures; encode"), "{first}");
        let last = said(["K_", "__", "_D"]);
        assert!(last.contains("an edit list hides 1 of its pictures; encode"), "{last}");
    }
}
