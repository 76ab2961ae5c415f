//! What is asked: the gateway key among the headers, and as much of the body as routing needs.

use std::borrow::Cow;
use std::ops::Range;

use lockgate_host::Headers;
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_routing::Names;

use crate::endpoint::{BodyKind, Call};
use crate::form;
use crate::skim::{MAX_MODEL, SkimError, skim};

/// Bytes of a header that names a route or a provider.
const MAX_NAME: usize = 256;

/// The gateway key, from whichever header the client's SDK puts it in.
pub(crate) fn gateway_key<H: Headers>(headers: &H) -> Result<Cow<'_, str>, Refusal> {
    if let Some(value) = headers.get("authorization") {
        let scheme = value.get(..7).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer ") {
            return Ok(match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.get(7..).unwrap_or_default().trim()),
                Cow::Owned(text) => Cow::Owned(text.get(7..).unwrap_or_default().trim().to_owned()),
            });
        }
    }
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        if let Some(value) = headers.get(name) {
            return Ok(value);
        }
    }
    Err(Refusal::new(
        Code::GATEWAY_KEY_MISSING,
        "The request carries no gateway key.",
    )
    .remedy("Send `Authorization: Bearer lgk_…` (or `x-api-key`, `api-key`, `x-goog-api-key`)."))
}

/// Refuses a body that says itself that it is too large, before any of it is read.
pub(crate) fn check_length<H: Headers>(headers: &H, limit: usize) -> Result<(), Refusal> {
    match headers
        .get("content-length")
        .and_then(|n| n.parse::<u64>().ok())
    {
        Some(length) if length > limit as u64 => {
            Err(lockgate_host::ReadError::TooLarge { limit }.into())
        }
        _ => Ok(()),
    }
}

/// The header that names a route or a provider, which is lower case.
pub(crate) fn named<'h, H: Headers>(
    headers: &'h H,
    name: &'static str,
) -> Result<Option<Cow<'h, str>>, Refusal> {
    match headers.get(name) {
        Some(value) if value.len() > MAX_NAME => Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("The header `{name}` has more than {MAX_NAME} bytes."),
        )
        .param(name)
        .remedy("Send a name that this workspace has.")),
        value => Ok(value),
    }
}

/// A request, read as far as routing needs.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The model as the client wrote it; `None` where the call has none.
    pub(crate) model: Option<Cow<'a, str>>,
    /// Whether the call names one.
    pub(crate) names: Names,
    /// Where it stands in the body.
    model_at: ModelAt,
    /// Whether the body lists further models in `models`, as OpenRouter takes them.
    pub(crate) further_models: bool,
    pub(crate) stream: bool,
}

/// Where the model's value stands in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ModelAt {
    /// A JSON string, quotes included.
    Json(Range<usize>),
    /// It does not, and would after the opening brace, which ends here.
    Absent(usize),
    /// A field of a form.
    Form(Range<usize>),
    /// It does not, and there is no place to put it.
    Nowhere,
}

impl<'a> Ask<'a> {
    /// A call whose body is not read.
    pub(crate) fn unread() -> Self {
        Self {
            model: None,
            names: Names::Never,
            model_at: ModelAt::Nowhere,
            further_models: false,
            stream: false,
        }
    }

