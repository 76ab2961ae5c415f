//! The floor of the WASI engine: the least a component can do that is still a gateway. It reads the body, reads
//! `model` without copying it, sends the body on to `provider_url` with a key of its own, and hands the raw answer back,
//! which the host splices. No authentication, no log, no limits, no timeouts; the client's `content-type` is all that is
//! passed on.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use serde::Deserialize;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};

struct Noop;

spin_sdk::wasip3::http::service::export!(Noop);

impl spin_sdk::wasip3::exports::http::handler::Guest for Noop {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        forward(request).await
    }
}

#[derive(Deserialize)]
struct Ask<'a> {
    #[serde(borrow)]
    model: &'a str,
}

/// Where requests go, and with what.
struct Provider {
    authority: String,
    authorization: Vec<u8>,
}

thread_local! {
    static PROVIDER: RefCell<Option<Rc<Provider>>> = const { RefCell::new(None) };
}

async fn provider() -> Result<Rc<Provider>, ErrorCode> {
    if let Some(provider) = PROVIDER.with_borrow(Clone::clone) {
        return Ok(provider);
    }
    let variable = async |name| spin_sdk::variables::get(name).await.map_err(|error| internal(&error));
    let url = variable("provider_url").await?;
    let key = variable("provider_key").await?;
    let provider = Rc::new(Provider {
        authority: url
            .strip_prefix("http://")
            .ok_or_else(|| internal(&"provider_url must begin with http://"))?
            .trim_end_matches('/')
            .to_owned(),
        authorization: format!("Bearer {key}").into_bytes(),
    });
    PROVIDER.set(Some(Rc::clone(&provider)));
    Ok(provider)
}

fn internal(error: &dyn std::fmt::Display) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}

async fn forward(request: Request) -> Result<Response, ErrorCode> {
    let provider = provider().await?;
    let path = request.get_path_with_query();
    let content_type = request.get_headers().get("content-type");
    let body = read(request).await?;
    let ask: Ask<'_> = serde_json::from_slice(&body).map_err(|error| internal(&error))?;
    if ask.model.is_empty() {
        return Err(internal(&"model is missing"));
    }

    let mut headers = vec![
        ("authorization".to_owned(), provider.authorization.clone()),
        ("content-length".to_owned(), body.len().to_string().into_bytes()),
    ];
    headers.extend(content_type.into_iter().map(|value| ("content-type".to_owned(), value)));
    let headers = Fields::from_list(&headers).map_err(|error| internal(&error))?;
    let (mut writer, reader) = wit_stream::new();
    let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(headers, Some(reader), trailers_reader, None);
    request
        .set_method(&Method::Post)
        .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| request.set_authority(Some(&provider.authority)))
        .and_then(|()| request.set_path_with_query(path.as_deref()))
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let mut sending = pin!(client::send(request));
    let mut writing = Some(Box::pin(async move {
        writer.write_all(body).await;
        drop(writer);
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
    .await;
    if let Some(rest) = writing {
        spawn(rest);
    }
    response
}

async fn read(request: Request) -> Result<Vec<u8>, ErrorCode> {
    let (result, result_reader) = wit_future::new(|| Ok(()));
    let (mut stream, end) = Request::consume_body(request, result_reader);
    drop(result);
    let mut body = Vec::with_capacity(16 * 1024);
    loop {
        if body.len() == body.capacity() {
            body.reserve(16 * 1024);
        }
        let (result, read) = stream.read(body).await;
        body = read;
        if result == StreamResult::Dropped {
            end.await?;
            return Ok(body);
        }
    }
}
