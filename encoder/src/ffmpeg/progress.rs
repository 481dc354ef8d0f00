//! What ffmpeg writes to `-progress`: `key=value` lines, a block of them twice a second.

/// The latest block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Frames that left the first video encoder.
    pub frames: u64,
    /// Microseconds of media written.
    pub out_time_us: u64,
    /// Bytes of the first output.
    pub out_bytes: u64,
    /// Bytes that it has read, of whatever.
    pub in_bytes: u64,
    /// Frames a second of wall time.
    pub frames_per_s: f64,
}

impl Progress {
    /// Takes a line; says whether anything moved, which is how a hung ffmpeg is told from a slow
    /// one.
    pub fn line(&mut self, line: &str) -> bool {
        let before = *self;
        let Some((key, value)) = line.split_once('=') else {
            return false;
        };
        let value = value.trim();
        // N/A and negative times, as at the start, leave what was there.
        match key {
            "frame" => set(&mut self.frames, value),
            "out_time_us" => set(&mut self.out_time_us, value),
            "total_size" => set(&mut self.out_bytes, value),
            "fps" => self.frames_per_s = value.parse().unwrap_or(self.frames_per_s),
            _ => {}
        }
        (self.frames, self.out_time_us, self.out_bytes)
            != (before.frames, before.out_time_us, before.out_bytes)
    }

    /// Seconds of media written.
    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    pub fn out_time_s(&self) -> f64 {
        self.out_time_us as f64 / 1e6
    }
}

fn set(field: &mut u64, value: &str) {
    *field = value.parse().unwrap_or(*field);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_movement_counts() {
        let mut progress = Progress::default();
        let table = [
            ("frame=0", false),
            ("fps=0.00", false),
            ("total_size=N/A", false),
            ("out_time_us=-21333", false),
            ("frame=12", true),
            ("frame=12", false),
            ("total_size=48", true),
            ("out_time_us=500000", true),
            ("speed= 1.2x", false),
            ("fps=24.5", false),
            ("progress=continue", false),
            ("nonsense", false),
        ];
        for (line, moved) in table {
            assert_eq!(progress.line(line), moved, "{line}");
        }
        let wanted = Progress {
            frames: 12,
            out_time_us: 500_000,
            out_bytes: 48,
            in_bytes: 0,
            frames_per_s: 24.5,
        };
        assert_eq!(progress, wanted);
    }
}
