//! All viewers' visits together.

use std::time::Duration;

use super::buffer::Account;
use super::player::Leave;
use crate::figures::Figures;
use crate::latency::Latency;
use crate::number::ratio;

/// Sums over visits.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    players: u64,
    ended: u64,
    gave_up: u64,
    never_started: u64,
    switches: u64,
    stalls: u64,
    stalled: Duration,
    played: Duration,
    seeks: u64,
    seeking: Duration,
    starts: Latency,
}

impl Crowd {
    /// Counts a visit.
    pub fn count(&mut self, why: Leave, account: Account, switches: u32) {
        self.players += 1;
        self.ended += u64::from(why == Leave::Ended);
        self.gave_up += u64::from(why == Leave::GaveUp);
        self.switches += u64::from(switches);
        self.stalls += u64::from(account.stalls);
        self.stalled += account.stalled;
        self.played += account.played;
        self.seeks += u64::from(account.seeks);
        self.seeking += account.seeking;
        match account.start {
            Some(start) => self.starts.record(start),
            None => self.never_started += 1,
        }
    }

    /// What came of them all.
    pub fn say(self, figures: &mut Figures) {
        let (played_s, stalled_s) = (self.played.as_secs_f64(), self.stalled.as_secs_f64());
        figures.say("players", self.players as f64);
        figures.say("ended", self.ended as f64);
        figures.say("gave_up", self.gave_up as f64);
        figures.say("never_started", self.never_started as f64);
        figures.say("played_s", played_s);
        figures.say("stalls", self.stalls as f64);
        figures.say("stalled_s", stalled_s);
        figures.say("rebuffer_ratio", ratio(stalled_s, played_s + stalled_s));
        figures.say("switches", self.switches as f64);
        figures.say("seeks", self.seeks as f64);
        figures.say("seeking_s", self.seeking.as_secs_f64());
        figures.say_latency("start", self.starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failures;

    #[test]
    fn sums_of_visits() {
        let s = Duration::from_secs;
        let mut crowd = Crowd::default();
        let account = Account {
            start: Some(s(1)),
            played: s(57),
            stalls: 2,
            stalled: s(3),
            seeks: 1,
            seeking: s(1),
        };
        crowd.count(Leave::Ended, account, 2);
        crowd.count(Leave::GaveUp, Account::default(), 0);
        let mut figures = Figures::default();
        crowd.say(&mut figures);
        for (name, wanted) in [
            ("players", 2.0),
            ("ended", 1.0),
            ("gave_up", 1.0),
            ("never_started", 1.0),
            ("stalls", 2.0),
            ("rebuffer_ratio", 0.05),
            ("switches", 2.0),
        ] {
            assert_eq!(figures.value(name, &Failures::default()), Some(wanted), "{name}");
        }
    }
}
