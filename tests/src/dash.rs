//! An MPD as served, read by quick-xml into plain values.

use std::fs;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::web::{Web, follow};
use crate::{run, scratch};

/// An element with everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Attributes in order.
    pub attributes: Vec<(String, String)>,
    /// Elements inside.
    pub children: Vec<Element>,
}

impl Element {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// An attribute that must be there.
    pub fn need(&self, name: &str) -> &str {
        self.attribute(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    /// Children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The one child of a name.
    pub fn one<'a>(&'a self, name: &'a str) -> &'a Self {
        let mut found = self.all(name);
        let child = found.next().unwrap_or_else(|| panic!("{}: no {name}", self.name));
        assert!(found.next().is_none(), "{}: more than one {name}", self.name);
        child
    }

    /// How many elements of a name are anywhere below.
    pub fn count(&self, name: &str) -> usize {
        let below: usize = self.children.iter().map(|child| child.count(name)).sum();
        below + self.all(name).count()
    }
}

/// A representation with what it inherits.
#[derive(Clone, Debug)]
pub struct Representation {
    /// The element.
    pub element: Element,
    /// Its adaptation set.
    pub set: Element,
    /// The SegmentTemplate that counts for it.
    pub template: Element,
    path: String,
}

/// An MPD with its path.
#[derive(Debug)]
pub struct Mpd {
    /// Its path.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// The MPD element.
    pub root: Element,
}

/// One S element, repeats laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Start in ticks.
    pub start_ticks: u64,
    /// Ticks.
    pub duration_ticks: u64,
}

impl Mpd {
    /// Fetches and reads one.
    pub fn fetch(web: &Web, path: &str) -> Self {
        let text = web.text(path);
        let root = parse(&text);
        assert_eq!(root.name, "MPD");
        Self { path: path.to_owned(), text, root }
    }

    /// Fails where xmllint finds that it is not what the schema (ISO/IEC 23009-1) describes.
    pub fn validate(&self, schema: &Path) {
        let folder = scratch::folder();
        let file = folder.path().join("manifest.mpd");
        fs::write(&file, &self.text).unwrap();
        let mut xmllint = run::command("xmllint");
        xmllint.args(["--noout", "--nonet", "--schema"]).arg(schema).arg(&file);
        let output = run::finish(&mut xmllint);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{}", self.path, self.text);
    }

    /// The one period.
    pub fn period(&self) -> &Element {
        self.root.one("Period")
    }

    /// Every representation in document order.
    pub fn representations(&self) -> Vec<Representation> {
        let mut found = Vec::new();
        for set in self.period().all("AdaptationSet") {
            for element in set.all("Representation") {
                let own = element.all("SegmentTemplate").next();
                let template = own.unwrap_or_else(|| set.one("SegmentTemplate")).clone();
                let path = self.path.clone();
                found.push(Representation {
                    element: element.clone(),
                    set: set.clone(),
                    template,
                    path,
                });
            }
        }
        found
    }
}

impl Representation {
    /// Its id.
    pub fn id(&self) -> &str {
        self.element.need("id")
    }

    /// Whether it is video.
    pub fn is_video(&self) -> bool {
        self.set.need("contentType") == "video"
    }

    /// Ticks per second.
    pub fn timescale(&self) -> u32 {
        self.template.need("timescale").parse().unwrap()
    }

    /// Path of the init segment.
    pub fn init_path(&self) -> String {
        follow(&self.path, &self.fill(self.template.need("initialization"), 0))
    }

    /// Paths of the media segments.
    pub fn segment_paths(&self) -> Vec<String> {
        let first: usize = self.template.need("startNumber").parse().unwrap();
        let media = self.template.need("media");
        let count = self.timeline().len();
        (first..first + count).map(|n| follow(&self.path, &self.fill(media, n))).collect()
    }

    /// Its SegmentTimeline, laid out.
    pub fn timeline(&self) -> Vec<Timed> {
        let mut laid_out = Vec::new();
        let mut at = 0;
        for s in self.template.one("SegmentTimeline").all("S") {
            let number = |name| s.attribute(name).map(|text| text.parse::<u64>().unwrap());
            at = number("t").unwrap_or(at);
            let duration_ticks = number("d").expect("S has a duration");
            for _ in 0..=number("r").unwrap_or(0) {
                laid_out.push(Timed { start_ticks: at, duration_ticks });
                at += duration_ticks;
            }
        }
        laid_out
    }

    fn fill(&self, template: &str, number: usize) -> String {
        let filled = template.replace("$RepresentationID$", self.id());
        filled.replace("$Number$", &number.to_string())
    }
}

/// An xs:duration of seconds alone (`PT12.5S`), in microseconds.
pub fn micros(duration: &str) -> u64 {
    let seconds = duration.strip_prefix("PT").and_then(|rest| rest.strip_suffix('S'));
    crate::hls::micros(seconds.unwrap_or_else(|| panic!("{duration} is not in seconds")))
}

fn parse(text: &str) -> Element {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}\n{text}")) {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(empty) => open.last_mut().unwrap().children.push(element(&empty)),
            Event::End(_) => {
                let closed = open.pop().unwrap();
                open.last_mut().unwrap().children.push(closed);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open.len(), 1, "every element is closed");
    let mut document = open.pop().unwrap();
    assert_eq!(document.children.len(), 1, "one root");
    document.children.remove(0)
}

fn element(start: &BytesStart<'_>) -> Element {
    let attributes = start
        .attributes()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
        })
        .collect();
    Element { name: start.name().as_ref().to_owned(), attributes, children: Vec::new() }
}
