//! What was spent on a track: CPU time, and time.

/// What an attempt whose result was taken spent on one track of the title.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent {
    /// The track's id, at most [`crate::limits::TRACK_BYTES`].
    pub track: String,
    /// CPU time. One process makes all renditions of a chunk: each has its share of it by the pixels
    /// that it encodes.
    pub cpu_ms: u64,
    /// Time from the claim to the result, for all tracks of an attempt the same.
    pub work_ms: u64,
    /// Media that was made of it.
    pub media_ms: u64,
    /// Bytes that were read of a source in a store, whatever became of the attempt.
    pub read_bytes: u64,
}

impl Spent {
    /// What stands for a track where a source is read: no track begins so, `a-` and `v` are theirs.
    pub const SOURCE: &str = "source";

    /// So many bytes of the source.
    pub fn reading(read_bytes: u64) -> Self {
        Self { track: Self::SOURCE.to_owned(), cpu_ms: 0, work_ms: 0, media_ms: 0, read_bytes }
    }

    /// Whether it is the source that was read, and no track.
    pub fn is_source(&self) -> bool {
        self.track == Self::SOURCE
    }

    /// Adds what another attempt spent on the same track.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_ms = self.cpu_ms.saturating_add(other.cpu_ms);
        self.work_ms = self.work_ms.saturating_add(other.work_ms);
        self.media_ms = self.media_ms.saturating_add(other.media_ms);
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
    }

    /// One process's time, shared among `tracks` by their weights.
    pub fn shared(tracks: &[(String, u64)], cpu_ms: u64, work_ms: u64, media_ms: u64) -> Vec<Self> {
        let whole: u64 = tracks.iter().map(|(_, weight)| weight).sum();
        let (mut before, mut given_ms) = (0, 0);
        let share = |(track, weight): &(String, u64)| {
            // Rounded so that the shares' sum is the whole.
            before += weight;
            let until = u128::from(cpu_ms) * u128::from(before) / u128::from(whole.max(1));
            let until_ms = u64::try_from(until).unwrap_or(u64::MAX);
            let cpu_ms = until_ms - given_ms;
            given_ms = until_ms;
            Self { track: track.clone(), cpu_ms, work_ms, media_ms, read_bytes: 0 }
        };
        tracks.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_the_whole() {
        let tracks = [("v1080", 9), ("v720", 4), ("v360", 1)];
        let tracks = tracks.map(|(track, weight)| (track.to_owned(), weight));
        for cpu_ms in [0, 1, 13, 14, 1_000, u64::MAX / 2] {
            let spent = Spent::shared(&tracks, cpu_ms, 5, 7);
            assert_eq!(spent.iter().map(|spent| spent.cpu_ms).sum::<u64>(), cpu_ms);
            assert!(spent.iter().all(|spent| (spent.work_ms, spent.media_ms) == (5, 7)));
        }
        let spent = Spent::shared(&tracks, 1_400, 5, 7);
        let shares: Vec<_> = spent.iter().map(|spent| spent.cpu_ms).collect();
        assert_eq!(shares, [900, 400, 100]);
        assert_eq!(Spent::shared(&[], 5, 5, 5), []);
    }
}
