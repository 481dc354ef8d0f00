//! Rust source as words and signs: comments are dropped, texts become `""`, `::` is one sign.
//! Enough to ask what a file names; no parser.

/// The tokens of a file, in order.
pub fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let len = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_len(rest)
        } else if let Some(len) = text_len(rest) {
            found.push("\"\"");
            len
        } else {
            let len =
                word_len(rest).unwrap_or(if rest.starts_with("::") { 2 } else { first.len_utf8() });
            found.push(&rest[..len]);
            len
        };
        rest = &rest[len..];
    }
    found
}

/// The tokens before a file's unit tests, which stand last.
pub fn product_tokens(source: &str) -> Vec<&str> {
    let mut found = tokens(source);
    let tests = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    if let Some(end) = found.windows(tests.len()).position(|window| window == tests) {
        found.truncate(end);
    }
    found
}

/// The index of the sign that closes the one at `open`; the end if none does.
pub fn closing(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len()
}

/// The names right below a path that ends before `at`: `a::b` gives a, `{a, b::{c}}` a and b.
pub fn names_at<'a>(tokens: &[&'a str], at: usize) -> Vec<&'a str> {
    let Some(&first) = tokens.get(at) else { return Vec::new() };
    if first != "{" {
        return vec![first];
    }
    let mut names = Vec::new();
    let mut i = at + 1;
    while i < closing(tokens, at) {
        names.push(tokens[i]);
        while i < closing(tokens, at) && tokens[i] != "," {
            i = if tokens[i] == "{" { closing(tokens, i) } else { i + 1 };
        }
        i += 1;
    }
    names
}

fn word_len(rest: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    rest.starts_with(is_word).then(|| rest.find(|c| !is_word(c)).unwrap_or(rest.len()))
}

/// A string, byte string, raw string or character; a lifetime is a sign and a word.
fn text_len(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r')).unwrap_or(rest.len());
    let body = &rest[prefix..];
    if prefix <= 2
        && rest[..prefix].ends_with('r')
        && (body.starts_with('"') || body.starts_with('#'))
    {
        let hashes = body.find(|c| c != '#')?;
        let inner = body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", &body[..hashes]);
        return Some(
            prefix + hashes + 1 + inner.find(&end).map_or(inner.len(), |at| at + end.len()),
        );
    }
    if prefix <= 1 && body.starts_with('"') {
        return Some(prefix + quoted_len(body, '"'));
    }
    let inner = body.strip_prefix('\'').filter(|_| prefix <= 1)?;
    let second = inner.chars().nth(1)?;
    (inner.starts_with('\\') || second == '\'').then(|| prefix + quoted_len(body, '\''))
}

fn quoted_len(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[test]
fn what_is_a_token() {
    let table: &[(&str, &[&str])] = &[
        ("use a::{b, c};", &["use", "a", "::", "{", "b", ",", "c", "}", ";"]),
        ("x // todo!()\ny", &["x", "y"]),
        ("x /* a /* b */ c */ y", &["x", "y"]),
        (r#""todo!" b"x\"y" z"#, &["\"\"", "\"\"", "z"]),
        (r##"r#"a "b" c"# z"##, &["\"\"", "z"]),
        (r"'a' '\'' b'x' 'static r", &["\"\"", "\"\"", "\"\"", "'", "static", "r"]),
        ("break rb bb", &["break", "rb", "bb"]),
    ];
    for (source, wanted) in table {
        assert_eq!(tokens(source), *wanted, "{source}");
    }
    let group = tokens("{a::{b, c}, d, e as f}");
    assert_eq!(names_at(&group, 0), ["a", "d", "e"]);
}
