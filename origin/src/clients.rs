//! How much one client has at a time: requests that are being answered and sent, and connections. A client
//! is an address; of IPv6 its first 64 bits, which is what one subscriber is given.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Parts of the table, so that threads seldom wait for each other.
const SHARDS: usize = 32;

/// Who has how many seats. It remembers nobody who has none, so it is never larger than what it counts.
#[derive(Debug)]
pub struct Clients {
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    hasher: RandomState,
}

/// One of a client's seats. Given back when dropped.
#[derive(Debug)]
pub struct Seat {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    /// Nobody yet.
    pub fn new() -> Arc<Self> {
        let shards = std::array::from_fn(|_| Mutex::default());
        Arc::new(Self { shards, hasher: RandomState::new() })
    }

    /// A seat, unless the client has `most` of them.
    pub fn seat(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Seat> {
        let client = subscriber(address);
        let mut seats = self.shard(client);
        let taken = seats.entry(client).or_default();
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Seat { clients: Arc::clone(self), client })
    }

    fn shard(&self, client: IpAddr) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32>> {
        let shards = SHARDS as u64;
        let at = usize::try_from(self.hasher.hash_one(client) % shards).unwrap_or_default();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.clients.shard(self.client);
        if let Some(taken) = seats.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.client);
            }
        }
    }
}

fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_so_many_seats_and_gets_them_back() {
        let clients = Clients::new();
        let seat = |address: &str| clients.seat(address.parse().unwrap(), 2);
        let first = seat("192.0.2.1").unwrap();
        let second = seat("::ffff:192.0.2.1").unwrap();
        assert!(seat("192.0.2.1").is_none());
        assert!(seat("192.0.2.2").is_some());
        drop(first);
        assert!(seat("192.0.2.1").is_some());
        let of_v6 = [seat("2001:db8::1").unwrap(), seat("2001:db8::ffff:2").unwrap()];
        assert!(seat("2001:db8::3").is_none(), "one subscriber");
        assert!(seat("2001:db8:0:1::3").is_some(), "another");
        drop(of_v6);
        drop(second);
        let left: usize = clients.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(left, 0, "nobody is remembered");
    }
}
