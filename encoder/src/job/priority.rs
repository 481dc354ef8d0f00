//! What is taken first: lanes, and within a lane the earliest deadline.

use std::fmt;
use std::str::FromStr;

/// How urgent a job is, as its submitter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for the title.
    Launch,
    /// Ordinary work.
    Normal,
    /// Whenever nothing else is to do: a re-encode of the library.
    Backfill,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 3] = [Self::Launch, Self::Normal, Self::Backfill];

    /// The word for it in commands, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Normal => "normal",
            Self::Backfill => "backfill",
        }
    }

    /// Where work of this priority waits.
    pub fn lane(self) -> Lane {
        match self {
            Self::Launch => Lane::Launch,
            Self::Normal => Lane::Normal,
            Self::Backfill => Lane::Backfill,
        }
    }

    /// How long after its submission a job without a deadline is due. So jobs without one keep
    /// their order, and never stand behind every job that names one.
    pub fn usual_ms(self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        match self {
            Self::Launch => HOUR_MS / 4,
            Self::Normal => 6 * HOUR_MS,
            Self::Backfill => 7 * 24 * HOUR_MS,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|priority| priority.as_str() == text);
        found.ok_or_else(|| format!("{text:.40?} is no priority: write launch, normal or backfill"))
    }
}

/// Where a task waits. A worker takes from the first lane that has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A viewer waits for it.
    Wanted,
    /// Launches, and what has aged so far.
    Launch,
    /// Ordinary work.
    Normal,
    /// What nobody waits for.
    Backfill,
}

impl Lane {
    /// All of them, first one first.
    pub const ALL: [Self; 4] = [Self::Wanted, Self::Launch, Self::Normal, Self::Backfill];

    /// The lane that work which waited too long goes to; `None` at the front of what ages.
    pub fn aged(self) -> Option<Self> {
        match self {
            Self::Backfill => Some(Self::Normal),
            Self::Normal => Some(Self::Launch),
            Self::Launch | Self::Wanted => None,
        }
    }

    /// Its place: 0 is taken first.
    pub fn number(self) -> i64 {
        match self {
            Self::Wanted => 0,
            Self::Launch => 1,
            Self::Normal => 2,
            Self::Backfill => 3,
        }
    }

    /// The lane at a place.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_lead_back() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(priority));
        }
        assert!("urgent".parse::<Priority>().is_err());
        for (place, lane) in (0..).zip(Lane::ALL) {
            assert_eq!((lane.number(), Lane::from_number(place)), (place, Some(lane)));
        }
    }

    #[test]
    fn ageing_ends_behind_what_a_viewer_waits_for() {
        let mut lane = Lane::Backfill;
        while let Some(next) = lane.aged() {
            assert!(next < lane);
            lane = next;
        }
        assert_eq!(lane, Lane::Launch);
    }
}
