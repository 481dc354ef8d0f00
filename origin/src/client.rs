//! Who asked: the other end of the connection, or the client that a trusted proxy names.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) grow at their right end: each proxy adds whom it
//! was asked by. So they are read from there, for as long as the address that was read last is a
//! trusted proxy's. What stands further left was written by somebody unknown, and is not read.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use headwater_config::{ForwardedHeader, Network};
use http::HeaderName;
use http::header::FORWARDED;

use crate::exchange::Request;
use crate::{fields, limits};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whose word is taken, and where it is written.
#[derive(Clone, Debug)]
pub struct Trust {
    proxies: Vec<Network>,
    header: ForwardedHeader,
}

/// Who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The address, where it is known.
    pub address: Option<IpAddr>,
    /// Whether the connection is a trusted proxy's.
    pub behind_proxy: bool,
}

impl Trust {
    /// Trust in these networks.
    pub fn new(trusted_proxies: &[Network], forwarded_header: ForwardedHeader) -> Self {
        Self { proxies: trusted_proxies.to_vec(), header: forwarded_header }
    }

    /// Who sent a request. From a stranger no header is looked at.
    pub fn client(&self, request: &Request) -> Client {
        let Some(remote) = request.remote.filter(|remote| self.trusts(*remote)) else {
            return Client { address: request.remote, behind_proxy: false };
        };
        let lines = match self.header {
            ForwardedHeader::XForwardedFor => request.lines(&X_FORWARDED_FOR),
            ForwardedHeader::Forwarded => request.lines(&FORWARDED),
        };
        let mut hops = VecDeque::with_capacity(limits::FORWARDED_HOPS);
        for hop in lines.flat_map(fields::members) {
            if hops.len() == limits::FORWARDED_HOPS {
                hops.pop_front();
            }
            hops.push_back(hop);
        }
        let mut address = remote;
        // The proxy itself is the client where it names nobody, or nobody that has an address.
        while let Some(hop) = hops.pop_back().filter(|_| self.trusts(address)) {
            let named = match self.header {
                ForwardedHeader::XForwardedFor => node(hop),
                ForwardedHeader::Forwarded => forwarded_for(hop),
            };
            let Some(named) = named else { break };
            address = named;
        }
        Client { address: Some(address), behind_proxy: true }
    }

    /// Whether `address` is a proxy's whose word is taken.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }
}

/// The address that one member of `Forwarded` says, if it says one (RFC 7239 4, 6): `unknown` and
/// the hidden names that begin with `_` are none.
pub fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = fields::parts(element).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    node(fields::unquote(value))
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:80`.
pub fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(within) => IpAddr::V6(within.parse().ok()?),
        None => (text.parse().ok())
            .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "198.51.100.9";

    /// The client's address, by what `remote` sends in these lines.
    fn client(header: ForwardedHeader, remote: &str, lines: &[(&'static str, &str)]) -> Client {
        let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|n| n.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let remote = Some(remote.parse().unwrap());
        let request = Request { headers, remote, ..Request::default() };
        Trust::new(&networks, header).client(&request)
    }

    #[test]
    fn from_the_right_for_as_long_as_proxies_are_trusted() {
        let xff = "x-forwarded-for";
        let long = "1.1.1.1,".repeat(limits::FORWARDED_HOPS * 3) + "203.0.113.1,10.0.0.3";
        // Who is connected, X-Forwarded-For line by line, who asked.
        let cases: &[(&str, &[&str], &str)] = &[
            (PROXY, &[], PROXY),
            (PROXY, &["203.0.113.7"], "203.0.113.7"),
            (PROXY, &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            (PROXY, &["203.0.113.7, 10.0.0.3"], "203.0.113.7"),
            (PROXY, &["203.0.113.7", "10.0.0.3,10.0.0.2"], "203.0.113.7"),
            (PROXY, &["1.1.1.1", "203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (PROXY, &["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            (PROXY, &["203.0.113.7:4711"], "203.0.113.7"),
            (PROXY, &["[2001:db8::7]:4711"], "2001:db8::7"),
            (PROXY, &["2001:db8::7"], "2001:db8::7"),
            (PROXY, &["2001:db8::7, 2001:db8:ffff::1"], "2001:db8::7"),
            (PROXY, &["::ffff:203.0.113.7"], "203.0.113.7"),
            (PROXY, &["203.0.113.7, nonsense"], PROXY),
            (PROXY, &["203.0.113.7, unknown, 10.0.0.3"], "10.0.0.3"),
            (PROXY, &["203.0.113.7,,"], "203.0.113.7"),
            (PROXY, &[long.as_str()], "203.0.113.1"),
            ("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            (STRANGER, &["203.0.113.7"], STRANGER),
            (STRANGER, &["10.0.0.3"], STRANGER),
        ];
        for (remote, lines, wanted) in cases {
            let lines: Vec<_> = lines.iter().map(|line| (xff, *line)).collect();
            let seen = client(ForwardedHeader::XForwardedFor, remote, &lines);
            assert_eq!(seen.address, wanted.parse().ok(), "{remote} {lines:?}");
            assert_eq!(seen.behind_proxy, *remote != STRANGER, "{remote}");
        }
    }

    #[test]
    fn examples_from_rfc_7239_4() {
        let cases: &[(&[&str], &str)] = &[
            (&["for=\"_gazonk\""], PROXY),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"),
            // 7.1, and the same with a trusted proxy at its end.
            (&["for=192.0.2.43, for=\"[2001:db8:cafe::17]\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.43", "for=\"10.0.0.2:80\";by=\"a,b;for=1.1.1.1\""], "192.0.2.43"),
            (&["for=192.0.2.43, by=10.0.0.3"], PROXY),
            (&["for=192.0.2.43, for=unknown"], PROXY),
        ];
        for (lines, wanted) in cases {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            let seen = client(ForwardedHeader::Forwarded, PROXY, &lines);
            assert_eq!(seen.address, wanted.parse().ok(), "{lines:?}");
        }
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let both = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "2.2.2.2")];
        let seen = client(ForwardedHeader::XForwardedFor, PROXY, &both);
        assert_eq!(seen.address, "2.2.2.2".parse().ok());
        let seen = client(ForwardedHeader::Forwarded, PROXY, &both);
        assert_eq!(seen.address, "1.1.1.1".parse().ok());
    }
}
