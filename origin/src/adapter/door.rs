//! What a listener expects of those who come in.

use std::net::SocketAddr;

use headwater_config::Origin;

/// What stands before HTTP on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Door {
    /// A PROXY header.
    pub proxy: bool,
    /// A TLS handshake.
    pub tls: bool,
}

/// Every listener's door.
#[derive(Clone, Debug, Default)]
pub struct Doors(Vec<(SocketAddr, Door)>);

impl Doors {
    /// The doors of a configuration.
    pub fn new(origin: &Origin) -> Self {
        let plain = origin.listen.iter().map(|address| (address, false));
        let tls = origin.tls.listen.iter().map(|address| (address, true));
        let door = |(address, tls): (&SocketAddr, bool)| {
            (*address, Door { proxy: origin.proxy_protocol.contains(address), tls })
        };
        Self(plain.chain(tls).map(door).collect())
    }

    /// The door through which a connection to `local` came: the listener of that address, or the
    /// one of all addresses with that port. (`check` refuses listeners that overlap.)
    pub fn at(&self, local: SocketAddr) -> Door {
        let canonical = SocketAddr::new(local.ip().to_canonical(), local.port());
        let exact = |address: &SocketAddr| *address == local || *address == canonical;
        let any =
            |address: &SocketAddr| address.ip().is_unspecified() && address.port() == local.port();
        let found = self.0.iter().find(|(address, _)| exact(address));
        let found = found.or_else(|| self.0.iter().find(|(address, _)| any(address)));
        found.map_or(Door::default(), |(_, door)| *door)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_finds_its_listener() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut origin = Origin {
            listen: vec![address("127.0.0.1:80"), address("[::]:81")],
            proxy_protocol: vec![address("10.0.0.1:80"), address("0.0.0.0:443")],
            ..Origin::default()
        };
        origin.listen.push(address("10.0.0.1:80"));
        origin.tls.listen = vec![address("0.0.0.0:443")];
        let doors = Doors::new(&origin);
        for (local, proxy, tls) in [
            ("127.0.0.1:80", false, false),
            ("10.0.0.1:80", true, false),
            ("[::ffff:127.0.0.1]:81", false, false),
            ("192.0.2.1:443", true, true),
        ] {
            assert_eq!(doors.at(address(local)), Door { proxy, tls }, "{local}");
        }
    }
}
