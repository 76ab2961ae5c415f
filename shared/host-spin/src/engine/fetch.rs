//! Requests to providers, as raw `wasi:http` requests.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;

use lockgate_host::{Fetch, FetchError, Inbound, Method, Outbound, OutboundBody, ReadError};
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{
    ErrorCode, Fields, HeaderError, Method as WasiMethod, Request, RequestOptions, Response, Scheme,
};
use spin_sdk::wasip3::{wit_future, wit_stream};
use zeroize::Zeroize as _;

use super::body::Sent;
use super::headers::Entries;
use super::{Payload, SpinBody, SpinHeaders, SpinHost};
use crate::plain::names;
use crate::plain::target::Target;

/// Most of the time for the head that making the connection may take.
const CONNECT: Duration = Duration::from_secs(10);

impl Fetch for SpinHost {
    type Headers = SpinHeaders;
    type Body = SpinBody;
    type Payload = Payload;

    async fn read(&self, body: SpinBody, limit: usize) -> Result<Payload, ReadError> {
        body.read(limit).await
    }

    async fn fetch(&self, outbound: Outbound<'_, Self>) -> Result<Inbound<Self>, FetchError> {
        let idle = outbound.idle_timeout;
        let (response, sent) = send(outbound).await?;
        Ok(Inbound {
            status: response.get_status_code(),
            headers: SpinHeaders::of_response(response.get_headers()),
            body: SpinBody::of_response(response, sent, idle),
        })
    }
}

async fn send(outbound: Outbound<'_, SpinHost>) -> Result<(Response, Sent), FetchError> {
    let target = Target::parse(outbound.url)
        .ok_or_else(|| FetchError::Unreachable("not an absolute http or https URL".to_owned()))?;
    let head = head(&outbound)?;
    let mut passed = None;
    let bytes = match outbound.body {
        OutboundBody::Empty => Vec::new(),
        OutboundBody::Payload(payload) => payload.into_bytes(),
        OutboundBody::Bytes(bytes) => bytes,
        OutboundBody::Stream(body) => {
            passed = Some(body.open());
            Vec::new()
        }
    };

    let (trailers, own_trailers) = wit_future::new(|| Ok(None));
    let (mut contents, contents_reader, trailers_reader) = match passed {
        Some((stream, trailers)) => (None, Some(stream), trailers),
        None if bytes.is_empty() => (None, None, own_trailers),
        None => {
            let (writer, reader) = wit_stream::new();
            (Some(writer), Some(reader), own_trailers)
        }
    };
    let options = options(outbound.head_timeout, outbound.idle_timeout);
    let (request, sent) = Request::new(head, contents_reader, trailers_reader, Some(options));
    let scheme = if target.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    request
        .set_method(&method(&outbound.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(target.authority)))
        .and_then(|()| request.set_path_with_query(Some(&target.path)))
        .map_err(|()| FetchError::Unreachable("the engine refuses the URL".to_owned()))?;

    // The body is written once the host has begun to listen, which the first poll of `sending` brings about.
    let mut sending = pin!(client::send(request));
    let mut writing: Option<Pin<Box<dyn Future<Output = ()>>>> = Some(Box::pin(async move {
        if let Some(contents) = &mut contents {
            // What is left unwritten was not wanted; the provider's answer says why.
            let _unwanted = contents.write_all(bytes).await;
        }
        drop(contents);
        drop(trailers);
    }));
    let response = poll_fn(|context| {
        let response = sending.as_mut().poll(context);
        if let Some(body) = &mut writing
            && body.as_mut().poll(context).is_ready()
        {
            writing = None;
        }
        response
    })
    .await
    .map_err(unfetched)?;
    // A provider may answer before it has read everything.
    if let Some(rest) = writing {
        wasip3::spawn(rest);
    }
    Ok((response, sent))
}

