//! What a viewer sees: media plays as long as there is some, and waits while there is none.
//!
//! Every moment since the join is one of four: waiting for the start, playing, stalled, or waiting
//! after a seek. Waiting after a seek is not a stall: the viewer asked for it.

use std::time::Duration;

/// Media that must lie ahead before a start and after a stall (Shaka Player's rebufferingGoal).
const ENOUGH: Duration = Duration::from_secs(2);

/// What is left of a title when it counts as shown: renditions differ by less at their end, and a
/// player has nothing to load any more.
pub const AS_GOOD_AS_OVER: Duration = Duration::from_millis(50);

/// Why nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has just begun.
    Start,
    /// What was there is played out.
    Stall,
    /// The viewer jumped.
    Seek,
}

/// How the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// From the join to the first picture; nothing if there was none.
    pub start: Option<Duration>,
    /// Media that was shown.
    pub played: Duration,
    /// How often it ran out.
    pub stalls: u32,
    /// How long it stood still for that.
    pub stalled: Duration,
    /// How often the viewer jumped.
    pub seeks: u32,
    /// How long it then took.
    pub seeking: Duration,
}

/// One viewer's screen.
#[derive(Clone, Debug)]
pub struct Buffer {
    now: Duration,
    /// `None` while it plays.
    waiting: Option<(Wait, Duration)>,
    position: Duration,
    until: Duration,
    end: Duration,
    account: Account,
}

impl Buffer {
    /// Joins at a position of a title that ends at `end`.
    pub fn join(now: Duration, position: Duration, end: Duration) -> Self {
        let account = Account::default();
        Self { now, waiting: Some((Wait::Start, now)), position, until: position, end, account }
    }

