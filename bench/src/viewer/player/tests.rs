//! Players against a simulated network, in virtual time.

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::manifest::{Kind, Piece, Track};
use crate::viewer::visit::Habits;
use crate::zipf::Zipf;

const SEGMENT_S: u64 = 6;
const QUALITIES_BPS: [u64; 3] = [300_000, 1_000_000, 4_000_000];

/// Three pictures and a sound, of `segments` times six seconds.
fn title(segments: u64, playlists: bool) -> Presentation {
    let track = |kind, bps| {
        let segments = if playlists {
            Segments::Playlist(Url::parse("http://h/index.m3u8").unwrap())
        } else {
            Segments::Known(timeline(segments))
        };
        Track { kind, bandwidth_bps: Some(bps), segments }
    };
    let mut tracks: Vec<_> = QUALITIES_BPS.map(|bps| track(Kind::Video, bps)).into();
    tracks.push(track(Kind::Audio, 100_000));
    let variants = QUALITIES_BPS
        .iter()
        .enumerate()
        .map(|(n, bps)| Variant { bandwidth_bps: bps + 100_000, tracks: vec![n, 3] });
    Presentation { variants: variants.collect(), first: None, tracks }
}

fn timeline(segments: u64) -> Arc<Timeline> {
    let piece =
        |name: &str| Piece { url: Url::parse(&format!("http://h/{name}")).unwrap(), range: None };
    let segments = (0..segments).map(|n| Segment {
        piece: piece(&n.to_string()),
        init: Some(0),
        start: Duration::from_secs(n * SEGMENT_S),
        duration: Duration::from_secs(SEGMENT_S),
    });
    Arc::new(Timeline { inits: vec![piece("init")], segments: segments.collect() })
}

fn habits() -> Habits {
    Habits {
        titles: Zipf::new(1, 1.0),
        watch_s: None,
        seek_every_s: None,
        join_middle: 0.0,
        line_mbps: None,
    }
}

/// What a visit came to.
struct Seen {
    why: Leave,
    took: Duration,
    account: Account,
    switches: u32,
    steps: Vec<Step>,
    last_variant: usize,
}

/// Plays a title over a line of `bps`; what `fails` says fails.
fn watch(
    habits: &Habits,
    seed: u64,
    segments: u64,
    playlists: bool,
    bps: f64,
    fails: impl Fn(usize) -> bool,
) -> Seen {
    let joined = Duration::from_secs(100);
    let mut now = joined;
    let mut player = Player::join(Visit::draw(habits, seed, 0), now);
    let title = Arc::new(title(segments, playlists));
    let mut steps = Vec::new();
    for n in 0..100_000 {
        let step = player.step(now);
        steps.push(step);
        let mut transfer = |len_bytes: u64| {
            let took = number_of(len_bytes as f64 * 8.0 / bps);
            now += took;
            took
        };
        let failed = fails(n);
        match step {
            Step::Leave(why) => {
                let (switches, last_variant) = (player.switches(), player.variant.unwrap_or(0));
                let account = player.leave(now);
                return Seen { why, took: now - joined, account, switches, steps, last_variant };
            }
            Step::Rest(until) => {
                assert!(until > now, "a rest that does not end");
                now = until;
            }
            _ if failed => {
                transfer(100);
                player.failed(now);
            }
            Step::Manifest => {
                transfer(1_000);
                player.manifest(Arc::clone(&title));
            }
            Step::Playlist(track) => {
                transfer(1_000);
                player.playlist(track, timeline(segments));
            }
            Step::Init(track, init) => {
                transfer(1_000);
                player.init(track, init);
            }
            Step::Segment(track, index) => {
                let rate = title.tracks[track].bandwidth_bps.unwrap();
                let len_bytes = rate * SEGMENT_S / 8;
                let took = transfer(len_bytes);
                player.segment(now, track, index, len_bytes, took);
            }
        }
    }
    panic!("it never ends");
}