    /// Reads the body of a call; `told` is whether a header names the route or the provider.
    pub(crate) fn read(
        body: &'a [u8],
        call: &Call<'a>,
        content_type: Option<&str>,
        told: bool,
    ) -> Result<Self, Refusal> {
        let ask = if call.body == BodyKind::Form {
            Self::form(body, content_type.unwrap_or_default(), told)?
        } else {
            Self::json(body)?
        };
        // The path's word counts, as at Azure itself.
        let model = call.deployment.map(Cow::Borrowed).or(ask.model);
        let model = model.filter(|model| !model.is_empty());
        // A name is at most a few hundred bytes, whatever is made of it from here on.
        if model
            .as_deref()
            .is_some_and(|model| model.chars().nth(MAX_MODEL).is_some())
        {
            let message = SkimError::TooLong.to_string();
            return Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!("The request cannot be read: {message}."),
            )
            .param("model"));
        }
        let names = match call.body {
            BodyKind::JsonMaybe => Names::Maybe,
            _ => ask.names,
        };
        Ok(Self {
            model,
            names,
            ..ask
        })
    }

    fn json(body: &'a [u8]) -> Result<Self, Refusal> {
        let skimmed = skim(body).map_err(|error| {
            let code = match error {
                SkimError::NotText(_)
                | SkimError::Repeated(_)
                | SkimError::Alike(_)
                | SkimError::TooLong
                | SkimError::NotAnObject => Code::INVALID_REQUEST,
                _ => Code::INVALID_JSON,
            };
            let refusal = Refusal::new(code, format!("The request body cannot be read: {error}."));
            match error {
                SkimError::NotText(name) | SkimError::Repeated(name) => refusal.param(name),
                SkimError::Alike(_) => refusal
                    .param("model")
                    .remedy("Leave it out, or spell it `model`."),
                SkimError::TooLong => refusal.param("model"),
                _ => refusal,
            }
        })?;
        let model_at = if skimmed.model.is_some() {
            ModelAt::Json(skimmed.model_at)
        } else {
            let brace = memchr::memchr(b'{', body).unwrap_or_default();
            ModelAt::Absent(brace + 1)
        };
        Ok(Self {
            model: skimmed.model,
            names: Names::Always,
            model_at,
            further_models: skimmed.models,
            stream: skimmed.stream,
        })
    }

    fn form(body: &'a [u8], content_type: &str, told: bool) -> Result<Self, Refusal> {
        let at = form::model(content_type, body).map_err(|unclear| {
            Refusal::new(Code::INVALID_REQUEST, unclear.to_string())
                .param(unclear.param())
                .remedy(unclear.remedy())
        })?;
        let Some(at) = at else {
            if told {
                return Ok(Self {
                    names: Names::Maybe,
                    ..Self::unread()
                });
            }
            return Err(no_field()
                .remedy("Send `multipart/form-data` with a field `model`, or name the provider in the header `lockgate-provider` or the route in `lockgate-route`."));
        };
        let model = body
            .get(at.clone())
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or_default();
        Ok(Self {
            model: Some(Cow::Borrowed(model)),
            names: Names::Always,
            model_at: ModelAt::Form(at),
            further_models: false,
            stream: false,
        })
    }

    /// The body with `model`, as the provider knows it; `None` where it stands there already, or there is none.
    ///
    /// # Errors
    /// There is one, and no place for it.
    pub(crate) fn rewritten(&self, model: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        if model.is_empty() {
            return Ok(None);
        }
        if self.model_at == ModelAt::Nowhere {
            return Err(no_field().remedy(format!(
                "Send `multipart/form-data` with a field `model`, whose value `{}` then replaces.",
                shown(model)
            )));
        }
        Ok(self.with_model(model, body))
    }

    /// The body with the path's model or else `model`, the target's, in it where it has another or none, for those who read all of it.
    pub(crate) fn completed<'b>(&self, model: &str, body: &'b [u8]) -> Cow<'b, [u8]> {
        self.with_model(self.model.as_deref().unwrap_or(model), body)
            .map_or(Cow::Borrowed(body), Cow::Owned)
    }

    /// The body with the model's value changed to `model` and nothing else; `None` where it stands there already.
    fn with_model(&self, model: &str, body: &[u8]) -> Option<Vec<u8>> {
        let quoted = || serde_json::to_vec(model).ok();
        let (at, value) = match &self.model_at {
            ModelAt::Json(at) => {
                let text = body.get(at.start + 1..at.end.checked_sub(1)?)?;
                if text == model.as_bytes() && !model.contains('\\') {
                    return None;
                }
                (at.clone(), quoted()?)
            }
            ModelAt::Absent(at) => {
                let rest = body.get(*at..).unwrap_or_default();
                let empty = rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'}');
                let comma: &[u8] = if empty { b"" } else { b"," };
                (*at..*at, [&b"\"model\":"[..], &quoted()?, comma].concat())
            }
            ModelAt::Form(at) if body.get(at.clone()) == Some(model.as_bytes()) => return None,
            ModelAt::Form(at) => (at.clone(), model.as_bytes().to_vec()),
            ModelAt::Nowhere => return None,
        };
        let before = body.get(..at.start)?;
        let after = body.get(at.end..)?;
        Some([before, &value, after].concat())
    }
}

