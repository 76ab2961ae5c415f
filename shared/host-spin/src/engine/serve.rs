//! From the host's request to the functions' [`Incoming`], and from their [`Answer`] to the host's response.

use std::time::Duration;

use lockgate_host::{Answer, AnswerBody, Incoming, Method};
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Method as WasiMethod, Request, Response};
use spin_sdk::wasip3::{wit_future, wit_stream};

use super::body::Sent;
use super::headers;
use super::pump::{CHUNK, follow, pump, whole};
use super::rewrite::rewrite;
use super::{SpinBody, SpinHeaders, SpinHost, wait};

/// Answers one request of the host's with `handle`.
pub async fn serve(
    request: Request,
    handle: impl AsyncFnOnce(&SpinHost, Incoming<SpinHost>) -> Answer<SpinHost>,
) -> Response {
    let host = SpinHost::default();
    respond(handle(&host, incoming(request)).await).await
}

fn incoming(request: Request) -> Incoming<SpinHost> {
    let method = method(request.get_method());
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target, None),
    };
    let path = if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    };
    let headers = SpinHeaders::of_request(&request.get_headers());
    Incoming {
        method,
        path,
        query,
        body: SpinBody::of_request(request, headers::length(&headers)),
        headers,
    }
}

/// A method the host lets through that is none by HTTP's grammar cannot be; should it, it is one nobody serves.
fn method(method: WasiMethod) -> Method {
    match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Post => Method::POST,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Patch => Method::PATCH,
        WasiMethod::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or(Method::TRACE),
    }
}

async fn respond(answer: Answer<SpinHost>) -> Response {
    let Answer {
        status,
        from,
        mut set,
        body,
    } = answer;
    let resized = !matches!(body, AnswerBody::Through(_) | AnswerBody::Followed(..));
    if let AnswerBody::Bytes(bytes) = &body
        && !matches!(status, 204 | 304)
    {
        set.push(("content-length", bytes.len().to_string().into()));
    }
    let fields = headers::answer(from, resized, &set);
    let (response, _sent) = match body {
        AnswerBody::Through(body) => {
            let (stream, trailers) = body.open();
            Response::new(fields, Some(stream), trailers)
        }
        AnswerBody::Bytes(bytes) => at_hand(fields, bytes),
        AnswerBody::Followed(body, watch) => match body.length() {
            Some(length) if length <= CHUNK as u64 => match whole(body, CHUNK, watch).await {
                Ok(payload) => at_hand(fields, payload.into_bytes()),
                Err(code) => broken(fields, code),
            },
            _ => {
                let (writer, reader) = wit_stream::new();
                let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
                wasip3::spawn(follow(body, watch, writer, trailers));
                Response::new(fields, Some(reader), trailers_reader)
            }
        },
        AnswerBody::Watched(body, watch) => {
            let (writer, reader) = wit_stream::new();
            let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
            wasip3::spawn(pump(body, watch, writer, trailers));
            Response::new(fields, Some(reader), trailers_reader)
        }
        AnswerBody::Transformed(body, transform) => {
            let (writer, reader) = wit_stream::new();
            let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
            // It belongs to what the provider sent.
            let _absent = fields.delete("content-encoding");
            wasip3::spawn(rewrite(body, transform, writer, trailers));
            Response::new(fields, Some(reader), trailers_reader)
        }
    };
    // A new response has the status 200. One outside HTTP's range can only have come from a provider.
    if status != 200 && response.set_status_code(status).is_err() {
        let _always_valid = response.set_status_code(502);
    }
    response
}

/// An answer whose body is at hand, and how sending it goes.
fn at_hand(fields: Fields, bytes: Vec<u8>) -> (Response, Sent) {
    let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
    if bytes.is_empty() {
        return Response::new(fields, None, trailers_reader);
    }
    let (mut writer, reader) = wit_stream::new();
    wasip3::spawn(async move {
        // A client that left does not want the rest.
        let _unwanted = writer.write_all(bytes).await;
        drop(writer);
        drop(trailers);
    });
    Response::new(fields, Some(reader), trailers_reader)
}

/// An answer that breaks off before its body has begun.
fn broken(fields: Fields, code: ErrorCode) -> (Response, Sent) {
    let (writer, reader) = wit_stream::new();
    let (result, result_reader) = wit_future::new(|| Ok(None));
    wasip3::spawn(async move {
        // The host sends the head while it waits for a body; one that has failed already takes the head with it.
        wait::sleep(Duration::from_millis(1)).await;
        drop(writer);
        // A host that has given the answer up does not listen.
        drop(result.write(Err(code)).await);
    });
    Response::new(fields, Some(reader), result_reader)
}
