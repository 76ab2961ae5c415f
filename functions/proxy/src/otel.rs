//! Spans of requests for an OpenTelemetry collector (FEATURES F6): off unless an endpoint is set, sent in groups some time
//! after the response, lost where the collector cannot be reached; traffic never waits for them.
//!
//! A request is a SERVER span, each try at a provider a CLIENT span below it, named and described as the semantic
//! conventions for generative AI say. A `traceparent` of the client's is taken up; a trace that it has not sampled is not
//! exported. Prompts and answers are in none of them.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>,
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans>, <https://www.w3.org/TR/trace-context/>

use std::rc::Rc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use lockgate_host::{Headers, Host, Method, Outbound, OutboundBody};
use lockgate_workspace::Settings;
use lockgate_workspace::resource::{Attempt, RequestRecord};
use serde_json::{Value, json};

/// Bytes of spans that may wait; what comes on top is dropped.
const MAX_WAITING: usize = 2 << 20;
/// Bytes of spans that are sent at once.
const GROUP_BYTES: usize = 512 << 10;
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    id: [u8; 16],
    /// The client's span, where it has one.
    parent: Option<[u8; 8]>,
}

impl Trace {
    /// The client's trace, or a new one; `None` where nothing is to be exported.
    pub(crate) fn of<H: Host>(host: &H, settings: &Settings, headers: &H::Headers) -> Option<Self> {
        settings.otlp.as_ref()?;
        match headers.get("traceparent").as_deref().and_then(parent) {
            Some((id, parent, true)) => Some(Self {
                id,
                parent: Some(parent),
            }),
            Some((_, _, false)) => None,
            None => {
                let mut id = [0; 16];
                host.random(&mut id);
                Some(Self { id, parent: None })
            }
        }
    }
}

/// Reads a `traceparent`: the trace, the span, and whether it is sampled. Later versions may have more at the end.
fn parent(header: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    let version: [u8; 1] = hex(version)?.try_into().ok()?;
    if version == [0xff] || (version == [0] && parts.next().is_some()) {
        return None;
    }
    let trace: [u8; 16] = hex(trace)?.try_into().ok()?;
    let span: [u8; 8] = hex(span)?.try_into().ok()?;
    let [flags]: [u8; 1] = hex(flags)?.try_into().ok()?;
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags & 1 == 1))
}

/// Spans that wait to be sent, as JSON objects with a comma after each.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    waiting: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spans {
    /// Adds those of a request. `began` says for each try how many milliseconds after the request it did.
    pub(crate) fn add<H: Host>(
        &mut self,
        host: &H,
        trace: Trace,
        workspace: &str,
        record: &RequestRecord<'_>,
        began: &[u64],
    ) {
        let id = || {
            let mut id = [0; 8];
            host.random(&mut id);
            id
        };
        let server = id();
        let mut spans = vec![request_span(trace, server, workspace, record)];
        let last = record.attempts.len().saturating_sub(1);
        for (place, (attempt, began)) in record.attempts.iter().zip(began).enumerate() {
            let of = Tried {
                attempt,
                began: *began,
                last: place == last,
            };
            spans.push(attempt_span(trace, server, id(), record, of));
        }
        for span in spans {
            let Ok(bytes) = serde_json::to_vec(&span) else {
                continue;
            };
            if self.bytes + bytes.len() > MAX_WAITING {
                return;
            }
            self.bytes += bytes.len();
            self.waiting.push(bytes);
        }
    }

    /// Takes all that waits, in groups that are sent at once.
    fn groups(&mut self) -> Vec<Vec<u8>> {
        self.bytes = 0;
        let mut groups: Vec<Vec<u8>> = Vec::new();
        for span in std::mem::take(&mut self.waiting) {
            match groups.last_mut() {
                Some(group) if group.len() + span.len() < GROUP_BYTES => {
                    group.push(b',');
                    group.extend_from_slice(&span);
                }
                _ => groups.push(span),
            }
        }
        groups
    }
}

