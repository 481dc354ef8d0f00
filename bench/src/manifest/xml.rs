//! An XML document as elements; just what an MPD's reader needs.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::limits::MAX_ELEMENT_DEPTH;

/// An element with all below it.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Self>,
    /// The text in it, its children's left out.
    pub text: String,
}

impl Element {
    /// The root of a document.
    pub fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match event {
                Event::Start(start) if open.len() > MAX_ELEMENT_DEPTH => {
                    let name = start.name();
                    return Err(format!("{}: more than {MAX_ELEMENT_DEPTH} deep", name.as_ref()));
                }
                Event::Start(start) => open.push(Self::of(&start)?),
                Event::Empty(empty) => {
                    let empty = Self::of(&empty)?;
                    if let Some(parent) = open.last_mut() {
                        parent.children.push(empty);
                    }
                }
                Event::End(_) => {
                    let closed = open.pop().unwrap_or_default();
                    let parent = open.last_mut().ok_or("an end without its start")?;
                    parent.children.push(closed);
                }
                Event::Text(text) => {
                    if let Some(parent) = open.last_mut() {
                        parent.text.push_str(text.as_ref());
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let mut document = open.pop().filter(|_| open.is_empty()).ok_or("it ends too early")?;
        if document.children.len() == 1 {
            Ok(document.children.remove(0))
        } else {
            Err("not one root element".to_owned())
        }
    }

    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn of(start: &BytesStart<'_>) -> Result<Self, String> {
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error.to_string())?;
            Ok((attribute.key.as_ref().to_owned(), value.into_owned()))
        });
        Ok(Self {
            name: start.name().as_ref().to_owned(),
            attributes: attributes.collect::<Result<_, String>>()?,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_with_attributes_and_text() {
        let root =
            Element::parse("<?xml version=\"1.0\"?><a><b c=\"1&amp;2\"/><b>x</b></a>").unwrap();
        let told: Vec<_> = root.all("b").map(|b| (b.attribute("c"), b.text.as_str())).collect();
        assert_eq!(told, [(Some("1&2"), ""), (None, "x")]);
        assert!(root.first("c").is_none());
    }

    #[test]
    fn what_is_no_document() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        for bad in ["", "<a>", "<a/><b/>", "<a></b>", "<a b=1/>", "</a>", deep.as_str()] {
            assert!(Element::parse(bad).is_err(), "{bad}");
        }
    }
}
