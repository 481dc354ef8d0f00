//! `purge` and `warm`: what an operator does to a running origin's caches, from its own machine.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use headwater_config::{Config, Name};
use headwater_packager::ids::{TitleId, VersionId};
use serde_json::Value;

/// How long the origin is waited for: a warm-up reads.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of its answer.
const ANSWER_BYTES: u64 = 1 << 20;

/// Lets go what the caches of a running origin hold of a title, a version, a profile.
///
/// What agrees with all that is named goes: responses, stored media, opened versions, and what is known of
/// which version is live. It is made again from the store when it is asked for next. Needed after objects
/// were removed or mended by hand; never after a publication, which has URLs of its own. Every node has its
/// own caches, and a CDN has others: docs/caches.md.
///
/// Examples:
///   headwater-origin purge --title movie --title other-movie
///   headwater-origin purge --profile clear
///   headwater-origin purge --title movie --version 01939c2e-7f00-7abc-8def-0123456789ab --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(id = "named", required = true, multiple = true)]
pub struct Purge {
    /// This title; again for each further one. All go in one purge, which costs the caches less than many.
    #[arg(long, group = "named")]
    title: Vec<TitleId>,
    /// This version.
    #[arg(long, group = "named")]
    version: Option<VersionId>,
    /// This profile's responses; stored media and opened versions belong to no profile, and stay.
    #[arg(long, group = "named")]
    profile: Option<Name>,
    /// All there is.
    #[arg(long, group = "named", conflicts_with_all = ["title", "version", "profile"])]
    all: bool,
    #[command(flatten)]
    to: To,
}

/// Makes the beginning of titles ready in a running origin: manifests, init sections and first segments.
///
/// How many segments, and how many at a time, origin.warm_up says. Exit code 1 if something failed.
///
/// Example: headwater-origin warm movie other-movie
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Warm {
    /// The titles.
    #[arg(required = true)]
    titles: Vec<TitleId>,
    /// For this profile alone, rather than for all that serve them.
    #[arg(long)]
    profile: Option<Name>,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
struct To {
    /// The origin's admin port; without it, origin.admin_listen of the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Prints the origin's answer, one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is printed, and whether all went well.
pub type Told = (String, bool);

impl Purge {
    /// Asks the origin.
    pub fn run(&self, config: &Config) -> Result<Told, String> {
        let mut query = Vec::new();
        query.extend(self.title.iter().map(|title| format!("title={title}")));
        query.extend(self.version.map(|version| format!("version={version}")));
        query.extend(self.profile.as_ref().map(|profile| format!("profile={profile}")));
        if self.all {
            query.push("all=true".to_owned());
        }
        let json = self.to.ask(config, &format!("/admin/purge?{}", query.join("&")))?;
        if self.to.json {
            return Ok((format!("{json}\n"), true));
        }
        let number = |tier: &str| json[tier].as_u64().unwrap_or_default();
        let told = format!(
            "let go: {} responses, {} ranges of stored media, {} opened versions, {} pointers\n",
            number("responses"),
            number("sources"),
            number("versions"),
            number("pointers")
        );
        Ok((told, true))
    }
}

impl Warm {
    /// Asks the origin.
    pub fn run(&self, config: &Config) -> Result<Told, String> {
        let mut query: Vec<_> = self.titles.iter().map(|title| format!("title={title}")).collect();
        query.extend(self.profile.as_ref().map(|profile| format!("profile={profile}")));
        let json = self.to.ask(config, &format!("/admin/warm?{}", query.join("&")))?;
        let failed = json["failed"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.to.json {
            return Ok((format!("{json}\n"), failed.is_empty()));
        }
        let mut told = format!("{} made, {} were there\n", json["made"], json["there"]);
        for one in failed {
            let text = |key: &str| one[key].as_str().unwrap_or("any profile").to_owned();
            told += &format!("{} ({}): {}\n", text("title"), text("profile"), text("error"));
        }
        Ok((told, failed.is_empty()))
    }
}

impl To {
    fn ask(&self, config: &Config, target: &str) -> Result<Value, String> {
        let address = reachable(self.admin.unwrap_or(config.origin.admin_listen));
        let answer = post(address, target).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!(
                "the origin on {address} has not ended within {} s; it goes on, and its log says when it is done",
                PATIENCE.as_secs()
            ),
            _ => format!("no origin answers on {address} ({error}): name its admin port with --admin, or its configuration with --config"),
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or("no status");
        let json: Option<Value> = serde_json::from_str(body).ok();
        match json {
            Some(json) if status == "200" => Ok(json),
            Some(json) => Err(format!(
                "the origin on {address} says {status} {}: {}",
                json["error"], json["detail"]
            )),
            None => {
                Err(format!("what answers on {address} is no origin of this release: {status}"))
            }
        }
    }
}

/// A listener on all addresses is asked over loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn post(address: SocketAddr, target: &str) -> io::Result<String> {
    let connecting = TcpStream::connect_timeout(&address, Duration::from_secs(5));
    // Only an answer that does not come is one that is waited for.
    let mut stream = connecting.map_err(|error| io::Error::other(error.to_string()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
