//! URLs as the harness uses them: where a token stands, what a body is known by, and the same
//! work on another server.

use url::Url;

/// What a path token begins with: `/~<token>/...`.
const MARK: &str = "/~";

/// An address that can be asked.
pub fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(without_fragment(url)),
        _ => Err(format!("`{text}`: expected http://host... or https://host...")),
    }
}

/// What a relative reference means where it stands (RFC 3986 5.2).
pub fn follow(base: &Url, reference: &str) -> Result<Url, String> {
    let url = base.join(reference).map_err(|error| format!("`{reference}` in {base}: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(without_fragment(url)),
        scheme => Err(format!("`{reference}` in {base}: cannot ask for {scheme}:")),
    }
}

/// The token before a path, and the URL without it.
pub fn split_token(url: &Url) -> (Option<String>, Url) {
    let mut bare = url.clone();
    let token = url.path().strip_prefix(MARK).and_then(|rest| rest.split_once('/'));
    let token = token.map(|(token, rest)| {
        bare.set_path(&format!("/{rest}"));
        token.to_owned()
    });
    (token, bare)
}

/// The URL with a token before its path.
pub fn with_token(url: &Url, token: Option<&str>) -> Url {
    let mut url = url.clone();
    if let Some(token) = token {
        let path = format!("{MARK}{token}{}", url.path());
        url.set_path(&path);
    }
    url
}

/// What a body is known by on every server: path and query, without a token.
pub fn key(url: &Url) -> String {
    let (_, bare) = split_token(url);
    bare[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

/// The same resource below another base: what follows `from` in the path follows `to`.
pub fn rebase(url: &Url, from: &Url, to: &Url) -> Result<Url, String> {
    let inside = (url.origin() == from.origin())
        .then(|| url.path().strip_prefix(from.path().trim_end_matches('/')))
        .flatten()
        .filter(|rest| rest.starts_with('/'));
    let Some(rest) = inside else { return Err(format!("{url} does not lie below {from}")) };
    let mut moved = to.clone();
    moved.set_path(&format!("{}{rest}", to.path().trim_end_matches('/')));
    moved.set_query(url.query());
    Ok(moved)
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        parse(text).unwrap()
    }

    #[test]
    fn tokens_come_and_go() {
        let table = [
            ("http://h/clear/t/a?q=1#x", None, "/clear/t/a?q=1"),
            ("http://h/~abc.de/clear/t/a", Some("abc.de"), "/clear/t/a"),
            ("http://h/~/clear", Some(""), "/clear"),
            ("http://h/clear/~abc/t", None, "/clear/~abc/t"),
        ];
        for (text, token, known_by) in table {
            let whole = url(text);
            let (found, bare) = split_token(&whole);
            assert_eq!((found.as_deref(), key(&whole).as_str()), (token, known_by), "{text}");
            assert_eq!(with_token(&bare, token), whole, "{text}");
        }
    }

    #[test]
    fn references_are_followed() {
        let base = url("http://h:1/~tok/clear/t/master.m3u8?x");
        let table = [
            ("v/index.m3u8", "http://h:1/~tok/clear/t/v/index.m3u8"),
            ("../u/1.m4s", "http://h:1/~tok/clear/u/1.m4s"),
            ("/a", "http://h:1/a"),
            ("https://other/b", "https://other/b"),
        ];
        for (reference, wanted) in table {
            assert_eq!(follow(&base, reference).unwrap().as_str(), wanted);
        }
        for bad in ["data:text/plain,x", "skd://key", "file:///etc/passwd"] {
            assert!(follow(&base, bad).unwrap_err().contains("cannot ask"), "{bad}");
        }
        for bad in ["h/a", "ftp://h/a", "/a", "http://"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_same_work_elsewhere() {
        let table = [
            ("http://a/x/t/1.m4s?q", "http://a/x/", "http://b:8/y", Some("http://b:8/y/t/1.m4s?q")),
            ("http://a/x/1", "http://a", "https://b", Some("https://b/x/1")),
            ("http://a/xy/1", "http://a/x", "http://b", None),
            ("http://c/x/1", "http://a/x", "http://b", None),
        ];
        for (text, from, to, wanted) in table {
            let moved = rebase(&url(text), &url(from), &url(to)).ok();
            assert_eq!(moved.as_ref().map(Url::as_str), wanted, "{text}");
        }
    }
}
