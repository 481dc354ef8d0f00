//! A test film that says of each frame which one it is, in a way that survives any encoding.
//!
//! - Bar code: a strip at the top, as wide as the picture and a ninth of its height, of 20 equal
//!   cells: white, black, 16 bits of the frame number modulo 65,536 (most significant first, 1 is
//!   white), their even parity (white when the count of ones is odd), white.
//! - Beep: 1 kHz at half of full scale for 50 ms from each whole second on, else silence.
//! - For people: a moving picture with running time and frame number.

use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::{Progress, Tools};
use crate::grid::Rate;

/// A test film.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Length in whole seconds.
    pub seconds: u32,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Frames a second.
    pub rate: Rate,
}

/// Cells of the bar code.
const CELLS: u32 = 20;
/// Bits of the frame number in it.
const BITS: u32 = 16;
/// Share of the picture's height.
const STRIP_OF_HEIGHT: u32 = 9;
/// From Debian's package fonts-dejavu-core.
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf";

impl Sample {
    /// A film of this shape, or what is wrong with it.
    pub fn new(seconds: u32, width: u32, height: u32, rate: &str) -> Result<Self, Error> {
        let wrong = |what: String| Err(Error::new(Kind::Usage, what));
        let Some(rate) = Rate::parse(rate) else {
            return wrong(format!("--rate {rate}: expected a rate such as 24, 12.5 or 30000/1001"));
        };
        if !(1..=86_400).contains(&seconds) {
            return wrong(format!("--seconds {seconds}: expected 1 to 86400"));
        }
        let is_side = |side: u32| (64..=4096).contains(&side) && side.is_multiple_of(2);
        if !is_side(width) || !is_side(height) {
            return wrong(format!(
                "--width {width} --height {height}: expected even numbers from 64 to 4096"
            ));
        }
        Ok(Self { seconds, width, height, rate })
    }

    /// How many frames the film has: those that start before its end.
    pub fn frames(&self) -> u64 {
        let thousandfold = u64::from(self.rate.num()) * u64::from(self.seconds);
        thousandfold.div_ceil(u64::from(self.rate.den()))
    }

    /// Source filter of the moving picture.
    pub fn picture(&self) -> String {
        let Self { width, height, rate, .. } = self;
        format!("testsrc2=size={width}x{height}:rate={rate},trim=end_frame={}", self.frames())
    }

    /// Source filter of the bar code, one pixel a cell.
    pub fn bar_code(&self) -> String {
        let bit = |k: &str| format!("mod(floor(mod(N,65536)/pow(2,{k})),2)");
        let ones: Vec<String> = (0..BITS).map(|k| bit(&k.to_string())).collect();
        let (parity_cell, last_cell) = (CELLS - 2, CELLS - 1);
        let white = format!(
            "if(eq(X,0)+eq(X,{last_cell}),1,if(eq(X,1),0,if(eq(X,{parity_cell}),mod({},2),{})))",
            ones.join("+"),
            bit("(17-X)")
        );
        format!("color=black:size={CELLS}x1:rate={},format=gray,geq=lum='255*{white}'", self.rate)
    }

    /// Source filter of the sound.
    pub fn beeps(&self) -> String {
        format!(
            "aevalsrc=exprs='if(lt(mod(n,48000),2400),0.5*sin(2*PI*1000*n/48000),0)':\
             sample_rate=48000:channel_layout=stereo:duration={}",
            self.seconds
        )
    }

    /// The graph that puts everything together.
    pub fn overlay(&self) -> String {
        let strip = self.height / STRIP_OF_HEIGHT;
        let (size, margin) = (self.height / 12, self.height / 16);
        format!(
            "[1:v]scale={width}:{strip}:flags=neighbor,format=yuv420p[code];\
             [0:v]format=yuv420p,\
             drawtext=fontfile={FONT}:fontsize={size}:fontcolor=white:box=1:boxcolor=black@0.7:\
             x={margin}:y=h-{margin}-th:text='%{{pts\\:hms}}  %{{n}}'[picture];\
             [picture][code]overlay=0:0:shortest=1[film]",
            width = self.width,
        )
    }
}

/// Makes the film at `out`, replaced only when it is complete.
pub async fn make(
    tools: &Tools,
    sample: &Sample,
    out: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(), Error> {
    if !Path::new(FONT).exists() {
        return Err(Error::tool(format!(
            "the font {FONT} is missing; install it (Debian: apt-get install fonts-dejavu-core)"
        )));
    }
    let out = std::path::absolute(out).map_err(|e| Error::storage(out.display(), e))?;
    let unfinished = Unfinished(with_suffix(&out, ".unfinished"));
    tools.sample(sample, &unfinished.0, cancel, progress).await?;
    std::fs::rename(&unfinished.0, &out).map_err(|e| Error::storage(out.display(), e))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
