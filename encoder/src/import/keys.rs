//! Where the tracks of a ladder can be cut: at key frames that all of its pictures share.

use std::fmt;

/// A key frame that decoding can start at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// When it is shown, in ticks from the track's first picture.
    pub ticks: u64,
    /// Which of the file's fragments it starts.
    pub fragment: usize,
}

/// The key frames of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Ticks a second.
    pub timescale: u32,
    /// Ticks of a picture: two key frames nearer than half of it are the same.
    pub frame_ticks: u64,
    /// In order; the first at 0.
    pub keys: Vec<Key>,
    /// Where the last picture ends, in ticks.
    pub end_ticks: u64,
}

impl Keys {
    fn seconds(&self, ticks: u64) -> f64 {
        seconds(ticks, self.timescale)
    }
}

/// Where a ladder is cut: for each cut, the key of each track.
pub type Cuts = Vec<Vec<Key>>;

/// Why a ladder cannot be cut.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// A track has a key frame that another lacks, and no shared one comes soon enough.
    Key {
        /// Who has it.
        of: usize,
        /// When, in seconds.
        at_s: f64,
        /// Who lacks it.
        lacked_by: usize,
        /// Where that one has its nearest, in seconds.
        nearest_s: f64,
        /// From here on no key frame is shared for too long, in seconds.
        from_s: f64,
    },
    /// All have the same key frames, and they are too far apart.
    Apart {
        /// Between these, in seconds.
        from_s: f64,
        /// The next.
        to_s: f64,
    },
    /// A track is longer or shorter than the first.
    Length {
        /// Which.
        of: usize,
        /// Its length in seconds.
        got_s: f64,
        /// The first one's.
        wanted_s: f64,
    },
}

/// Pictures by which the tracks of a ladder may differ in length.
const LENGTH_SLACK_FRAMES: u64 = 2;

/// Cuts a ladder at shared key frames, as near `wanted_s` apart as they lie, `most_s` at most; the
/// first track is measured by. `tracks` is not empty, and none of them is.
pub fn cuts(tracks: &[Keys], wanted_s: f64, most_s: f64) -> Result<Cuts, Misfit> {
    check_lengths(tracks)?;
    let shared = shared(tracks);
    let times: Vec<f64> = shared.iter().map(|keys| tracks[0].seconds(keys[0].ticks)).collect();
    let end_s = tracks[0].seconds(tracks[0].end_ticks);
    check_gaps(tracks, &times, end_s, most_s)?;
    let mut cuts: Cuts = Vec::new();
    let mut from_s = 0.0;
    for (i, (keys, &at_s)) in shared.iter().zip(&times).enumerate() {
        // A key is a cut unless the next one leaves the fragment nearer the wanted length.
        let next_s = times.get(i + 1).copied().unwrap_or(end_s);
        let length_s = at_s - from_s;
        let nearer = (next_s - from_s - wanted_s).abs() < (length_s - wanted_s).abs();
        if cuts.is_empty() || !(nearer && next_s - from_s <= most_s) {
            cuts.push(keys.clone());
            from_s = at_s;
        }
    }
    Ok(cuts)
}

fn check_lengths(tracks: &[Keys]) -> Result<(), Misfit> {
    let wanted_s = tracks[0].seconds(tracks[0].end_ticks);
    for (of, track) in tracks.iter().enumerate().skip(1) {
        let got_s = track.seconds(track.end_ticks);
        let frame_s =
            track.seconds(track.frame_ticks).max(tracks[0].seconds(tracks[0].frame_ticks));
        let slack_s = frame_s * seconds(LENGTH_SLACK_FRAMES, 1);
        if (got_s - wanted_s).abs() > slack_s {
            return Err(Misfit::Length { of, got_s, wanted_s });
        }
    }
    Ok(())
}

/// The key frames that every track has.
fn shared(tracks: &[Keys]) -> Vec<Vec<Key>> {
    let (first, others) = tracks.split_first().expect("tracks are not empty");
    let of_others = |key: &Key| -> Option<Vec<Key>> {
        others.iter().map(|other| same(first, *key, other)).collect()
    };
    first
        .keys
        .iter()
        .filter_map(|key| {
            let mut keys = vec![*key];
            keys.extend(of_others(key)?);
            Some(keys)
        })
        .collect()
}

