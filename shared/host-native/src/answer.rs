//! From an [`Answer`] to hyper's response.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use lockgate_host::{AnswerBody, WITHHELD_HEADERS};

use crate::Answer;
use crate::body::Source;
use crate::followed::Followed;
use crate::transformed::Transformed;
use crate::upstream::Silence;
use crate::watched::{ResponseBody, Watched};

pub(crate) fn respond(answer: Answer) -> Response<ResponseBody> {
    let mut headers = match answer.from {
        Some(headers) => {
            let mut headers = headers.0;
            withhold(&mut headers);
            headers
        }
        None => HeaderMap::with_capacity(answer.set.len() + 2),
    };
    let body = match answer.body {
        AnswerBody::Bytes(bytes) => {
            headers.remove(CONTENT_LENGTH);
            ResponseBody::Bytes(Bytes::from(bytes))
        }
        AnswerBody::Through(body) => match body.into_source() {
            Source::Stream(stream, idle) => ResponseBody::Through(Silence::new(idle), stream),
            Source::Bytes(bytes) => ResponseBody::Bytes(bytes),
        },
        AnswerBody::Followed(body, watch) => {
            ResponseBody::Followed(Box::new(Followed::new(body.into_source(), watch)))
        }
        AnswerBody::Watched(body, watch) => {
            headers.remove(CONTENT_LENGTH);
            ResponseBody::Watched(Box::new(Watched::new(body.into_source(), watch)))
        }
        AnswerBody::Transformed(body, transform) => {
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_ENCODING);
            ResponseBody::Transformed(Box::new(Transformed::new(body.into_source(), transform)))
        }
    };
    set(&mut headers, answer.set);
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Removes [`WITHHELD_HEADERS`] and what `connection` names.
fn withhold(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    // Few answers have any of them, and comparing names is cheaper than looking each one up.
    let withheld = |name: &&HeaderName| WITHHELD_HEADERS.contains(&name.as_str());
    while let Some(name) = headers.keys().find(withheld).cloned() {
        headers.remove(name);
    }
}

/// Sets headers: they replace what is there, and repeat among themselves. One that is no valid header is left out:
/// a header less is better than no answer.
fn set(headers: &mut HeaderMap, pairs: Vec<(&'static str, Cow<'static, str>)>) {
    let mut done: Vec<&'static str> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let Some(header) = header_name(name) else {
            continue;
        };
        let bytes = match value {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        let Ok(value) = HeaderValue::from_maybe_shared(bytes) else {
            continue;
        };
        if done.contains(&name) {
            headers.append(header, value);
        } else {
            headers.insert(header, value);
            done.push(name);
        }
    }
}

/// The name as hyper has it. Short plain ones, which all of ours are, need no copy; `from_static` panics on others.
fn header_name(name: &'static str) -> Option<HeaderName> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Some(HeaderName::from_static(name))
    } else {
        HeaderName::from_bytes(name.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_form_are_taken_or_refused() {
        for (name, good) in [
            ("x-a1", true),
            ("X-A", true),
            ("x_a", true),
            ("", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(header_name(name).is_some(), good, "{name}");
        }
        let long: &'static str = Box::leak("a".repeat(70_000).into_boxed_str());
        assert!(header_name(long).is_none());
    }
}