/// The headers of a request to a provider.
fn head(outbound: &Outbound<'_, SpinHost>) -> Result<Fields, FetchError> {
    let mut entries: Entries = Vec::with_capacity(16);
    if let Some((headers, allowed)) = outbound.forward {
        entries.extend(
            headers
                .entries()
                .iter()
                .filter(|(name, _)| {
                    allowed.iter().any(|other| other.eq_ignore_ascii_case(name))
                        && !names::kept_from_provider(name)
                })
                .cloned(),
        );
    }
    for (name, value) in outbound.set {
        entries.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        entries.push(((*name).to_owned(), (*value).into()));
    }
    entries.push(("accept-encoding".to_owned(), b"identity".to_vec()));
    let length = match &outbound.body {
        OutboundBody::Empty => Some(0),
        OutboundBody::Payload(payload) => Some(payload.as_ref().len() as u64),
        OutboundBody::Bytes(bytes) => Some(bytes.len() as u64),
        OutboundBody::Stream(body) => body.length(),
    };
    let bodiless = matches!(outbound.method, Method::GET | Method::HEAD);
    if let Some(length) = length.filter(|length| *length > 0 || !bodiless) {
        entries.push(("content-length".to_owned(), length.to_string().into_bytes()));
    }
    if let Some(credential) = &outbound.credential {
        let secret = credential.secret.expose();
        let mut value = Vec::with_capacity(credential.prefix.len() + secret.len());
        value.extend_from_slice(credential.prefix.as_bytes());
        value.extend_from_slice(secret);
        entries.retain(|(other, _)| !other.eq_ignore_ascii_case(credential.header));
        entries.push((credential.header.to_owned(), value));
    }
    let fields = Fields::from_list(&entries);
    if outbound.credential.is_some()
        && let Some((_, value)) = entries.last_mut()
    {
        value.zeroize();
    }
    fields.map_err(|error| {
        FetchError::Broken(match error {
            HeaderError::SizeExceeded => "the request's headers are too large".to_owned(),
            _ => "a header of the request is not allowed".to_owned(),
        })
    })
}

thread_local! {
    /// The options last used, as they hardly ever change: to clone them is one host call instead of four.
    static OPTIONS: RefCell<Option<(Duration, Duration, RequestOptions)>> = const { RefCell::new(None) };
}

/// The host's timeouts. They cover a body that passes unread as well; one that the host does not know it leaves out.
fn options(head: Duration, idle: Duration) -> RequestOptions {
    OPTIONS.with_borrow_mut(|last| {
        if let Some((last_head, last_idle, options)) = last
            && (*last_head, *last_idle) == (head, idle)
        {
            return options.clone();
        }
        let nanoseconds = |time: Duration| Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let options = RequestOptions::new();
        let _unknown = options.set_connect_timeout(nanoseconds(head.min(CONNECT)));
        let _unknown = options.set_first_byte_timeout(nanoseconds(head));
        let _unknown = options.set_between_bytes_timeout(nanoseconds(idle));
        *last = Some((head, idle, options.clone()));
        options
    })
}

fn method(method: &Method) -> WasiMethod {
    match *method {
        Method::GET => WasiMethod::Get,
        Method::POST => WasiMethod::Post,
        Method::PUT => WasiMethod::Put,
        Method::DELETE => WasiMethod::Delete,
        Method::PATCH => WasiMethod::Patch,
        Method::HEAD => WasiMethod::Head,
        Method::OPTIONS => WasiMethod::Options,
        ref other => WasiMethod::Other(other.as_str().to_owned()),
    }
}

/// Why there is no answer.
fn unfetched(code: ErrorCode) -> FetchError {
    match code {
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => FetchError::Timeout,
        // Nothing was sent yet, so it is no different from a refusal: another destination may be tried.
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => FetchError::Unreachable(wording(&code)),
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            FetchError::Forbidden(wording(&code))
        }
        _ => FetchError::Broken(wording(&code)),
    }
}

/// The engine's name for what happened, for logs.
pub(crate) fn wording(code: &ErrorCode) -> String {
    let text = code.to_string();
    text.strip_prefix("ErrorCode::")
        .map_or(text.clone(), str::to_owned)
}