/// The key of `other` at the time of `key`, to half a picture of either.
fn same(of: &Keys, key: Key, other: &Keys) -> Option<Key> {
    let ours = i128::from(key.ticks) * i128::from(other.timescale);
    let theirs = |k: &Key| i128::from(k.ticks) * i128::from(of.timescale);
    let off = |k: &Key| (theirs(k) - ours).abs();
    let after = other.keys.partition_point(|k| theirs(k) < ours);
    let around = &other.keys[after.saturating_sub(1)..(after + 1).min(other.keys.len())];
    let nearest = around.iter().min_by_key(|k| off(k)).copied()?;
    let half = (i128::from(of.frame_ticks) * i128::from(other.timescale))
        .min(i128::from(other.frame_ticks) * i128::from(of.timescale));
    (2 * off(&nearest) < half).then_some(nearest)
}

/// That shared key frames, at `times`, are never further apart than `most_s`.
fn check_gaps(tracks: &[Keys], times: &[f64], end_s: f64, most_s: f64) -> Result<(), Misfit> {
    let ends = times.iter().copied().skip(1).chain([end_s]);
    let too_far = times.iter().copied().zip(ends).find(|(from, to)| to - from > most_s);
    let Some((from_s, to_s)) = too_far else { return Ok(()) };
    Err(first_difference(tracks, from_s, to_s).unwrap_or(Misfit::Apart { from_s, to_s }))
}

/// The first key frame between two times that not every track has.
fn first_difference(tracks: &[Keys], from_s: f64, to_s: f64) -> Option<Misfit> {
    let mut found: Option<Misfit> = None;
    for (of, track) in tracks.iter().enumerate() {
        for key in &track.keys {
            let at_s = track.seconds(key.ticks);
            let earlier = |m: &Misfit| matches!(m, Misfit::Key { at_s: t, .. } if *t <= at_s);
            if at_s <= from_s || at_s >= to_s || found.as_ref().is_some_and(earlier) {
                continue;
            }
            let lacking = (0..tracks.len()).find(|&k| same(track, *key, &tracks[k]).is_none());
            if let Some(lacked_by) = lacking {
                let nearest_s = nearest(&tracks[lacked_by], at_s);
                found = Some(Misfit::Key { of, at_s, lacked_by, nearest_s, from_s });
            }
        }
    }
    found
}

fn nearest(track: &Keys, at_s: f64) -> f64 {
    let times = track.keys.iter().map(|key| track.seconds(key.ticks));
    times.min_by(|a, b| (a - at_s).abs().total_cmp(&(b - at_s).abs())).unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "compared with half a picture, shown to people")]
fn seconds(ticks: u64, timescale: u32) -> f64 {
    ticks as f64 / f64::from(timescale)
}

