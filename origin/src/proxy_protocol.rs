//! The PROXY protocol's header, versions 1 and 2, as HAProxy's proxy-protocol.txt defines it: what a
//! load balancer that passes bytes on says of the connection it took.
//!
//! Reads bytes, decides nothing: whether the sender may be believed is the adapter's to know.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Version 2's first bytes (2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2's fixed part: signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// The longest line of version 1, with its line break (2.1).
const LINE_BYTES: usize = 107;
/// The longest header of version 2 that is taken: addresses and a few extensions, which are
/// passed over. The format could say 64 KiB.
const HEADER_BYTES: usize = 2048;

/// Who a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client at this address.
    Proxied(SocketAddr),
    /// The proxy itself, which looks whether we live; or it does not know.
    Itself,
}

/// What was read at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// A header and its length in bytes.
    Whole(T, usize),
    /// The bytes begin like one.
    NeedsMore,
}

/// Why bytes are no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no PROXY header: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Reads the header that some bytes begin with.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Sender>, Refused> {
    if begins_alike(bytes, SIGNATURE) {
        return version_2(bytes);
    }
    if begins_alike(bytes, b"PROXY ") {
        return version_1(bytes);
    }
    Err(Refused("it begins otherwise"))
}

/// Whether `bytes`, as far as they go, begin as `wanted` does.
fn begins_alike(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.iter().zip(wanted).all(|(a, b)| a == b)
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n` (2.1)
fn version_1(bytes: &[u8]) -> Result<Parsed<Sender>, Refused> {
    let Some(end) = bytes.iter().take(LINE_BYTES).position(|b| *b == b'\n') else {
        let is_too_long = bytes.len() >= LINE_BYTES;
        return if is_too_long { Err(Refused("no end of line")) } else { Ok(Parsed::NeedsMore) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Refused("a line without CR"))?;
    let line = str::from_utf8(line).map_err(|_| Refused("a line that is no text"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Parsed::Whole(Sender::Itself, end + 1));
    }
    let mut word = || words.next().ok_or(Refused("too few words"));
    let (source, destination) = (word()?, word()?);
    let (source_port, destination_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(Refused("too many words"));
    }
    let source = match family {
        Some("TCP4") => both::<Ipv4Addr>(source, destination).map(IpAddr::V4),
        Some("TCP6") => both::<Ipv6Addr>(source, destination).map(IpAddr::V6),
        _ => return Err(Refused("neither TCP4, TCP6 nor UNKNOWN")),
    };
    let source = source.ok_or(Refused("an address that is none"))?;
    let port = port(source_port).ok_or(Refused("a port that is none"))?;
    port_is_valid(destination_port)?;
    Ok(Parsed::Whole(Sender::Proxied(SocketAddr::new(source, port)), end + 1))
}

/// The first of two addresses, if both are.
fn both<A: std::str::FromStr>(first: &str, second: &str) -> Option<A> {
    second.parse::<A>().ok().and(first.parse().ok())
}

fn port_is_valid(text: &str) -> Result<(), Refused> {
    port(text).map(|_| ()).ok_or(Refused("a port that is none"))
}

/// Digits alone, without a zero in front.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// Signature, version and command, family and transport, length, addresses, extensions (2.2)
fn version_2(bytes: &[u8]) -> Result<Parsed<Sender>, Refused> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else { return Ok(Parsed::NeedsMore) };
    let (version, command) = (fixed[12] >> 4, fixed[12] & 15);
    let (family, transport) = (fixed[13] >> 4, fixed[13] & 15);
    let body_bytes = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let len_bytes = FIXED_BYTES + body_bytes;
    if version != 2 {
        return Err(Refused("a version that is not 2"));
    }
    if family > 3 || transport > 2 {
        return Err(Refused("an unknown family or transport"));
    }
    if len_bytes > HEADER_BYTES {
        return Err(Refused("a header of more than 2048 bytes"));
    }
    let Some(body) = bytes.get(FIXED_BYTES..len_bytes) else { return Ok(Parsed::NeedsMore) };
    let sender = match command {
        0 => Sender::Itself,
        1 => proxied(family, body)?,
        _ => return Err(Refused("an unknown command")),
    };
    Ok(Parsed::Whole(sender, len_bytes))
}

/// Source, destination, both ports. Extensions behind them are passed over.
fn proxied(family: u8, body: &[u8]) -> Result<Sender, Refused> {
    let too_short = Refused("addresses that are cut off");
    let (ip, port) = match family {
        1 => {
            let fields = body.first_chunk::<12>().ok_or(too_short)?;
            let [a, b, c, d, _, _, _, _, p, q, _, _] = *fields;
            (IpAddr::from([a, b, c, d]), [p, q])
        }
        2 => {
            let fields = body.first_chunk::<36>().ok_or(too_short)?;
            let source = fields.first_chunk::<16>().ok_or(too_short)?;
            (IpAddr::from(*source), [fields[32], fields[33]])
        }
        // No address of the network: a UNIX socket, or unspecified.
        _ => return Ok(Sender::Itself),
    };
    Ok(Sender::Proxied(SocketAddr::new(ip, u16::from_be_bytes(port))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family][..], &len, body].concat()
    }

    #[test]
    fn headers() {
        let v6 = [[0x20; 16].as_slice(), &[0; 16], &[0x12, 0x34, 1, 187]].concat();
        let tlv = [[192, 0, 2, 1, 1, 2, 3, 4, 0xdc, 4, 1, 187].as_slice(), &[4, 0, 1, 9]].concat();
        let proxied = |address: &str| Ok(Sender::Proxied(address.parse().unwrap()));
        let cases: [(&[u8], Result<Sender, &str>); 24] = [
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", proxied("192.0.2.1:56324")),
            (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", proxied("[2001:db8::1]:1")),
            (b"PROXY UNKNOWN\r\n", Ok(Sender::Itself)),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok(Sender::Itself)),
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", Err("without CR")),
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", Err("too few")),
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", Err("too many")),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", Err("an address")),
            (b"PROXY TCP4 192.0.2.1 x 1 2\r\n", Err("an address")),
            (b"PROXY TCP4 192.0.2.1 192.0.2.1 +1 2\r\n", Err("a port")),
            (b"PROXY TCP4 192.0.2.1 192.0.2.1 1 65536\r\n", Err("a port")),
            (b"PROXY TCP5 192.0.2.1 192.0.2.1 1 2\r\n", Err("neither")),
            (b"PROXY \xff\r\n", Err("no text")),
            (&[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(), Err("no end of line")),
            (b"GET / HTTP/1.1\r\n", Err("begins otherwise")),
            (&v2(1, 0x11, &tlv), proxied("192.0.2.1:56324")),
            (&v2(1, 0x21, &v6), proxied("[2020:2020:2020:2020:2020:2020:2020:2020]:4660")),
            (&v2(0, 0x11, &tlv), Ok(Sender::Itself)),
            (&v2(0, 0, &[]), Ok(Sender::Itself)),
            (&v2(1, 0x31, &[0; 216]), Ok(Sender::Itself)),
            (&v2(1, 0x11, &[0; 11]), Err("cut off")),
            (&v2(2, 0x11, &tlv), Err("command")),
            (&v2(1, 0x41, &tlv), Err("family")),
            (&v2(1, 0x11, &[0; 4096]), Err("more than 2048")),
        ];
        for (bytes, wanted) in cases {
            let shown = String::from_utf8_lossy(bytes);
            let with_more = [bytes, b"GET"].concat();
            match (parse(&with_more), wanted) {
                (Ok(Parsed::Whole(sender, len)), Ok(wanted)) => {
                    assert_eq!((sender, len), (wanted, bytes.len()), "{shown}");
                    for end in 0..bytes.len() {
                        assert_eq!(parse(&bytes[..end]), Ok(Parsed::NeedsMore), "{shown} {end}");
                    }
                }
                (Err(refused), Err(why)) => {
                    assert!(refused.to_string().contains(why), "{shown}: {refused}");
                }
                (got, wanted) => panic!("{shown}: {got:?}, wanted {wanted:?}"),
            }
        }
    }

    proptest! {
        /// However bytes come in pieces, it is known at a bounded length what they are.
        #[test]
        fn a_header_is_bounded(start in 0..3usize, rest in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let start: &[u8] = [&b""[..], b"PROXY ", SIGNATURE][start];
            let bytes = [start, &rest].concat();
            match parse(&bytes) {
                Ok(Parsed::NeedsMore) => prop_assert!(bytes.len() < HEADER_BYTES),
                Ok(Parsed::Whole(_, len)) => prop_assert!(len <= bytes.len() && len <= HEADER_BYTES),
                Err(_) => {}
            }
        }
    }
}
