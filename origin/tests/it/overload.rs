//! Three times as much as can be done: what is done, and how late it comes. Ratios of one run, on a store that
//! takes its time, so that the machine hardly matters.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::caches::watched;
use crate::common::{Origin, Stored, VERSION, skip};

/// What a read takes.
const READ_MS: u64 = 60;
/// Responses made at a time.
const AT_ONCE: u32 = 8;
const TITLES: usize = 40;

/// Paths of segments that no two requests near each other share.
fn paths(origin: &Origin) -> Vec<String> {
    let base = origin.base();
    let of = |title: usize, number: usize| {
        base.replace("/movie/", &format!("/t{title}/")) + &format!("v720/{number}.m4s")
    };
    (1..=12)
        .flat_map(|number| (0..TITLES).map(move |title| (title, number)))
        .map(|(t, n)| of(t, n))
        .collect()
}

async fn timed(origin: &Origin, path: &str) -> (u16, Duration) {
    let began = Instant::now();
    let status = origin.get(path).await.status;
    (status, began.elapsed())
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_too_much_is_done_as_well_as_it_can_be() {
    if std::env::var_os("HEADWATER_TEST_LONG").is_none() {
        return skip("three times too much, for half a minute: set HEADWATER_TEST_LONG=1");
    }
    let length = Duration::from_secs(30);
    let stored = Stored::with_movie();
    for title in 0..TITLES {
        stored.publish(&format!("t{title}"), VERSION, None);
    }
    let config = stored.config(&format!(
        "profiles.clear.segment_ms = 2000\norigin.cache.responses_mib = 0\n\
         origin.limits.max_concurrent_fills = {AT_ONCE}\norigin.limits.fill_wait_ms = 300\n"
    ));
    let (origin, store) = watched(&config);
    let paths = Arc::new(paths(&origin));
    // Every title is open: a segment is one read.
    for path in &paths[..TITLES] {
        assert_eq!(timed(&origin, path).await.0, 200);
    }
    store.delay_ms.store(READ_MS, Ordering::SeqCst);
    let mut alone = Vec::new();
    for path in paths.iter().take(200) {
        alone.push(timed(&origin, path).await.1);
    }
    let alone = p99(alone);
    // Capacity: as many at a time as take turns, none waits.
    let began = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE as usize)
        .map(|worker| {
            let (origin, paths) = (Arc::clone(&origin), Arc::clone(&paths));
            tokio::spawn(async move {
                let mut done = 0_u32;
                for n in (worker..).step_by(AT_ONCE as usize) {
                    if began.elapsed() >= length / 3 {
                        break;
                    }
                    assert_eq!(timed(&origin, &paths[n % paths.len()]).await.0, 200);
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    let capacity = f64::from(done) / began.elapsed().as_secs_f64();
    // Three times that, whoever is answered or not.
    let began = Instant::now();
    let settled = Duration::from_secs(1);
    let mut asks = Vec::new();
    let mut n = 0_u32;
    while began.elapsed() < length {
        let due = Duration::from_secs_f64(f64::from(n) / (3.0 * capacity));
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        let (origin, paths) = (Arc::clone(&origin), Arc::clone(&paths));
        let at = n as usize % paths.len();
        asks.push(tokio::spawn(async move {
            let came = began.elapsed();
            (came, timed(&origin, &paths[at]).await)
        }));
        n += 1;
    }
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for ask in asks {
        let (came, (status, took)) = ask.await.unwrap();
        // What it takes to know that it is no burst is left out.
        match status {
            _ if came < settled || came + took > length => {}
            200 => good.push(took),
            503 => refused.push(took),
            other => panic!("{other}"),
        }
    }
    let goodput = good.len() as f64 / (length - settled).as_secs_f64();
    let refused_p99 = p99(refused);
    let (answers, good) = (good.len(), p99(good));
    println!(
        "measured: capacity {capacity:.0}/s; at three times that {goodput:.0}/s were answered ({answers}), p99 {good:?}, \
         alone {alone:?}; refusals took {refused_p99:?}"
    );
    assert!(goodput >= 0.9 * capacity, "{goodput:.1} of {capacity:.1} a second");
    assert!(good <= 2 * alone, "{good:?}, alone {alone:?}");
}