impl Misfit {
    /// In words, where `names` are the tracks'.
    pub fn describe(&self, names: &[String]) -> impl fmt::Display {
        match *self {
            Self::Key { of, at_s, lacked_by, nearest_s, from_s } => format!(
                "key frames do not align: {} has one at {at_s:.3} s, {} has none there (its nearest \
                 is at {nearest_s:.3} s), and after {from_s:.3} s no key frame is shared soon enough; \
                 encode the renditions with the same key frames (ffmpeg -force_key_frames), or \
                 encode the source with `headwater-encoder encode`",
                names[of], names[lacked_by]
            ),
            Self::Apart { from_s, to_s } => format!(
                "key frames that decoding can start at are too far apart: none of {} between \
                 {from_s:.3} s and {to_s:.3} s; encode with closed GOPs of 2 to 10 s",
                names.join(", ")
            ),
            Self::Length { of, got_s, wanted_s } => format!(
                "{} lasts {got_s:.3} s and {} {wanted_s:.3} s: they are not renditions of the same \
                 film, or one was cut off",
                names[of], names[0]
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A track at 24 frames a second with key frames at these frames.
    fn track(timescale: u32, frames: u64, keys: &[u64]) -> Keys {
        let frame_ticks = u64::from(timescale) / 24;
        let keys = keys.iter().enumerate();
        Keys {
            timescale,
            frame_ticks,
            keys: keys.map(|(fragment, k)| Key { ticks: k * frame_ticks, fragment }).collect(),
            end_ticks: frames * frame_ticks,
        }
    }

    fn frames_of(tracks: &[Keys]) -> Result<Vec<u64>, Misfit> {
        let cuts = cuts(tracks, 2.0, 10.0)?;
        Ok(cuts.iter().map(|keys| keys[0].ticks / tracks[0].frame_ticks).collect())
    }

    #[test]
    fn ladders_and_their_cuts() {
        type Case<'a> = (&'a str, &'a [&'a [u64]], &'a [u64]);
        let table: [Case<'_>; 6] = [
            ("every 2 s", &[&[0, 48, 96], &[0, 48, 96]], &[0, 48, 96]),
            ("every second: two make a fragment", &[&[0, 24, 48, 72, 96]], &[0, 48, 96]),
            ("every 5 s", &[&[0, 120]], &[0, 120]),
            ("a scene cut that one has", &[&[0, 48, 61, 96], &[0, 48, 96]], &[0, 48, 96]),
            ("2 s against 3 s", &[&[0, 48, 96, 144], &[0, 72, 144]], &[0, 144]),
            ("one key frame", &[&[0], &[0]], &[0]),
        ];
        for (name, tracks, wanted) in table {
            // Two clocks: 24,000 and 90,000 ticks a second.
            let scales = [24_000, 90_000].into_iter().cycle();
            let tracks: Vec<Keys> =
                tracks.iter().zip(scales).map(|(keys, scale)| track(scale, 168, keys)).collect();
            assert_eq!(frames_of(&tracks).unwrap(), wanted, "{name}");
        }
    }

    #[test]
    fn misfits() {
        let every = |gop: usize| -> Vec<u64> { (0..720).step_by(gop).collect() };
        let names = ["v720".to_owned(), "v360".to_owned()];
        let said =
            |tracks: &[Keys]| cuts(tracks, 2.0, 10.0).unwrap_err().describe(&names).to_string();
        let apart = [track(24_000, 720, &every(48)), track(24_000, 720, &every(50))];
        let text = said(&apart);
        assert!(
            text.starts_with(
                "key frames do not align: v720 has one at 2.000 s, v360 has none there (its nearest \
                 is at 2.083 s), and after 0.000 s"
            ),
            "{text}"
        );
        let sparse = [track(24_000, 720, &[0, 300]), track(24_000, 720, &[0, 300])];
        let text = said(&sparse);
        assert!(text.contains("v720, v360 between 0.000 s and 12.500 s"), "{text}");
        let short = [track(24_000, 720, &every(48)), track(24_000, 700, &every(48))];
        let text = said(&short);
        assert!(text.starts_with("v360 lasts 29.167 s and v720 30.000 s"), "{text}");
        let nearly = [track(24_000, 720, &every(48)), track(24_000, 718, &every(48))];
        assert!(cuts(&nearly, 2.0, 10.0).is_ok());
    }

    proptest! {
        /// Cuts start at 0, rise, are shared by all tracks, and none is longer than allowed.
        #[test]
        fn cuts_are_shared_and_short_enough(
            gops in prop::collection::vec(prop_oneof![Just(12usize), Just(24), Just(36), Just(48), Just(72)], 1..4),
            frames in 100..2000u64,
        ) {
            let last = usize::try_from(frames).unwrap();
            let tracks: Vec<Keys> = gops
                .iter()
                .map(|&gop| track(24_000, frames, &(0..last as u64).step_by(gop).collect::<Vec<_>>()))
                .collect();
            let Ok(cuts) = cuts(&tracks, 2.0, 10.0) else { return Ok(()) };
            prop_assert_eq!(cuts[0][0].ticks, 0);
            let mut before = None;
            for keys in &cuts {
                prop_assert!(keys.iter().all(|key| key.ticks == keys[0].ticks));
                let frame = usize::try_from(keys[0].ticks / 1000).unwrap();
                prop_assert!(gops.iter().all(|gop| frame.is_multiple_of(*gop)));
                if let Some(before) = before {
                    prop_assert!(keys[0].ticks > before && keys[0].ticks - before <= 240_000);
                }
                before = Some(keys[0].ticks);
            }
        }
    }
}
