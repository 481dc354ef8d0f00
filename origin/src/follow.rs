//! What goes with a request beside its answer: how much its client has at a time, how often its profile's
//! responses were there, and what is made because it came.

use std::sync::Arc;
use std::time::Instant;

use headwater_packager::ids::VersionId;

use crate::clients::Seat;
use crate::exchange::Request;
use crate::failure::Failure;
use crate::prefetch::Seen;
use crate::representation::Representation;
use crate::route::Resource;
use crate::service::{Asked, Service};

impl Service {
    /// The client's seat until its answer was sent, where seats are counted. A trusted proxy that names
    /// nobody has as many as it likes: its clients are others.
    pub(crate) fn seat(&self, request: &Request) -> Result<Option<Seat>, Failure> {
        if self.max_client_requests == 0 {
            return Ok(None);
        }
        let trust = &self.edge.trust;
        let client = trust.client(request).address.filter(|address| !trust.trusts(*address));
        let Some(address) = client else { return Ok(None) };
        let seat = self.clients.seat(address, self.max_client_requests);
        if seat.is_none() {
            self.books.metrics.client_refusals.with_label_values(&["requests"]).inc();
        }
        seat.map(Some).ok_or(Failure::TooManyRequests)
    }

    /// The response kept under `key`, and counted for its profile.
    pub(crate) async fn looked_up(
        &self,
        asked: &Asked<'_>,
        key: &str,
    ) -> Option<Arc<Representation>> {
        asked.profile.lookups.count(self.cache.kept(key).await)
    }

    /// Has made what a player is likely to ask for after this, where that is wanted.
    pub(crate) async fn follow(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        version: VersionId,
        resource: &Resource,
        now: Instant,
    ) {
        let (Some(prefetch), Resource::Segment(track, number)) = (&self.prefetch, resource) else {
            return;
        };
        if request.is_head() {
            return;
        }
        let client = self.edge.trust.client(request).address;
        let (path, title, number) = (asked.path, asked.title, *number);
        let profile = asked.profile_name;
        let seen = Seen { request, path, client, profile, title, version, track, number };
        prefetch.follow(&self.preparer, seen, now).await;
    }
}