fn no_field() -> Refusal {
    Refusal::new(
        Code::INVALID_REQUEST,
        "The request is no form with a field `model`.",
    )
    .param("model")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use lockgate_providers::Surface;

    use super::*;

    fn call(body: BodyKind, deployment: Option<&str>) -> Call<'_> {
        Call {
            surface: Surface::Chat,
            path: "/chat/completions",
            body,
            deployment,
        }
    }

    #[test]
    fn only_the_models_value_changes() {
        let with = |body: &str, deployment| {
            let ask = Ask::read(
                body.as_bytes(),
                &call(BodyKind::Json, deployment),
                None,
                false,
            )
            .unwrap();
            let out = ask.with_model("new", body.as_bytes());
            out.map(|out| String::from_utf8(out).unwrap())
        };
        assert_eq!(
            with("{ \"a\":1,\"model\" : \"x\" }", None).unwrap(),
            "{ \"a\":1,\"model\" : \"new\" }"
        );
        assert_eq!(with("{\"model\":\"new\"}", None), None);
        assert_eq!(
            with(" {\"a\": 1}", Some("d")).unwrap(),
            " {\"model\":\"new\",\"a\": 1}"
        );
        assert_eq!(with("{ }", Some("d")).unwrap(), "{\"model\":\"new\" }");
    }

    #[test]
    fn the_paths_model_counts() {
        let body = b"{\"model\":\"x\"}";
        let ask = Ask::read(body, &call(BodyKind::Json, Some("d")), None, false).unwrap();
        assert_eq!(ask.model.as_deref(), Some("d"));
        for (body, names) in [
            (BodyKind::Json, Names::Always),
            (BodyKind::JsonMaybe, Names::Maybe),
        ] {
            let ask = Ask::read(b"{\"model\":\"\"}", &call(body, None), None, false).unwrap();
            assert_eq!((ask.model, ask.names), (None, names));
        }
    }

    #[test]
    fn what_is_sent_is_what_was_judged() {
        let call = call(BodyKind::Json, Some("gpt-4o-mini"));
        for body in [
            r#"{"model":"o1-pro"}"#,
            r#"{"model":""}"#,
            r#"{"model":"gpt\u002d4o-mini"}"#,
            "{}",
        ] {
            let ask = Ask::read(body.as_bytes(), &call, None, false).unwrap();
            let judged = ask.model.as_deref().unwrap();
            let sent = ask.rewritten(judged, body.as_bytes()).unwrap().unwrap();
            assert_eq!(sent, br#"{"model":"gpt-4o-mini"}"#, "{body}");
            let whole = ask.completed("other", body.as_bytes());
            assert_eq!(*whole, *sent, "{body}");
        }
        let body = br#"{"model":"gpt-4o-mini"}"#;
        let ask = Ask::read(body, &call, None, false).unwrap();
        assert_eq!(ask.rewritten("gpt-4o-mini", body).unwrap(), None);
        assert_eq!(ask.rewritten("", body).unwrap(), None);
        // The same bytes are not always the same text.
        let body = br#"{"model":"a\nb"}"#;
        let ask = Ask::read(body, &call, None, false).unwrap();
        let sent = ask.rewritten(r"a\nb", body).unwrap().unwrap();
        assert_eq!(sent, br#"{"model":"a\\nb"}"#);
    }

    const FORM: &str = "multipart/form-data; boundary=X";

    fn form(name: &str, value: &str) -> String {
        format!(
            "--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--X--\r\n"
        )
    }

    #[test]
    fn the_paths_model_stands_in_the_form_that_is_sent() {
        let call = call(BodyKind::Form, Some("whisper-1"));
        let body = form("model", "other");
        let ask = Ask::read(body.as_bytes(), &call, Some(FORM), false).unwrap();
        let sent = ask.rewritten("whisper-1", body.as_bytes()).unwrap();
        assert_eq!(sent.unwrap(), form("model", "whisper-1").as_bytes());
        let body = form("model", "whisper-1");
        let ask = Ask::read(body.as_bytes(), &call, Some(FORM), false).unwrap();
        assert_eq!(ask.rewritten("whisper-1", body.as_bytes()).unwrap(), None);
    }

    #[test]
    fn a_form_without_a_model_needs_a_header_and_takes_no_model() {
        let call = call(BodyKind::Form, None);
        let body = form("file", "x");
        let read = |told| Ask::read(body.as_bytes(), &call, Some(FORM), told);
        let refusal = read(false).unwrap_err();
        assert_eq!(refusal.code.text, "invalid_request");
        let ask = read(true).unwrap();
        assert_eq!((ask.model.as_deref(), ask.names), (None, Names::Maybe));
        assert_eq!(ask.rewritten("", body.as_bytes()).unwrap(), None);
        let refusal = ask.rewritten("whisper-1", body.as_bytes()).unwrap_err();
        assert_eq!(refusal.code.text, "invalid_request");
    }

    #[test]
    fn names_have_a_limit() {
        let read = |model: &str, deployment| {
            let body = format!("{{\"model\":\"{model}\"}}");
            let call = call(BodyKind::Json, deployment);
            Ask::read(body.as_bytes(), &call, None, false).map(|_| ())
        };
        let (most, over) = ("😀".repeat(256), "é".repeat(257));
        read(&most, None).unwrap();
        for refusal in [
            read(&over, None).unwrap_err(),
            read(&"m".repeat(10_000), None).unwrap_err(),
            read("m", Some(&over)).unwrap_err(),
        ] {
            assert_eq!(refusal.code.text, "invalid_request");
            assert!(refusal.message.contains("256"), "{}", refusal.message);
        }
        let over = form("model", &over);
        let call = call(BodyKind::Form, None);
        let refusal = Ask::read(over.as_bytes(), &call, Some(FORM), false).unwrap_err();
        assert!(refusal.message.contains("256"), "{}", refusal.message);
    }
}
