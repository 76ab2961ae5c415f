//! Google's Gemini API: <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/api/embeddings>.

mod contents;
mod rules;
mod schema;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, items, text, texts};
use crate::openai::embeddings::vector;
use crate::perform;
use crate::reply::{Finish, Part, Reply, SIGNATURE, Usage, Wish};
use crate::voice::{Dialect, Voice};

/// The answer to a call of a method of a model.
pub(crate) fn answer(ask: &Ask<'_>, model: &str, action: &str) -> Result<Answer, Refusal> {
    authorised(ask)?;
    let value = parsed(ask.body)?;
    let stream = match action {
        "generateContent" => false,
        "streamGenerateContent" => true,
        "embedContent" => {
            rules::embed(&value, "")?;
            let whole = json!({"embedding": {"values": values(&value, 0)}});
            return perform::unary(Dialect::Gemini, model, &whole.to_string().into());
        }
        "batchEmbedContents" => {
            rules::batch(&value, model)?;
            let requests = items(value.get("requests")).iter().enumerate();
            let all: Vec<Value> = requests
                .map(|(number, one)| json!({"values": values(one, number)}))
                .collect();
            let whole = json!({"embeddings": all}).to_string();
            return perform::unary(Dialect::Gemini, model, &whole.into());
        }
        _ => {
            return Err(Refusal::new(
                404,
                format!(
                    "models/{model} is not found for API version v1beta, or is not supported for {action}. Call ListModels to see the list of available models and their supported methods."
                ),
            ));
        }
    };
    rules::generate(&value, model)?;
    if stream && ask.parameter("alt") != Some("sse") {
        return Err(Refusal::bad("The mock streams with `alt=sse` only."));
    }
    let wish = wish(&value, model, stream);
    let writer = Writer {
        model: model.to_owned(),
        count: wish.count,
    };
    perform::chat(Dialect::Gemini, &wish, Box::new(writer))
}

/// The list of models, or one of them.
pub(crate) fn models(ask: &Ask<'_>, one: Option<&str>) -> Result<Answer, Refusal> {
    authorised(ask)?;
    let model = |id: &str| json!({"name": format!("models/{id}"), "displayName": id, "supportedGenerationMethods": ["generateContent"]});
    let body = match one {
        Some(id) => model(id),
        None => {
            let all = ["mock-model", "gemini-2.5-flash"].map(model);
            json!({"models": all})
        }
    };
    Ok(Answer::json(200, body.to_string().into()))
}

fn authorised(ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.headers.contains_key("x-goog-api-key") || ask.parameter("key").is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
    ))
}

/// The body. The mock takes only the names that Google writes, `likeThis`.
fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("Invalid JSON payload received. {error}")))
}

fn values(request: &Value, number: usize) -> Vec<f32> {
    let dimensions = request.get("outputDimensionality").and_then(Value::as_u64);
    let dimensions = dimensions.and_then(|number| usize::try_from(number).ok());
    vector(number, dimensions.unwrap_or(3072)).collect()
}

/// The functions that a request declares.
fn functions(value: &Value) -> impl Iterator<Item = &Value> {
    let tools = items(value.get("tools")).iter();
    tools.flat_map(|tool| items(tool.get("functionDeclarations")))
}

fn wish(value: &Value, model: &str, stream: bool) -> Wish {
    let turns = items(value.get("contents"));
    let config = value
        .pointer("/toolConfig/functionCallingConfig")
        .cloned()
        .unwrap_or_default();
    let allowed: Vec<&str> = texts(config.get("allowedFunctionNames")).collect();
    let names = functions(value).map(|function| text(function, "name"));
    let names = names.filter(|name| allowed.is_empty() || allowed.contains(name));
    let generation = value.get("generationConfig").cloned().unwrap_or_default();
    let last = turns
        .last()
        .map(|turn| items(turn.get("parts")))
        .unwrap_or_default();
    let schema = generation
        .get("responseJsonSchema")
        .or(generation.get("responseSchema"));
    let count = generation.get("candidateCount").and_then(Value::as_u64);
    Wish {
        model: model.to_owned(),
        stream,
        tools: match text(&config, "mode") {
            "NONE" => Vec::new(),
            _ => names.map(str::to_owned).collect(),
        },
        parallel: true,
        answered: last
            .iter()
            .any(|part| part.get("functionResponse").is_some()),
        schema: schema.cloned(),
        count: count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(1),
        turns: turns.len(),
    }
}

/// A refusal in Google's form. <https://ai.google.dev/gemini-api/docs/troubleshooting>,
/// <https://cloud.google.com/apis/design/errors>
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    let status = match refusal.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 499 => "CANCELLED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "FAILED_PRECONDITION",
    };
    let mut error = json!({
        "code": refusal.status, "message": refusal.message,
        "status": refusal.kind.unwrap_or(status),
    });
    let google = |kind: &str| format!("type.googleapis.com/google.rpc.{kind}");
    match (refusal.status, &refusal.param, refusal.code) {
        (429, quota, _) => {
            let id = quota
                .as_deref()
                .unwrap_or("GenerateRequestsPerMinutePerProjectPerModel");
            error["details"] = json!([
                {"@type": google("QuotaFailure"), "violations": [{"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": id}]},
                {"@type": google("RetryInfo"), "retryDelay": "7s"},
            ]);
        }
        (_, _, Some(reason)) => {
            error["details"] = json!([{"@type": google("ErrorInfo"), "reason": reason, "domain": "googleapis.com"}]);
        }
        (_, Some(field), _) => {
            error["details"] = json!([{"@type": google("BadRequest"), "fieldViolations": [{"field": field, "description": refusal.message}]}]);
        }
        _ => {}
    }
    Answer::json(refusal.status, json!({"error": error}).to_string().into())
}

