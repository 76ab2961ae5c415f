//! What is asked: the gateway key among the headers, and as much of the body as routing needs.

use std::borrow::Cow;
use std::ops::Range;

use lockgate_host::Headers;
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::Names;

use crate::endpoint::{BodyKind, Call};
use crate::form;
use crate::skim::{SkimError, skim};
use crate::target::Target;

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
    /// The body was not read.
    Unread,
}

impl<'a> Ask<'a> {
    /// A call whose body is not read.
    pub(crate) fn unread() -> Self {
        Self {
            model: None,
            names: Names::Never,
            model_at: ModelAt::Unread,
            further_models: false,
            stream: false,
        }
    }

    /// Reads the body of a call.
    pub(crate) fn read(
        body: &'a [u8],
        call: &Call<'a>,
        content_type: Option<&str>,
    ) -> Result<Self, Refusal> {
        let ask = if call.body == BodyKind::Form {
            Self::form(body, content_type.unwrap_or_default())?
        } else {
            Self::json(body)?
        };
        // The path's word counts, as at Azure itself.
        let model = call.deployment.map(Cow::Borrowed).or(ask.model);
        let model = model.filter(|model| !model.is_empty());
        let names = match call.body {
            BodyKind::JsonMaybe => Names::Maybe,
            _ => Names::Always,
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
                SkimError::NotText(_) | SkimError::Repeated(_) | SkimError::NotAnObject => {
                    Code::INVALID_REQUEST
                }
                _ => Code::INVALID_JSON,
            };
            let refusal = Refusal::new(code, format!("The request body cannot be read: {error}."));
            match error {
                SkimError::NotText(name) | SkimError::Repeated(name) => refusal.param(name),
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

    fn form(body: &'a [u8], content_type: &str) -> Result<Self, Refusal> {
        let at = form::model(content_type, body).map_err(|form::Repeated| {
            Refusal::new(
                Code::INVALID_REQUEST,
                "The form has more than one field `model`.",
            )
            .param("model")
            .remedy("Send one.")
        })?;
        let at = at.ok_or_else(|| {
            Refusal::new(
                Code::INVALID_REQUEST,
                "The request is no form with a field `model`.",
            )
            .param("model")
            .remedy("Send `multipart/form-data` with a field `model`, or name the provider in the header `lockgate-provider`.")
        })?;
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

    /// The body with the model as the provider knows it; `None` where it stands there already, or there is none.
    pub(crate) fn rewritten(&self, target: &Target<'_>, body: &[u8]) -> Option<Vec<u8>> {
        if target.model.is_empty() || self.model.as_deref() == Some(target.model) && self.stands() {
            return None;
        }
        self.with_model(target.model, body)
    }

    /// The body with the path's or the route's model in it where it has none itself, for those who read all of it.
    pub(crate) fn completed<'b>(&self, target: &Target<'_>, body: &'b [u8]) -> Cow<'b, [u8]> {
        if self.model.is_some() && self.stands() {
            return Cow::Borrowed(body);
        }
        self.with_model(self.model.as_deref().unwrap_or(target.model), body)
            .map_or(Cow::Borrowed(body), Cow::Owned)
    }

    fn stands(&self) -> bool {
        matches!(self.model_at, ModelAt::Json(_) | ModelAt::Form(_))
    }

    /// The body with the model's value changed to `model` and nothing else; `None` where it stands there already.
    fn with_model(&self, model: &str, body: &[u8]) -> Option<Vec<u8>> {
        let quoted = || serde_json::to_vec(model).ok();
        let (at, value) = match &self.model_at {
            ModelAt::Json(at) => {
                let value = quoted()?;
                if body.get(at.clone()) == Some(&value) {
                    return None;
                }
                (at.clone(), value)
            }
            ModelAt::Absent(at) => {
                let rest = body.get(*at..).unwrap_or_default();
                let empty = rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'}');
                let comma: &[u8] = if empty { b"" } else { b"," };
                (*at..*at, [&b"\"model\":"[..], &quoted()?, comma].concat())
            }
            ModelAt::Form(at) => (at.clone(), model.as_bytes().to_vec()),
            ModelAt::Unread => return None,
        };
        let before = body.get(..at.start)?;
        let after = body.get(at.end..)?;
        Some([before, &value, after].concat())
    }
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
            let ask = Ask::read(body.as_bytes(), &call(BodyKind::Json, deployment), None).unwrap();
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
        let ask = Ask::read(body, &call(BodyKind::Json, Some("d")), None).unwrap();
        assert_eq!(ask.model.as_deref(), Some("d"));
        for (body, names) in [
            (BodyKind::Json, Names::Always),
            (BodyKind::JsonMaybe, Names::Maybe),
        ] {
            let ask = Ask::read(b"{\"model\":\"\"}", &call(body, None), None).unwrap();
            assert_eq!((ask.model, ask.names), (None, names));
        }
    }
}