    /// Lets time pass. What runs out on the way stalls at that moment.
    pub fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.now);
        let began = self.now;
        self.now = self.now.max(now);
        if self.waiting.is_some() || self.is_over() {
            return;
        }
        let moved = passed.min(self.ahead());
        self.position += moved;
        self.account.played += moved;
        if moved < passed && !self.is_over() {
            self.account.stalls += 1;
            self.waiting = Some((Wait::Stall, began + moved));
        }
    }

    /// Media is there up to a time of the title.
    pub fn filled(&mut self, now: Duration, until: Duration) {
        self.advance(now);
        self.until = self.until.max(until);
        let Some((why, since)) = self.waiting else { return };
        if self.ahead() >= ENOUGH.min(self.end.saturating_sub(self.position)) {
            self.waiting = None;
            self.close(why, since);
        }
    }

    /// The viewer jumps; what was there is thrown away.
    pub fn seek(&mut self, now: Duration, position: Duration) {
        self.leave(now);
        self.account.seeks += 1;
        let before_start = self.account.start.is_none();
        let why = if before_start { Wait::Start } else { Wait::Seek };
        self.waiting = Some((why, self.now));
        (self.position, self.until) = (position, position);
    }

    /// The viewer is gone: a wait that goes on is counted up to now.
    pub fn leave(&mut self, now: Duration) {
        self.advance(now);
        if let Some((why, since)) = self.waiting.take()
            && why != Wait::Start
        {
            self.close(why, since);
        }
    }

    /// The title's end became known anew: other tracks, other ends.
    pub fn ends_at(&mut self, end: Duration) {
        self.end = end;
    }

    /// What is shown.
    pub fn position(&self) -> Duration {
        self.position
    }

    /// Media ahead of it.
    pub fn ahead(&self) -> Duration {
        self.until.saturating_sub(self.position)
    }

    /// Why it waits, if it does.
    pub fn waits(&self) -> Option<Wait> {
        self.waiting.map(|(why, _)| why)
    }

    /// Whether all of it was shown.
    pub fn is_over(&self) -> bool {
        self.position + AS_GOOD_AS_OVER >= self.end
    }

    /// How the time went up to now, a running wait not included.
    pub fn account(&self) -> Account {
        self.account
    }

    fn close(&mut self, why: Wait, since: Duration) {
        let waited = self.now.saturating_sub(since);
        match why {
            Wait::Start => self.account.start = Some(waited),
            Wait::Stall => self.account.stalled += waited,
            Wait::Seek => self.account.seeking += waited,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_start_a_stall_and_the_end() {
        let mut buffer = Buffer::join(s(10), s(0), s(18));
        buffer.filled(s(11), s(1));
        assert_eq!(buffer.waits(), Some(Wait::Start), "one second is not enough");
        buffer.filled(s(13), s(6));
        assert_eq!((buffer.waits(), buffer.account().start), (None, Some(s(3))));
        // Six seconds last until 19; at 25 more comes.
        buffer.filled(s(25), s(12));
        let account = buffer.account();
        assert_eq!((account.stalls, account.stalled, account.played), (1, s(6), s(6)));
        buffer.filled(s(26), s(18));
        buffer.advance(s(100));
        assert!(buffer.is_over());
        assert_eq!((buffer.account().played, buffer.account().stalls), (s(18), 1));
    }

    #[test]
    fn a_seek_is_no_stall() {
        let mut buffer = Buffer::join(s(0), s(0), s(100));
        buffer.filled(s(1), s(6));
        buffer.seek(s(3), s(50));
        assert_eq!((buffer.ahead(), buffer.waits()), (s(0), Some(Wait::Seek)));
        buffer.filled(s(5), s(54));
        let account = buffer.account();
        assert_eq!(
            (account.stalls, account.seeks, account.seeking, account.played),
            (0, 1, s(2), s(2))
        );
        assert_eq!(buffer.position(), s(50));
    }

    /// A jump out of a stall ends the stall; leaving in one counts it.
    #[test]
    fn a_stall_is_counted_whoever_ends_it() {
        for by_seek in [true, false] {
            let mut buffer = Buffer::join(s(0), s(0), s(100));
            buffer.filled(s(0), s(4));
            if by_seek {
                buffer.seek(s(10), s(50));
            } else {
                buffer.leave(s(10));
            }
            let account = buffer.account();
            assert_eq!((account.stalls, account.stalled), (1, s(6)), "{by_seek}");
        }
    }

    /// Another rendition may end a little later than what is loaded: that is no stall.
    #[test]
    fn a_later_end_of_another_rendition_is_no_stall() {
        let mut buffer = Buffer::join(s(0), s(0), s(6));
        buffer.filled(s(0), s(6));
        buffer.ends_at(s(6) + Duration::from_millis(20));
        buffer.advance(s(60));
        assert_eq!((buffer.is_over(), buffer.account().stalls), (true, 0));
    }

    #[test]
    fn the_end_needs_no_two_seconds() {
        let mut buffer = Buffer::join(s(0), s(99), s(100));
        buffer.filled(s(1), s(100));
        assert_eq!(buffer.waits(), None);
    }

    proptest! {
        /// Each moment has one name: start + played + stalled + seeking = time since the join.
        #[test]
        fn time_is_conserved(steps in prop::collection::vec((0_u64..9_000, 0_u64..9_000, 0_u8..8), 1..60)) {
            let ms = Duration::from_millis;
            let mut buffer = Buffer::join(s(5), s(0), s(100_000));
            let (mut now, mut until) = (s(5), Duration::ZERO);
            for (wait_ms, more_ms, what) in steps {
                now += ms(wait_ms);
                if what == 0 {
                    until = ms(more_ms * 5);
                    buffer.seek(now, until);
                } else {
                    until = until.max(buffer.position()) + ms(more_ms);
                    buffer.filled(now, until);
                }
                prop_assert!(buffer.position() <= until);
            }
            buffer.leave(now);
            let Account { start, played, stalled, seeking, .. } = buffer.account();
            if let Some(start) = start {
                // A jump before the first picture starts the wait for it anew.
                prop_assert!(start + played + stalled + seeking <= now - s(5));
                if buffer.account().seeks == 0 {
                    prop_assert_eq!(start + played + stalled + seeking, now - s(5));
                }
            } else {
                prop_assert_eq!(played + stalled, Duration::ZERO);
            }
        }
    }
}
