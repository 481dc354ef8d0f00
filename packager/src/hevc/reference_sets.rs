//! Short-term reference picture sets (ITU-T H.265 7.3.7, 7.4.8): which pictures a slice may refer
//! to. Slice headers have as many fields as a set has pictures that are used.

use crate::bits::BitReader;
use crate::error::Error;

/// Pictures of a set at most: sps_max_dec_pic_buffering is 16.
const PICTURES: usize = 16;

/// A picture of a set: how far in output order, and whether the current one refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    /// Its picture order count less the current one's.
    delta_poc: i64,
    used: bool,
}

/// st_ref_pic_set().
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSet {
    /// S0: pictures before the current one in output order, the nearest first.
    before: Vec<Picture>,
    /// S1: those behind it, the nearest first.
    behind: Vec<Picture>,
}

impl ReferenceSet {
    /// Reads the set that follows `others`. In a slice header, behind all sets of the SPS, it may
    /// say which of them it is predicted from.
    pub fn read(
        r: &mut BitReader<'_>,
        others: &[Self],
        in_slice_header: bool,
    ) -> Result<Self, Error> {
        if !others.is_empty() && r.flag() {
            return Self::predicted(r, others, in_slice_header);
        }
        let (before, behind) = (r.ue(), r.ue());
        r.finish()?;
        let count = |n: u32| usize::try_from(n).ok().filter(|&n| n <= PICTURES);
        let (Some(before), Some(behind)) = (count(before), count(behind)) else {
            let detail = format!("{before} pictures before and {behind} behind");
            return Err(Error::damaged("reference picture set", detail));
        };
        let mut pictures = |count: usize, sign: i64| {
            let mut delta_poc = 0;
            let one = |_| {
                delta_poc += sign * (i64::from(r.ue()) + 1);
                Picture { delta_poc, used: r.flag() }
            };
            (0..count).map(one).collect()
        };
        let set = Self { before: pictures(before, -1), behind: pictures(behind, 1) };
        r.finish()?;
        set.bounded()
    }

    /// inter_ref_pic_set_prediction_flag is set: (7-61), (7-62).
    fn predicted(
        r: &mut BitReader<'_>,
        others: &[Self],
        in_slice_header: bool,
    ) -> Result<Self, Error> {
        let back = if in_slice_header { r.ue() } else { 0 };
        let sign = if r.flag() { -1 } else { 1 };
        let delta_rps = sign * (i64::from(r.ue()) + 1);
        r.finish()?;
        let from = usize::try_from(back)
            .ok()
            .and_then(|back| others.len().checked_sub(back + 1))
            .map(|at| &others[at])
            .ok_or_else(|| {
                let detail = format!("predicted from {back} sets before the last");
                Error::damaged("reference picture set", detail)
            })?;
        // j of the specification counts S0, then S1, then the picture that set itself is of.
        let origin = Picture { delta_poc: 0, used: true };
        let candidates = from.before.iter().chain(&from.behind).chain([&origin]);
        let kept: Vec<(i64, Option<bool>)> = candidates
            .map(|picture| {
                let used = r.flag();
                let kept = used || r.flag();
                (picture.delta_poc + delta_rps, kept.then_some(used))
            })
            .collect();
        r.finish()?;
        let side = |wanted: fn(i64) -> bool| {
            let pictures = kept.iter().filter(move |(delta, _)| wanted(*delta));
            pictures.filter_map(|&(delta_poc, used)| used.map(|used| Picture { delta_poc, used }))
        };
        let mut before: Vec<_> = side(|delta| delta < 0).collect();
        before.sort_by_key(|picture| std::cmp::Reverse(picture.delta_poc));
        let mut behind: Vec<_> = side(|delta| delta > 0).collect();
        behind.sort_by_key(|picture| picture.delta_poc);
        Self { before, behind }.bounded()
    }

    /// How many of its pictures the current one refers to.
    pub fn used(&self) -> usize {
        self.before.iter().chain(&self.behind).filter(|picture| picture.used).count()
    }

    fn bounded(self) -> Result<Self, Error> {
        let pictures = self.before.len() + self.behind.len();
        if pictures > PICTURES {
            let detail = format!("{pictures} pictures: expected at most {PICTURES}");
            return Err(Error::damaged("reference picture set", detail));
        }
        Ok(self)
    }
}
