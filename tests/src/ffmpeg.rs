//! ffmpeg and ffprobe as independent readers of files, HLS and DASH.
//!
//! ffmpeg ends well where a segment is missing, so whoever calls it counts what comes out; and it
//! must have had nothing to say.

use std::path::Path;

use serde_json::Value;

use crate::run;

/// Runs ffmpeg with these arguments and gives what it wrote to its standard output.
pub fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let mut command = run::command("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]).args(args);
    let output = run::finish(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {}\n{said}", output.status);
    output.stdout
}

/// ffprobe's JSON about an input.
pub fn ffprobe(input: &str, args: &[&str]) -> Value {
    let mut command = run::command("ffprobe");
    command.args(["-v", "error", "-of", "json"]).args(args).arg(input);
    let output = run::finish(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {}\n{said}", output.status);
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

/// A packet as ffprobe sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Presentation time in ticks of the stream's time base.
    pub pts_ticks: i64,
    /// Decode time in the same ticks.
    pub dts_ticks: i64,
    /// Bytes.
    pub size_bytes: u64,
    /// Whether it is marked as a key frame.
    pub key: bool,
}

/// A stream's packets, in the order they are stored.
///
/// libavformat adds a fragmented track's largest negative composition offset to each of its
/// presentation times (mov.c, `mov_update_dts_shift`): all are later than the file says, by the
/// same. It gives these packets no duration.
#[derive(Clone, Debug)]
pub struct Packets {
    /// Ticks per second.
    pub timescale: u32,
    /// Every packet.
    pub packets: Vec<Packet>,
}

impl Packets {
    /// Presentation times in ascending order.
    pub fn pts_in_order(&self) -> Vec<i64> {
        let mut pts: Vec<i64> = self.packets.iter().map(|p| p.pts_ticks).collect();
        pts.sort_unstable();
        pts
    }
}

/// Every packet of one stream (`v:0`, `a:0`) of an input.
pub fn packets(input: &str, stream: &str) -> Packets {
    let wanted = "stream=time_base:packet=pts,dts,size,flags";
    let json = ffprobe(input, &["-select_streams", stream, "-show_entries", wanted]);
    let time_base = json["streams"][0]["time_base"].as_str().expect("every stream has a time base");
    let timescale = time_base.strip_prefix("1/").expect("a time base of 1/n").parse().unwrap();
    let number = |packet: &Value, key: &str| {
        packet[key].as_i64().unwrap_or_else(|| panic!("{input}: a packet without {key}: {packet}"))
    };
    let packets = json["packets"].as_array().expect("ffprobe lists packets");
    let packets = packets
        .iter()
        .map(|p| Packet {
            pts_ticks: number(p, "pts"),
            dts_ticks: number(p, "dts"),
            size_bytes: p["size"].as_str().and_then(|s| s.parse().ok()).expect("a packet's size"),
            key: p["flags"].as_str().is_some_and(|flags| flags.starts_with('K')),
        })
        .collect();
    Packets { timescale, packets }
}

/// A path as the text of an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("scratch folders have plain names")
}
