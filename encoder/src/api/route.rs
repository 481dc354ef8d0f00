//! Every URL of the API in one enum.

use headwater_packager::ids::VersionId;
use http::{Method, StatusCode, Uri};

use super::failure::Failure;
use super::keys::Scope;
use crate::job::JobState;
use crate::limits;
use crate::queue::{Filter, Page};

/// A request, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// GET /openapi.json
    Document,
    /// GET /metrics
    Metrics,
    /// GET /v1/queue
    Depth,
    /// POST /v1/jobs
    Create,
    /// GET /v1/jobs?state=&title=&priority=&before=&limit=
    List(Filter, Page),
    /// GET /v1/jobs/{job}
    Show(VersionId),
    /// PATCH /v1/jobs/{job}
    Change(VersionId),
    /// GET /v1/jobs/{job}/tasks
    Tasks(VersionId),
    /// GET /v1/jobs/{job}/events
    Events(VersionId),
    /// POST /v1/jobs/{job}/cancel
    Cancel(VersionId),
    /// POST /v1/jobs/{job}/retry
    Retry(VersionId),
}

impl Route {
    /// Decodes a request.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Self, Failure> {
        let parts: Vec<_> = uri.path().split('/').skip(1).collect();
        let (get, post, patch) =
            (*method == Method::GET, *method == Method::POST, *method == Method::PATCH);
        let route = match parts.as_slice() {
            ["openapi.json"] => get.then_some(Self::Document),
            ["metrics"] => get.then_some(Self::Metrics),
            ["v1", "queue"] => get.then_some(Self::Depth),
            ["v1", "jobs"] if post => Some(Self::Create),
            ["v1", "jobs"] if get => {
                let (filter, page) = query(uri.query().unwrap_or(""))?;
                Some(Self::List(filter, page))
            }
            ["v1", "jobs"] => None,
            ["v1", "jobs", job] if get => Some(Self::Show(id(job)?)),
            ["v1", "jobs", job] => id(job).map(|job| patch.then_some(Self::Change(job)))?,
            ["v1", "jobs", job, "tasks"] => id(job).map(|job| get.then_some(Self::Tasks(job)))?,
            ["v1", "jobs", job, "events"] => id(job).map(|job| get.then_some(Self::Events(job)))?,
            ["v1", "jobs", job, "cancel"] => {
                id(job).map(|job| post.then_some(Self::Cancel(job)))?
            }
            ["v1", "jobs", job, "retry"] => id(job).map(|job| post.then_some(Self::Retry(job)))?,
            _ => return Err(Failure::not_found("no such URL; see /openapi.json")),
        };
        route.ok_or_else(|| {
            let detail = format!("{method:.20} is not for this URL; see /openapi.json");
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
    }

    /// What a key must allow; `None` for everybody.
    pub(super) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Document => None,
            Self::Metrics
            | Self::Depth
            | Self::List(..)
            | Self::Show(_)
            | Self::Tasks(_)
            | Self::Events(_) => Some(Scope::Read),
            Self::Create => Some(Scope::Submit),
            Self::Change(_) | Self::Cancel(_) | Self::Retry(_) => Some(Scope::Manage),
        }
    }
}

fn id(text: &str) -> Result<VersionId, Failure> {
    text.parse().map_err(|_| Failure::not_found(format!("{text:.60?} is no job's id")))
}

fn query(text: &str) -> Result<(Filter, Page), Failure> {
    let mut filter = Filter::default();
    let mut page = Page { before: None, entries: limits::USUAL_PAGE_ENTRIES };
    let mut seen = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let wrong = |what: &str| Failure::bad_request(format!("{name} = {value:.60?} {what}"));
        if seen.contains(&name) {
            return Err(wrong("is named twice"));
        }
        seen.push(name);
        match name {
            "state" => {
                let state = JobState::from_word(value).ok_or_else(|| wrong("is no state"))?;
                filter.state = Some(state);
            }
            // Ids have nothing that a query would escape.
            "title" => filter.title = Some(value.parse().map_err(|_| wrong("is no title's id"))?),
            "priority" => filter.priority = Some(value.parse().map_err(|e: String| wrong(&e))?),
            "before" => page.before = Some(value.parse().map_err(|_| wrong("is no job's id"))?),
            "limit" => {
                let entries = value.parse().ok();
                let entries = entries.filter(|count| (1..=limits::PAGE_ENTRIES).contains(count));
                let bounds = format!("is not 1 to {}", limits::PAGE_ENTRIES);
                page.entries = entries.ok_or_else(|| wrong(&bounds))?;
            }
            _ => {
                return Err(Failure::bad_request(format!("{name:.60?} is no parameter of a list")));
            }
        }
    }
    Ok((filter, page))
}
