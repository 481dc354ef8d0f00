//! Networks as `address/prefix` (CIDR, RFC 4632; RFC 4291 2.3), for lists of who is trusted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address, or all that begin with the same bits: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address that came through an IPv6 socket
    /// (`::ffff:192.0.2.7`) is that IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, width) = bits_of(address.to_canonical());
        let (own, own_width) = bits_of(self.address);
        // A shift by the whole width is no shift at all, so "every address" is said apart.
        let differing = width - self.prefix_bits.min(width);
        width == own_width && (self.prefix_bits == 0 || (bits ^ own) >> differing == 0)
    }

    /// Whether every address of a family lies in it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.prefix_bits == 0
    }
}

/// The address as a number, and how many bits it has.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}` is no network: {why}; write an address, or address/bits as 10.0.0.0/8"
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong("not an IP address"))?;
        let (number, width) = bits_of(address);
        let digits =
            |bits: &str| bits.bytes().all(|b| b.is_ascii_digit()).then(|| bits.parse().ok());
        let prefix_bits: u32 = match bits {
            None => width,
            Some(bits) => digits(bits)
                .flatten()
                .filter(|bits| *bits <= width)
                .ok_or_else(|| wrong(&format!("the prefix has 0 to {width} bits")))?,
        };
        if address.to_canonical() != address {
            return Err(wrong("an IPv4 address is written without ::ffff:"));
        }
        // A host's address with a short prefix is more often a slip than meant.
        let host_bits = width - prefix_bits;
        if host_bits > 0 && number.trailing_zeros().min(width) < host_bits {
            return Err(wrong("bits after the prefix are not 0"));
        }
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, width) = bits_of(self.address);
        if self.prefix_bits == width {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix_bits)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_network() {
        // network, inside, outside
        let table = [
            ("192.0.2.7", vec!["192.0.2.7", "::ffff:192.0.2.7"], vec!["192.0.2.6", "::1"]),
            ("10.0.0.0/8", vec!["10.0.0.0", "10.255.255.255"], vec!["9.255.255.255", "11.0.0.0"]),
            ("10.1.2.128/25", vec!["10.1.2.128", "10.1.2.255"], vec!["10.1.2.127"]),
            ("0.0.0.0/0", vec!["0.0.0.0", "255.255.255.255"], vec!["::", "2001:db8::1"]),
            (
                "2001:db8::/32",
                vec!["2001:db8::", "2001:db8:ffff::1"],
                vec!["2001:db9::", "1.2.3.4"],
            ),
            ("::1", vec!["::1"], vec!["::2", "127.0.0.1"]),
            ("::/0", vec!["::", "ffff::1"], vec!["1.2.3.4"]),
        ];
        for (network, inside, outside) in table {
            let parsed: Network = network.parse().expect("a network");
            assert_eq!(parsed.to_string(), network);
            assert_eq!(parsed.is_everything(), network.ends_with("/0"));
            let contains = |text: &str| parsed.contains(text.parse().expect("an address"));
            assert!(inside.iter().copied().all(contains), "{network}");
            assert!(!outside.iter().copied().any(contains), "{network}");
        }
        let whole: Network = "192.0.2.7/32".parse().expect("a network");
        assert_eq!(whole.to_string(), "192.0.2.7");
    }

    #[test]
    fn what_is_no_network() {
        let cases = [
            ("", "not an IP address"),
            ("example.com", "not an IP address"),
            ("10.0.0/8", "not an IP address"),
            ("10.0.0.0/33", "0 to 32 bits"),
            ("10.0.0.0/", "0 to 32 bits"),
            ("10.0.0.0/+8", "0 to 32 bits"),
            ("10.0.0.0/99999999999", "0 to 32 bits"),
            ("2001:db8::/129", "0 to 128 bits"),
            ("10.0.0.1/8", "bits after the prefix"),
            ("2001:db8::1/32", "bits after the prefix"),
            ("::ffff:10.0.0.0/104", "without ::ffff:"),
        ];
        for (text, why) in cases {
            let refused = text.parse::<Network>().expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
