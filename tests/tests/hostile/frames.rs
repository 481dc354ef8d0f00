//! HTTP/2 frames by hand (RFC 9113 4.1), for what no library would send.

use std::io::{Read, Write};

/// What a client sends first (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface, and settings with this window for each stream.
pub fn hello(window_bytes: u32) -> Vec<u8> {
    let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window_bytes.to_be_bytes()].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()
}

/// A GET's header block: static indices and literals without indexing (RFC 7541 6).
pub fn get_block(path: &str) -> Vec<u8> {
    // :method GET, :scheme http, then :path and :authority by name.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, "test")] {
        assert!(value.len() < 127, "a length of one byte");
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

/// A GET, whole.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_block(path))
}

pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// A frame that came.
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

/// The next frame; none where the connection ended.
pub fn read(from: &mut impl Read) -> Option<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head).ok()?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; usize::try_from(len).unwrap()];
    from.read_exact(&mut payload).ok()?;
    Some(Frame { kind: head[3], flags: head[4], stream })
}

/// Asks for `path` on a new stream and reads until that stream ends; whether it did.
pub fn exchange(connection: &mut (impl Read + Write), stream: u32, path: &str) -> bool {
    if connection.write_all(&get(stream, path)).is_err() {
        return false;
    }
    while let Some(frame) = read(connection) {
        let ends = frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA);
        if frame.stream == stream && ends {
            return true;
        }
    }
    false
}