/// Sends what waits to the collector. What it does not take is lost.
pub(crate) async fn export<H: Host>(host: &H, settings: &Rc<Settings>, mut spans: Spans) {
    let Some(otlp) = &settings.otlp else {
        return;
    };
    let headers = otlp.headers.iter();
    let mut set: Vec<(&str, &str)> = headers
        .filter_map(|(name, value)| Some((name.as_str(), value.expose_str()?)))
        .collect();
    set.push(("content-type", "application/json"));
    for group in spans.groups() {
        let sent = host.fetch(Outbound {
            method: Method::POST,
            url: &otlp.url,
            forward: None,
            set: &set,
            credential: None,
            body: OutboundBody::Bytes(envelope(&otlp.service, &group)),
            head_timeout: PATIENCE,
            idle_timeout: PATIENCE,
        });
        if sent.await.is_err() {
            // The next group would wait as long for nothing.
            return;
        }
    }
}

/// A group of spans as OTLP wants it.
fn envelope(service: &str, spans: &[u8]) -> Vec<u8> {
    const PLACE: &str = "\"spans\":[";
    let version = env!("CARGO_PKG_VERSION");
    let around = json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", service), text("service.version", version)]},
        "scopeSpans": [{"scope": {"name": "lockgate", "version": version}, "spans": []}],
    }]})
    .to_string();
    let at = around
        .rfind(PLACE)
        .map_or(around.len(), |at| at + PLACE.len());
    let (before, after) = around.split_at(at);
    [before.as_bytes(), spans, after.as_bytes()].concat()
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// Whole numbers are strings in OTLP's JSON.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn nanoseconds(milliseconds: u64) -> String {
    (u128::from(milliseconds) * 1_000_000).to_string()
}

/// The kinds of spans here.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

struct Span<'a> {
    trace: Trace,
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: String,
    kind: u8,
    start: u64,
    end: u64,
    attributes: Vec<Value>,
    /// The code of what went wrong.
    error: Option<&'a str>,
}

impl Span<'_> {
    fn json(mut self) -> Value {
        if let Some(error) = self.error {
            self.attributes.push(text("error.type", error));
        }
        let mut span = json!({
            "traceId": HEXLOWER.encode(&self.trace.id),
            "spanId": HEXLOWER.encode(&self.id),
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": nanoseconds(self.start),
            "endTimeUnixNano": nanoseconds(self.end.max(self.start)),
            "attributes": self.attributes,
            "status": match self.error {
                Some(error) => json!({"code": 2, "message": error}),
                None => json!({}),
            },
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = HEXLOWER.encode(&parent).into();
        }
        span
    }
}

/// The request as the client sees it.
fn request_span(trace: Trace, id: [u8; 8], workspace: &str, record: &RequestRecord<'_>) -> Value {
    let mut attributes = vec![
        text("url.path", &record.path),
        number("http.response.status_code", record.status.into()),
        text("lockgate.request_id", &record.id),
        text("lockgate.workspace", workspace),
        text("lockgate.gateway_key", &record.gateway_key),
        text("lockgate.agent", &record.agent),
    ];
    for (key, value) in [
        ("lockgate.gateway", &record.gateway),
        ("lockgate.team", &record.team),
        ("lockgate.route", &record.route),
        ("lockgate.credential", &record.credential),
        ("lockgate.outcome", &record.outcome),
    ] {
        attributes.extend(value.as_deref().map(|value| text(key, value)));
    }
    let cost = record.cost_microusd;
    attributes.extend(cost.map(|cost| number("lockgate.cost_microusd", cost)));
    Span {
        trace,
        id,
        parent: trace.parent,
        name: record.path.clone().into_owned(),
        kind: SERVER,
        start: record.at.0,
        end: record.at.0.saturating_add(record.milliseconds),
        attributes,
        error: record.code.as_deref(),
    }
    .json()
}

/// A try, and when it was.
struct Tried<'a> {
    attempt: &'a Attempt<'a>,
    began: u64,
    /// Whether it is the one whose answer the client got.
    last: bool,
}

