//! The packager's work by name, on made-up titles that are like real ones: two hours of five
//! pictures and two sounds, and a segment of 2 MB.
//!
//! `cargo bench -p headwater-packager-bench` takes times. [`packager/bench/count`](../count) counts
//! the instructions of each piece of work and compares them with `counts.txt`.
#![expect(clippy::unwrap_used, reason = "made-up titles are right, or the bench is wrong")]

pub mod film;
pub mod segment;

use std::hint::black_box;

use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::KeyId;
use headwater_packager::label::Label;
use headwater_packager::period::Periods;
use headwater_packager::protect::{Form, Scheme, wholes_together};
use headwater_packager::signalling::{KeyUse, LabelKey, Protection, Signals, System, Told};
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Title, Track};
use headwater_packager::{dash, hls, plan};

use segment::Segment;

/// One piece of work: what its figures are called, and what is done.
pub type Work = (&'static str, Box<dyn Fn()>);

/// Milliseconds of a segment, as profiles have them unless they say otherwise.
const SEGMENT_MS: u32 = 6000;
/// A segment far from every position that a title keeps, and so the dearest to find.
const SEGMENT: u32 = 620;

/// All of it. Each may be done any number of times.
pub fn works() -> Vec<Work> {
    let mut works = of_a_film();
    works.extend(of_a_segment());
    works
}

/// What needs heads alone: two hours, seven tracks.
fn of_a_film() -> Vec<Work> {
    let heads = film::heads();
    let title = leaked(Title::open(&heads).unwrap());
    let clear = leaked(Timeline::new(title, SEGMENT_MS, Form::Clear));
    let cbcs = leaked(Timeline::new(title, SEGMENT_MS, Form::Protected(Scheme::Cbcs)));
    let keys = leaked(protection(title, Scheme::Cbcs));
    let picture = &title.tracks()[0];
    vec![
        ("open", work(move || Title::open(&heads).unwrap())),
        ("timeline", work(move || Timeline::new(title, SEGMENT_MS, Form::Clear))),
        ("master", work(move || hls::multivariant(title, clear, None, ""))),
        ("media", work(move || hls::media(clear, picture, None))),
        ("iframes", work(move || hls::iframes(clear, picture, None).unwrap())),
        ("mpd", work(move || dash::mpd(title, clear, None, ""))),
        ("master_cbcs", work(move || hls::multivariant(title, cbcs, Some(keys), ""))),
        ("iframes_cbcs", work(move || hls::iframes(cbcs, picture, Some(keys)).unwrap())),
        ("mpd_cbcs", work(move || dash::mpd(title, cbcs, Some(keys), ""))),
        ("plan", work(move || plan::segment(clear, picture, SEGMENT).unwrap())),
    ]
}

/// What a segment of 2 MB takes between store and connection.
fn of_a_segment() -> Vec<Work> {
    let segment = leaked(Segment::made_up());
    let title = leaked(Title::open(&segment.heads).unwrap());
    let track = &title.tracks()[0];
    let clear = Timeline::new(title, SEGMENT_MS, Form::Clear);
    let read = leaked(plan::segment(&clear, track, 1).unwrap().reads.remove(0));
    let protected = |scheme| {
        let keys = leaked(protection(title, scheme));
        work(move || keys.of(track, 1).protector.segment(track, 1, 0, segment.own()).unwrap())
    };
    vec![
        ("verify", work(move || plan::verify(track, read, &segment.bytes).unwrap())),
        ("subsamples", work(|| segment.map())),
        // What each of the three below begins with: a buffer of its own.
        ("copy", work(|| segment.own())),
        ("cbcs", protected(Scheme::Cbcs)),
        ("cenc", protected(Scheme::Cenc)),
        ("aes_128", protected(Scheme::Aes128)),
        (
            "aes_128_side_by_side",
            side_by_side(segment, track, leaked(protection(title, Scheme::Aes128))),
        ),
    ]
}

/// Four segments, as the origin encrypts those that are asked for at once.
fn side_by_side(
    segment: &'static Segment,
    track: &'static Track,
    keys: &'static Protection,
) -> Box<dyn Fn()> {
    work(move || {
        let mut buffers = [(); 4].map(|()| segment.own());
        let by = &*keys.of(track, 1).protector;
        wholes_together((1..).zip(&mut buffers).map(|(number, bytes)| (by, number, bytes)));
        buffers
    })
}

/// Nothing of what is made may be left out because nobody reads it.
fn work<T>(make: impl Fn() -> T + 'static) -> Box<dyn Fn()> {
    Box::new(move || drop(black_box(make())))
}

/// Inputs live as long as the program.
fn leaked<T>(input: T) -> &'static T {
    Box::leak(Box::new(input))
}

fn protection(title: &Title, scheme: Scheme) -> Protection {
    let keys: Vec<_> = (1..)
        .zip(Label::ALL)
        .map(|(n, label)| LabelKey {
            of: KeyUse { period: 0, label },
            key_id: KeyId([n; 16]),
            key: ContentKey::new([0xa0 | n; 16]),
            told: Told::default(),
        })
        .collect();
    let signals = Signals {
        systems: vec![System::Widevine, System::PlayReady, System::FairPlay],
        fairplay_uri: "skd://{title}/{label}/{kid}".to_owned(),
        ..Signals::default()
    };
    let timeline = Timeline::new(title, 6000, Form::Protected(scheme));
    let periods = Periods::new(title, &timeline, 0);
    Protection::new(title, scheme, signals, periods, &keys).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_can_be_done_twice() {
        for (_, work) in works() {
            work();
            work();
        }
    }

    #[test]
    fn an_opened_film_is_small() {
        let resident_bytes = Title::open(&film::heads()).unwrap().resident_bytes();
        println!("measured: an opened title of 2 h and 7 tracks: {resident_bytes} bytes resident");
        assert!(resident_bytes < 600_000, "{resident_bytes}");
    }
}
