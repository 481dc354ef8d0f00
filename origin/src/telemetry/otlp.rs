//! The documents of OTLP: `ExportTraceServiceRequest` written, `ExportTraceServiceResponse` read
//! (opentelemetry-proto 1, `collector/trace/v1`, `trace/v1`), in Protocol Buffers' encoding.
//!
//! ```text
//! request { resource_spans { resource { attributes } scope_spans { scope spans... } } }
//! ```
//! Numbers of fields stand at each use, as in the .proto files. Written by hand: six kinds of
//! message do not need a compiler for them; the tests read them with somebody else's types.

use std::time::UNIX_EPOCH;

use super::{Kind, Span, Value};

/// Kinds of encoding (Protocol Buffers, "Message Structure").
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;
/// Bytes of the longest number.
const VARINT_BYTES: usize = 10;
/// `Span.flags`: sampled (W3C), and that the two bits say whether the parent is another process's.
const SAMPLED: u32 = 0x1;
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// `Status.code`: `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// What stands before the spans of every request.
pub(super) struct Frame {
    /// `Resource`.
    resource: Vec<u8>,
    /// `InstrumentationScope`.
    scope: Vec<u8>,
}

impl Frame {
    pub(super) fn new(resource: &[(&'static str, Value)]) -> Self {
        let mut attributes = Writer::default();
        resource.iter().for_each(|attribute| attributes.attribute(1, attribute));
        let mut scope = Writer::default();
        scope.text(1, env!("CARGO_PKG_NAME"));
        scope.text(2, env!("CARGO_PKG_VERSION"));
        Self { resource: attributes.0, scope: scope.0 }
    }

    /// An `ExportTraceServiceRequest` with these spans.
    pub(super) fn request<'a>(&self, spans: impl Iterator<Item = &'a Span>) -> Vec<u8> {
        let mut request = Writer::default();
        request.message(1, |resource_spans| {
            resource_spans.bytes(1, &self.resource);
            resource_spans.message(2, |scope_spans| {
                scope_spans.bytes(1, &self.scope);
                spans.for_each(|span| scope_spans.message(2, |message| message.span(span)));
            });
        });
        request.0
    }
}

/// Protocol Buffers, written from front to back.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn span(&mut self, span: &Span) {
        let context = &span.context;
        self.bytes(1, &context.trace_id.0);
        self.bytes(2, &context.span_id.0);
        if let Some(parent_id) = &context.parent_id {
            self.bytes(4, &parent_id.0);
        }
        self.text(5, &span.name);
        self.number(
            6,
            match span.kind {
                Kind::Server => 2,
                Kind::Client => 3,
            },
        );
        let start = span.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.fixed_64(7, nanos(start));
        self.fixed_64(8, nanos(start.saturating_add(span.taken)));
        span.attributes.iter().for_each(|attribute| self.attribute(9, attribute));
        if span.is_error {
            self.message(15, |status| status.number(3, ERROR));
        }
        // A server's parent is whoever asked; what a client's span stands below is our own.
        let is_remote = span.kind == Kind::Server && context.parent_id.is_some();
        let remote = if is_remote { IS_REMOTE } else { 0 };
        self.fixed_32(16, SAMPLED | KNOWS_REMOTE | remote);
    }

    /// A `KeyValue` with its `AnyValue`.
    fn attribute(&mut self, field: u64, (key, value): &(&'static str, Value)) {
        self.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| match value {
                Value::Text(text) => any.text(1, text),
                Value::Number(number) => any.number(3, number.cast_unsigned()),
            });
        });
    }

    /// A message whose length is known once it is written.
    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.tag(field, LENGTH);
        let start = self.0.len();
        write(self);
        let mut length = Self::default();
        length.varint((self.0.len() - start) as u64);
        self.0.splice(start..start, length.0);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, VARINT);
        self.varint(number);
    }

    fn fixed_64(&mut self, field: u64, number: u64) {
        self.tag(field, FIXED_64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed_32(&mut self, field: u64, number: u32) {
        self.tag(field, FIXED_32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn tag(&mut self, field: u64, encoding: u64) {
        self.varint(field << 3 | encoding);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }
}

/// What a collector did not take of a request that it answered with 200.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Spans.
    pub rejected: u64,
    /// Why, or whatever else it has to say.
    pub message: String,
}

/// Reads an `ExportTraceServiceResponse`; none if it is no such thing.
pub fn rejected(response: &[u8]) -> Option<Partial> {
    let mut partial = Partial::default();
    let mut response = Reader(response);
    while let Some((field, value)) = response.field()? {
        // partial_success
        let (1, Field::Bytes(message)) = (field, value) else { continue };
        let mut message = Reader(message);
        while let Some((field, value)) = message.field()? {
            match (field, value) {
                (1, Field::Number(rejected)) => partial.rejected = rejected,
                (2, Field::Bytes(text)) => partial.message = str::from_utf8(text).ok()?.to_owned(),
                _ => {}
            }
        }
    }
    Some(partial)
}

/// Protocol Buffers, read from front to back.
struct Reader<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed length, which nothing that is looked for has.
    Fixed,
}

impl<'a> Reader<'a> {
    /// The next field's number and value, or none at the end; an outer none where it is malformed.
    #[expect(clippy::option_option, reason = "the end is not a fault")]
    fn field(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Field::Number(self.varint()?),
            FIXED_64 => self.take(8).map(|_| Field::Fixed)?,
            FIXED_32 => self.take(4).map(|_| Field::Fixed)?,
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        let field = tag >> 3;
        (field != 0).then_some(Some((field, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for at in 0..VARINT_BYTES {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * at).ok()?)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Context, Id};
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::any_value;
    use proptest::prelude::*;
    use prost::Message;
    use std::time::Duration;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<String>().prop_map(|text| Value::Text(text.into())),
            any::<i64>().prop_map(Value::Number),
        ]
    }

    proptest! {
        /// Whatever is written, OpenTelemetry's own types read the same.
        #[test]
        fn spans_are_read_as_they_were_written(
            (trace_id, span_id, parent_id) in any::<([u8; 16], [u8; 8], Option<[u8; 8]>)>(),
            name in any::<String>(),
            (start_ns, taken_ns) in (0..u64::MAX / 4, 0..u64::MAX / 4),
            values in prop::collection::vec(value(), 0..20),
            is_error in any::<bool>(),
        ) {
            let parent_id = parent_id.map(Id);
            let context = Context { trace_id: Id(trace_id), span_id: Id(span_id), parent_id };
            let start = UNIX_EPOCH + Duration::from_nanos(start_ns);
            let taken = Duration::from_nanos(taken_ns);
            let attributes = values.iter().map(|value| ("a.name", value.clone())).collect();
            let kind = Kind::Server;
            let name: std::borrow::Cow<'static, str> = name.into();
            let span =
                Span { context, name: name.clone(), kind, start, taken, attributes, is_error };
            let frame = Frame::new(&[("service.name", Value::word("a"))]);
            let request = frame.request([&span, &span].into_iter());
            let read = ExportTraceServiceRequest::decode(&*request).unwrap();
            let resource = &read.resource_spans[0];
            let spans = &resource.scope_spans[0].spans;
            prop_assert_eq!((spans.len(), &spans[0]), (2, &spans[1]));
            let span = &spans[0];
            prop_assert_eq!((&span.trace_id[..], &span.span_id[..]), (&trace_id[..], &span_id[..]));
            let parent_bytes = parent_id.map_or(Vec::new(), |id| id.0.to_vec());
            prop_assert_eq!((&span.parent_span_id, &*span.name), (&parent_bytes, &*name));
            prop_assert_eq!(span.start_time_unix_nano, start_ns);
            prop_assert_eq!(span.end_time_unix_nano, start_ns + taken_ns);
            prop_assert_eq!(span.status.as_ref().is_some_and(|status| status.code == 2), is_error);
            let read_values: Vec<_> = span.attributes.iter().map(|pair| {
                match pair.value.clone().unwrap().value.unwrap() {
                    any_value::Value::StringValue(text) => Value::Text(text.into()),
                    any_value::Value::IntValue(number) => Value::Number(number),
                    other => panic!("{other:?}"),
                }
            }).collect();
            prop_assert_eq!(read_values, values);
        }

        #[test]
        fn what_was_rejected_is_read(rejected_spans in any::<i64>(), text in any::<String>()) {
            let error_message = text.clone();
            let partial = ExportTracePartialSuccess { rejected_spans, error_message };
            let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
            let wanted = Partial { rejected: rejected_spans.cast_unsigned(), message: text };
            prop_assert_eq!(rejected(&answer.encode_to_vec()), Some(wanted));
        }

        /// Any bytes are read or refused; what both of us read, both read alike.
        #[test]
        fn any_answer_has_an_end(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let (Ok(theirs), Some(ours)) =
                (ExportTraceServiceResponse::decode(&*bytes), rejected(&bytes))
            {
                let theirs = theirs.partial_success.unwrap_or_default();
                prop_assert_eq!(theirs.rejected_spans.cast_unsigned(), ours.rejected);
                prop_assert_eq!(theirs.error_message, ours.message);
            }
        }
    }

    #[test]
    fn what_is_no_answer() {
        assert_eq!(rejected(b""), Some(Partial::default()));
        for bytes in [&b"<html>"[..], b"{}", &[0x0a], &[0x0a, 5, 1], &[8], &[0xff; 12], &[0, 0]] {
            assert_eq!(rejected(bytes), None, "{bytes:?}");
        }
    }
}