fn attempt_span(
    trace: Trace,
    parent: [u8; 8],
    id: [u8; 8],
    record: &RequestRecord<'_>,
    tried: Tried<'_>,
) -> Value {
    let attempt = tried.attempt;
    let operation = operation(&record.path);
    let mut attributes = vec![
        text("gen_ai.operation.name", operation),
        text("gen_ai.provider.name", provider(&attempt.provider)),
    ];
    for (key, value) in [
        ("gen_ai.request.model", &attempt.model),
        ("lockgate.provider_key", &attempt.provider_key),
        ("lockgate.credential", &attempt.credential),
    ] {
        attributes.extend(value.as_deref().map(|value| text(key, value)));
    }
    let status = attempt.status.map(u64::from);
    attributes.extend(status.map(|status| number("http.response.status_code", status)));
    let answered = tried.last && attempt.code.is_none();
    if let Some(tokens) = record.tokens.filter(|_| answered) {
        attributes.push(number("gen_ai.usage.input_tokens", tokens.input));
        attributes.push(number("gen_ai.usage.output_tokens", tokens.output));
        let cached = tokens.cached_input;
        attributes.extend(cached.map(|n| number("gen_ai.usage.cache_read.input_tokens", n)));
    }
    let start = record.at.0.saturating_add(tried.began);
    let end = if answered {
        record.at.0.saturating_add(record.milliseconds)
    } else {
        start.saturating_add(attempt.milliseconds)
    };
    Span {
        trace,
        id,
        parent: Some(parent),
        name: match &attempt.model {
            Some(model) => format!("{operation} {model}"),
            None => operation.to_owned(),
        },
        kind: CLIENT,
        start,
        end,
        attributes,
        // A stream that failed after its head did so at its provider.
        error: attempt
            .code
            .as_deref()
            .or(record.code.as_deref().filter(|_| answered)),
    }
    .json()
}

/// `gen_ai.operation.name` of a path.
fn operation(path: &str) -> &'static str {
    let ends = |end: &str| path.ends_with(end);
    if ends("/embeddings") {
        "embeddings"
    } else if ends("/chat/completions") || ends("/responses") || ends("/messages") {
        "chat"
    } else if ends("/completions") {
        "text_completion"
    } else if ends("/generations") || ends("/edits") || ends("/speech") {
        "generate_content"
    } else {
        "request"
    }
}

/// `gen_ai.provider.name` of a provider's slug: the well-known value where it has another one.
fn provider(slug: &str) -> &str {
    match slug {
        "bedrock" => "aws.bedrock",
        "azure-openai" => "azure.ai.openai",
        "google" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        slug => slug,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_trace_is_read_as_the_recommendation_says() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let of = |text: String| {
            parent(&text).map(|(trace, span, sampled)| {
                (HEXLOWER.encode(&trace), HEXLOWER.encode(&span), sampled)
            })
        };
        let read = Some((id.to_owned(), "00f067aa0ba902b7".to_owned(), true));
        assert_eq!(of(format!("00-{id}-00f067aa0ba902b7-01")), read);
        assert_eq!(
            of(format!("cc-{id}-00f067aa0ba902b7-01-what-the-future")),
            read
        );
        let unsampled = of(format!("00-{id}-00f067aa0ba902b7-00")).unwrap();
        assert!(!unsampled.2);
        for wrong in [
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("0-{id}-00f067aa0ba902b7-01"),
            "é".to_owned(),
            String::new(),
        ] {
            assert_eq!(of(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn a_group_stands_where_spans_are_wanted() {
        let sent = envelope("my \"app\"", br#"{"name":"a"},{"name":"b"}"#);
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        let resource = &sent["resourceSpans"][0];
        assert_eq!(resource["scopeSpans"][0]["spans"][1]["name"], "b");
        let service = &resource["resource"]["attributes"][0]["value"];
        assert_eq!(service["stringValue"], "my \"app\"");
        // Names of the users' own cannot be taken for the place.
        let sent = envelope("\"spans\":[", b"{}");
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert!(sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0].is_object());
    }

    #[test]
    fn what_waits_is_bounded_and_goes_out_in_groups() {
        let mut spans = Spans::default();
        for _ in 0..6 {
            spans.waiting.push(vec![b'x'; 200 << 10]);
        }
        let groups = spans.groups();
        assert_eq!(groups.len(), 3);
        assert!(groups.iter().all(|group| group.len() <= GROUP_BYTES));
        assert!(spans.groups().is_empty());
    }
}
