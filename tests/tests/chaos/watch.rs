//! Looks at pointers and heads again and again, as origins do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_packager::ids::VersionId;

use crate::site::Site;

/// Tells the watcher that it is over, however it ends.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No pointer goes back to an earlier version or to none, and the heads of a version that was live
/// stay what they were. Ids rise with time. Gives how often it looked.
pub fn never_back(site: &Site, titles: &[String], every: Duration, is_over: &AtomicBool) -> usize {
    let mut seen: BTreeMap<&str, (VersionId, Vec<u8>)> = BTreeMap::new();
    let mut looks = 0;
    while !is_over.load(Ordering::Relaxed) {
        for title in titles {
            // One that does not answer has said nothing.
            let Ok(live) = site.live(title) else { continue };
            let before = seen.get(title.as_str());
            let Some(live) = live else {
                assert!(before.is_none(), "{title} was live, and is not any more");
                continue;
            };
            assert!(
                before.is_none_or(|(version, _)| *version <= live),
                "{title}: {}, then {live}",
                before.unwrap().0
            );
            let Ok(heads) = site.heads(title, live) else { continue };
            let heads = heads.unwrap_or_else(|| panic!("{title}: {live} is live without heads"));
            match before {
                Some((version, known)) if *version == live => {
                    assert!(*known == heads, "{title}: the heads of {live} have changed");
                }
                _ => drop(seen.insert(title, (live, heads))),
            }
            looks += 1;
        }
        std::thread::sleep(every);
    }
    looks
}