fn number_of(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_good_line_plays_to_the_end_in_the_best_quality() {
    for playlists in [false, true] {
        let seen = watch(&habits(), 1, 20, playlists, 50e6, |_| false);
        assert_eq!((seen.why, seen.account.stalls, seen.last_variant), (Leave::Ended, 0, 2));
        assert_eq!(seen.account.played, Duration::from_secs(120));
        // Each segment once for picture and once for sound, in order.
        for sound in [false, true] {
            let of_it = seen.steps.iter().filter_map(|step| match step {
                Step::Segment(track, index) if (*track == 3) == sound => Some(*index),
                _ => None,
            });
            assert!(of_it.eq(0..20), "{sound}: {:?}", seen.steps);
        }
    }
}

#[test]
fn it_rests_when_it_is_full() {
    let seen = watch(&habits(), 1, 100, false, 50e6, |_| false);
    let rests = seen.steps.iter().filter(|step| matches!(step, Step::Rest(_))).count();
    // From when 30 s are ahead about one for each of the last 95 segments.
    assert!((80..300).contains(&rests), "{rests}");
    let slack = seen.took - Duration::from_secs(600);
    assert!(slack < Duration::from_secs(3), "{slack:?}");
}

#[test]
fn a_poor_line_falls_to_what_it_can_and_too_poor_a_one_stalls() {
    let poor = watch(&habits(), 1, 40, false, 1e6, |_| false);
    assert_eq!((poor.account.stalls, poor.last_variant), (0, 0));
    let too_poor = watch(&habits(), 1, 10, false, 200e3, |_| false);
    let Account { stalls, stalled, played, .. } = too_poor.account;
    assert!(stalls > 3, "{stalls}");
    // 60 s of 400 kbit/s over 200 kbit/s take 120 s.
    let waited = too_poor.account.start.unwrap() + stalled;
    assert!((50..70).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(played, Duration::from_secs(60));
}

#[test]
fn a_line_that_comes_and_goes_is_asked_again_and_a_dead_one_given_up() {
    let seen = watch(&habits(), 1, 10, false, 50e6, |n| n % 5 == 2);
    assert_eq!(seen.why, Leave::Ended);
    let dead = watch(&habits(), 1, 10, false, 50e6, |n| n > 8);
    assert_eq!(dead.why, Leave::GaveUp);
    let never = watch(&habits(), 1, 10, false, 50e6, |_| true);
    let asked = never.steps.iter().filter(|step| **step == Step::Manifest).count();
    assert_eq!((never.why, asked, never.account.start), (Leave::GaveUp, 3, None));
}

#[test]
fn viewers_leave_when_they_want() {
    let habits = Habits { watch_s: Some(30.0), ..habits() };
    let mean = (0..200)
        .map(|seed| {
            let seen = watch(&habits, seed, 200, false, 50e6, |_| false);
            assert_eq!(seen.why, Leave::Wanted);
            seen.took.as_secs_f64()
        })
        .sum::<f64>()
        / 200.0;
    assert!((25.0..38.0).contains(&mean), "{mean}");
}

/// A jump to the very end shows the end, and does not wait for what does not come.
#[test]
fn a_jump_to_the_end_ends() {
    let end = Duration::from_secs(6);
    for (share, wanted_ms) in [(0.0, 0), (0.5, 3_000), (0.999, 5_000), (1.0, 5_000)] {
        assert_eq!(place(end, share).as_millis(), wanted_ms, "{share}");
    }
    assert_eq!(place(Duration::from_millis(500), 0.9), Duration::ZERO);
    let habits = Habits { seek_every_s: Some(1.0), ..habits() };
    for seed in 0..300 {
        let seen = watch(&habits, seed, 1, false, 50e6, |_| false);
        assert_eq!(seen.why, Leave::Ended);
        assert!(seen.steps.len() < 3_000, "{}", seen.steps.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the line does, every visit ends, and its time is accounted for.
    #[test]
    fn every_visit_ends(seed in any::<u64>(), mbps in 0.1..50.0_f64, every in 4_usize..40,
        playlists in any::<bool>(), segments in 1_u64..30) {
        let habits = Habits { join_middle: 0.5, seek_every_s: Some(40.0), watch_s: Some(200.0), ..habits() };
        let seen = watch(&habits, seed, segments, playlists, mbps * 1e6, |n| n % every == 0);
        let Account { start, played, stalled, seeking, .. } = seen.account;
        prop_assert!(start.unwrap_or_default() + played + stalled + seeking <= seen.took);
        let last = Duration::from_secs(segments * SEGMENT_S);
        prop_assert!(seen.why != Leave::Ended || played <= last + seen.took);
        prop_assert!(seen.switches <= 2000);
    }
}
