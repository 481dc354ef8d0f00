//! Keys for players without a licence system: 16 bytes for one track, or a Clear Key licence. Both
//! behind the check that every request of the profile passes, and once more with the key's label.

use headwater_packager::label::Label;
use headwater_packager::signalling::ProtectedTrack;
use zeroize::Zeroizing;

use crate::access::gate::{Moment, Of, Visit};
use crate::exchange::Request;
use crate::failure::Failure;
use crate::licence;
use crate::make::Served;
use crate::respond::{self, Reply};
use crate::route::Resource;
use crate::service::{Asked, Service};

const KEY_TYPE: &str = "application/octet-stream";
const LICENCE_TYPE: &str = "application/json";

impl Service {
    /// Keys, to who may be told them: never kept anywhere.
    pub(crate) async fn keys(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        served: &Served,
        resource: &Resource,
        moment: Moment,
    ) -> Result<Reply, Failure> {
        if !asked.profile.settings.protection.deliver_keys {
            return Err(Failure::KeysNotDelivered);
        }
        let protection = served.protection.as_deref().ok_or(Failure::KeysNotDelivered)?;
        let permitted = async |label: Label| {
            let visit = Visit {
                request,
                trust: &self.edge.trust,
                path: asked.path,
                profile: asked.profile_name,
                access: &asked.profile.access,
                title: asked.title,
                of: Of::Key(label),
                keys: asked.keys,
            };
            visit.admit(&self.tokens, &self.titles, moment).await.map(drop)
        };
        if let Resource::Key(track, suffix) = resource {
            let track = served.title().track(track).ok_or(Failure::UnknownTrack)?;
            let track = protection.named(track, *suffix).ok_or(Failure::UnknownSegment)?;
            permitted(track.label).await?;
            let key = Zeroizing::new(track.key.expose().to_vec());
            return Ok(respond::with_keys(request, KEY_TYPE, key));
        }
        let mut keys = Vec::new();
        let mut refused = Failure::UnknownKey;
        let wanted = licence::wanted(&request.body)?;
        let is_wanted = |track: &&ProtectedTrack| wanted.contains(&track.protector.key_id());
        // A token is looked at once for each label, however many ids are asked for; a key that
        // labels share goes to whom any of them is permitted.
        let mut labels: Vec<(Label, bool)> = Vec::new();
        for track in protection.tracks().filter(is_wanted) {
            let id = track.protector.key_id();
            if keys.iter().any(|(given, _)| *given == id) {
                continue;
            }
            let known = labels.iter().find(|(label, _)| *label == track.label);
            let is_permitted = match known {
                Some((_, is_permitted)) => *is_permitted,
                None => match permitted(track.label).await {
                    Ok(()) => true,
                    Err(failure) => {
                        refused = failure;
                        false
                    }
                },
            };
            if known.is_none() {
                labels.push((track.label, is_permitted));
            }
            if is_permitted {
                keys.push((id, &track.key));
            }
        }
        if keys.is_empty() {
            return Err(refused);
        }
        Ok(respond::with_keys(request, LICENCE_TYPE, licence::licence(&keys)))
    }
}