struct Writer {
    model: String,
    count: usize,
}

impl Writer {
    fn response(&self, candidates: &[Value], usage: &Usage) -> Value {
        json!({
            "candidates": candidates, "usageMetadata": usage_json(usage),
            "modelVersion": self.model, "responseId": "mock-response",
        })
    }

    /// A response whose answers have these parts.
    fn parts(&self, parts: &[Value], finish: Option<Finish>, usage: &Usage) -> Value {
        let candidate = |index: usize| {
            let mut candidate =
                json!({"content": {"parts": parts, "role": "model"}, "index": index});
            if let Some(finish) = finish {
                candidate["finishReason"] = reason(finish).into();
            }
            if finish == Some(Finish::Filter) {
                candidate["safetyRatings"] = json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
            }
            candidate
        };
        let candidates: Vec<Value> = (0..self.count).map(candidate).collect();
        self.response(&candidates, usage)
    }

    fn part(&self, number: usize, part: &Part) -> Value {
        match part {
            Part::Thought(pieces) => json!({"text": pieces.concat(), "thought": true}),
            // After a thought, the text has its signature.
            Part::Text(pieces) if number > 0 => {
                json!({"text": pieces.concat(), "thoughtSignature": SIGNATURE})
            }
            Part::Text(pieces) | Part::Refusal(pieces) => json!({"text": pieces.concat()}),
            Part::Call(name, arguments) => {
                let args: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
                let mut part = json!({"functionCall": {"name": name, "args": args}});
                if self.model.ends_with("signed-tool") {
                    part["thoughtSignature"] = SIGNATURE.into();
                }
                part
            }
        }
    }

    /// A question that is blocked has no answer at all.
    fn blocked(&self, usage: &Usage) -> Value {
        json!({
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": usage.input, "totalTokenCount": usage.input},
            "modelVersion": self.model, "responseId": "mock-response",
        })
    }
}

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        if reply.finish == Finish::Refusal {
            return self.blocked(&reply.usage).to_string().into();
        }
        let parts: Vec<Value> = reply
            .parts
            .iter()
            .enumerate()
            .map(|(number, part)| self.part(number, part))
            .collect();
        self.parts(&parts, Some(reply.finish), &reply.usage)
            .to_string()
            .into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        if reply.finish == Finish::Refusal {
            return vec![event(&self.blocked(&reply.usage))];
        }
        let thoughts = reply
            .parts
            .iter()
            .any(|part| matches!(part, Part::Thought(_)));
        let mut parts = Vec::new();
        for (number, part) in reply.parts.iter().enumerate() {
            match part {
                Part::Thought(pieces) => {
                    parts.extend(
                        pieces
                            .iter()
                            .map(|piece| json!({"text": piece, "thought": true})),
                    );
                }
                Part::Text(pieces) | Part::Refusal(pieces) => {
                    parts.extend(pieces.iter().map(|piece| json!({"text": piece})));
                }
                // Arguments come whole.
                Part::Call(..) => parts.push(self.part(number, part)),
            }
        }
        // The signature of the thoughts comes with the last part of the text.
        if let Some(last) = parts.last_mut().filter(|_| thoughts) {
            last["thoughtSignature"] = SIGNATURE.into();
        }
        let last = parts.len().saturating_sub(1);
        let events = parts.iter().enumerate().map(|(number, part)| {
            let finish = (number == last).then_some(reply.finish);
            event(&self.parts(std::slice::from_ref(part), finish, &reply.usage))
        });
        events.collect()
    }

    fn opening(&self) -> Vec<Bytes> {
        Vec::new()
    }

    fn text(&self, number: usize, content: &str) -> Bytes {
        event(&self.parts(&[json!({"text": content})], None, &Usage::plain(number + 1)))
    }

    fn closing(&self, count: usize, _: &dyn Fn() -> String) -> Vec<Bytes> {
        let end = json!({"text": ""});
        vec![event(&self.parts(
            &[end],
            Some(Finish::Stop),
            &Usage::plain(count),
        ))]
    }

    fn failure(&self, _: usize) -> Bytes {
        event(
            &json!({"error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}}),
        )
    }
}

/// Google ends the lines of its events with CR and LF.
fn event(data: &Value) -> Bytes {
    format!("data: {data}\r\n\r\n").into()
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        // A call is an ordinary end.
        Finish::Stop | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter => "SAFETY",
        Finish::Refusal => "PROHIBITED_CONTENT",
    }
}

/// Thoughts are not among the candidates' tokens.
fn usage_json(usage: &Usage) -> Value {
    let mut counts = json!({
        "promptTokenCount": usage.input, "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.total(),
    });
    if usage.cached > 0 {
        counts["cachedContentTokenCount"] = json!(usage.cached);
    }
    if usage.reasoning > 0 {
        counts["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    counts
}
