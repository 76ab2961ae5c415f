//! What requests of other dialects become.

use lockgate_dialects::gemini::{encode_request, support};
use lockgate_dialects::{
    Cache, Content, Extra, Format, Json, Notes, Part, Reasoning, ReasoningMode, Request, Role,
    Source, Tool, ToolChoice, Turn, Unsupported,
};

use super::{json, target};

const NEW: &str = "gemini-3.5-flash";
const OLD: &str = "gemini-2.5-flash";

fn encode(request: &Request<'_>, model: &str) -> Result<(String, Vec<String>), Unsupported> {
    let mut notes = Notes::new("Google Gemini", support);
    let body = encode_request(request, &target(model), &mut notes)?;
    Ok((String::from_utf8(body).unwrap(), notes.into_warnings()))
}

#[track_caller]
fn becomes(request: &Request<'_>, model: &str, expected: &str, warnings: &[&str]) {
    let (body, warned) = encode(request, model).unwrap();
    assert_eq!(body, expected);
    assert_eq!(warned, warnings);
}

#[track_caller]
fn refused(request: &Request<'_>, model: &str, expected: &str) {
    assert_eq!(encode(request, model).unwrap_err().to_string(), expected);
}

fn said(role: Role, parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts: parts.into_iter().map(Part::from).collect(),
    }
}

fn says(role: Role, text: &'static str) -> Turn<'static> {
    said(role, vec![Content::text(text)])
}

fn hi() -> Request<'static> {
    Request {
        turns: vec![says(Role::User, "Hi")],
        ..Request::default()
    }
}

fn call(
    id: &'static str,
    name: &'static str,
    arguments: &'static str,
    signature: Option<&'static str>,
) -> Content<'static> {
    Content::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: signature.map(Into::into),
    }
}

fn result(id: &'static str, text: &'static str, error: bool) -> Content<'static> {
    Content::ToolResult {
        id: id.into(),
        name: None,
        parts: vec![Content::text(text).into()],
        error,
    }
}

fn proof(signature: &'static str) -> Content<'static> {
    Content::Reasoning {
        text: "".into(),
        signature: Some(signature.into()),
        id: None,
    }
}

const HI: &str = r#""contents":[{"role":"user","parts":[{"text":"Hi"}]}]"#;

#[test]
fn instructions_have_a_place_of_their_own() {
    let request = Request {
        turns: vec![
            says(Role::System, "A"),
            says(Role::User, "Hi"),
            says(Role::Assistant, "Hello"),
            says(Role::Developer, "B"),
            says(Role::User, "Bye"),
        ],
        ..Request::default()
    };
    becomes(
        &request,
        NEW,
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Hello"}]},"#,
            r#"{"role":"user","parts":[{"text":"Bye"}]}],"systemInstruction":{"parts":[{"text":"A"},{"text":"B"}]}}"#
        ),
        &[],
    );
}

/// As many responses as calls, in one content with nothing beside them; text as it is, never quoted twice.
#[test]
fn results_stand_together_and_as_they_are() {
    let request = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(
                Role::Assistant,
                vec![
                    call("a", "f", r#"{"n":9007199254740993}"#, Some("c2ln")),
                    call("b", "g", "", None),
                    call("c", "f", "{}", None),
                ],
            ),
            said(
                Role::Tool,
                vec![
                    result("a", r#"{"n":1.10}"#, false),
                    result("b", r#""quoted" text"#, false),
                    result("c", "no such city", true),
                ],
            ),
            says(Role::User, "Well?"),
        ],
        ..Request::default()
    };
    becomes(
        &request,
        NEW,
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":["#,
            r#"{"functionCall":{"id":"a","name":"f","args":{"n":9007199254740993}},"thoughtSignature":"c2ln"},"#,
            r#"{"functionCall":{"id":"b","name":"g","args":{}}},{"functionCall":{"id":"c","name":"f","args":{}}}]},"#,
            r#"{"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"n":1.10}}},"#,
            r#"{"functionResponse":{"id":"b","name":"g","response":{"result":"\"quoted\" text"}}},"#,
            r#"{"functionResponse":{"id":"c","name":"f","response":{"error":"no such city"}}}]},"#,
            r#"{"role":"user","parts":[{"text":"Well?"}]}]}"#
        ),
        &[],
    );
}

/// Gemini 3 refuses calls of the current turn without a signature; one that came from elsewhere never had any.
#[test]
fn calls_from_elsewhere_say_that_they_have_no_signature() {
    let request = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(
                Role::Assistant,
                vec![call("a", "f", "{}", None), call("b", "f", "{}", None)],
            ),
            said(
                Role::Tool,
                vec![result("a", "1", false), result("b", "2", false)],
            ),
        ],
        ..Request::default()
    };
    let (body, _) = encode(&request, NEW).unwrap();
    assert!(
        body.contains(concat!(
            r#"[{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"},"#,
            r#"{"functionCall":{"id":"b","name":"f","args":{}}}]"#
        )),
        "{body}"
    );
    let (body, _) = encode(&request, OLD).unwrap();
    assert!(!body.contains("thoughtSignature"), "{body}");
}

#[test]
fn signatures_stand_on_their_texts() {
    // Whoever proved this thought, it was not Google.
    let thinks = Content::Reasoning {
        text: "Hm.".into(),
        signature: Some("ErUB".into()),
        id: None,
    };
    for (parts, expected) in [
        (
            vec![thinks, Content::text("A"), proof("cw==")],
            r#"[{"text":"Hm.","thought":true},{"text":"A","thoughtSignature":"cw=="}]"#,
        ),
        // As clients send it back that put thoughts first.
        (
            vec![proof("cw=="), Content::text("A")],
            r#"[{"text":"A","thoughtSignature":"cw=="}]"#,
        ),
        (
            vec![proof("cw=="), Content::text("A"), proof("dA==")],
            r#"[{"text":"","thoughtSignature":"cw=="},{"text":"A","thoughtSignature":"dA=="}]"#,
        ),
        (
            vec![Content::text("A"), proof("cw=="), proof("dA==")],
            r#"[{"text":"A","thoughtSignature":"cw=="},{"text":"","thoughtSignature":"dA=="}]"#,
        ),
        (
            vec![Content::Refusal { text: "No.".into() }],
            r#"[{"text":"No."}]"#,
        ),
    ] {
        let request = Request {
            turns: vec![
                says(Role::User, "Hi"),
                said(Role::Assistant, parts),
                says(Role::User, "And?"),
            ],
            ..Request::default()
        };
        let (body, warnings) = encode(&request, NEW).unwrap();
        let expected = format!(r#"{{"role":"model","parts":{expected}}}"#);
        assert!(body.contains(&expected), "{body}");
        assert_eq!(warnings, [""; 0]);
    }
}

/// Google refuses proofs that are not its own.
#[test]
fn proofs_of_openai_stay_behind() {
    let request = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(
                Role::Assistant,
                vec![proof("gAAAAABotgQa"), Content::text("A")],
            ),
            says(Role::User, "And?"),
        ],
        ..Request::default()
    };
    let (body, warnings) = encode(&request, NEW).unwrap();
    assert!(
        body.contains(r#"{"role":"model","parts":[{"text":"A"}]}"#),
        "{body}"
    );
    assert_eq!(
        warnings,
        [
            "`reasoning.encrypted_content` was left out for Google Gemini: only the provider that sealed it can use it"
        ]
    );
}

/// Google answers 400 to a content without parts.
#[test]
fn contents_without_parts_are_not_sent() {
    let request = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(
                Role::Assistant,
                vec![Content::Redacted { data: "x".into() }],
            ),
            says(Role::User, "Hi again"),
        ],
        ..Request::default()
    };
    becomes(
        &request,
        NEW,
        r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"user","parts":[{"text":"Hi again"}]}]}"#,
        &[
            "`redacted_thinking` was left out for Google Gemini: it cannot read what another provider sealed",
        ],
    );
}

#[test]
fn pictures_and_files() {
    let image = |source| Content::Image {
        source,
        detail: Some("auto".into()),
    };
    let file = |source| Content::File {
        source,
        name: Some("a".into()),
    };
    let request = Request {
        turns: vec![said(
            Role::User,
            vec![
                image(Source::Url("https://example.com/a.png?b".into())),
                image(Source::Url("https://example.com/a".into())),
                image(Source::Base64 {
                    media_type: "image/png".into(),
                    data: "AAAA".into(),
                }),
                file(Source::Text("hi".into())),
                file(Source::Id("files/abc".into())),
                file(Source::Id("abc".into())),
                file(Source::Id("https://example.com/files/abc".into())),
                Content::Audio {
                    data: "AAAA".into(),
                    format: "mp3".into(),
                },
            ],
        )],
        ..Request::default()
    };
    becomes(
        &request,
        NEW,
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"image/png","fileUri":"https://example.com/a.png?b"}},"#,
            r#"{"fileData":{"fileUri":"https://example.com/a"}},{"inlineData":{"mimeType":"image/png","data":"AAAA"}},"#,
            r#"{"inlineData":{"mimeType":"text/plain","data":"aGk="}},"#,
            r#"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}},"#,
            r#"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}},"#,
            r#"{"fileData":{"fileUri":"https://example.com/files/abc"}},{"inlineData":{"mimeType":"audio/mp3","data":"AAAA"}}]}]}"#
        ),
        &[],
    );
    let plain = image(Source::Url("http://example.com/a.png".into()));
    let request = Request {
        turns: vec![said(Role::User, vec![plain])],
        ..Request::default()
    };
    refused(
        &request,
        NEW,
        "Google Gemini cannot do what `image_url.url` asks for (images by URL: it fetches https URLs only).",
    );
}

fn tool(name: &'static str, strict: Option<bool>) -> Tool<'static> {
    Tool::Function {
        name: name.into(),
        description: None,
        parameters: Some(json(r#"{"type":"object","$defs":{"x":{}},"x":1e400}"#)),
        strict,
        cache: None,
    }
}

#[test]
fn tools_are_declared_as_they_are() {
    let bare = Tool::Function {
        name: "bare".into(),
        description: Some("Does it.".into()),
        parameters: None,
        strict: None,
        cache: None,
    };
    let search = Tool::Other {
        kind: "googleSearch".into(),
        value: json(r#"{"googleSearch":{}}"#),
    };
    let request = Request {
        tools: vec![tool("f", None), search, bare],
        ..hi()
    };
    becomes(
        &request,
        NEW,
        &format!(
            concat!(
                r#"{{{HI},"tools":[{{"functionDeclarations":[{{"name":"f","parametersJsonSchema":{{"type":"object","$defs":{{"x":{{}}}},"x":1e400}}}},"#,
                r#"{{"name":"bare","description":"Does it."}}]}},{{"googleSearch":{{}}}}]}}"#
            ),
            HI = HI
        ),
        &[],
    );
    let foreign = Tool::Other {
        kind: "web_search".into(),
        value: json(r#"{"type":"web_search"}"#),
    };
    refused(
        &Request {
            tools: vec![foreign],
            ..hi()
        },
        NEW,
        "Google Gemini cannot do what `tools[].type: web_search` asks for (the provider's own tools: it is not a tool of Google's).",
    );
    refused(
        &Request {
            tools: vec![tool("f", None)],
            parallel_tool_calls: Some(false),
            ..hi()
        },
        NEW,
        "Google Gemini cannot do what `parallel_tool_calls` asks for (`parallel_tool_calls: false`: it has no switch for it).",
    );
}

#[test]
fn choices_of_tools() {
    let names = || vec!["f".into(), "g".into()];
    for (choice, strict, expected) in [
        (None, None, ""),
        (None, Some(true), r#"{"mode":"VALIDATED"}"#),
        (Some(ToolChoice::Auto), None, r#"{"mode":"AUTO"}"#),
        (
            Some(ToolChoice::Auto),
            Some(true),
            r#"{"mode":"VALIDATED"}"#,
        ),
        (Some(ToolChoice::None), Some(true), r#"{"mode":"NONE"}"#),
        (Some(ToolChoice::Required), None, r#"{"mode":"ANY"}"#),
        (
            Some(ToolChoice::Named("f".into())),
            None,
            r#"{"mode":"ANY","allowedFunctionNames":["f"]}"#,
        ),
        (
            Some(ToolChoice::Allowed {
                names: names(),
                required: true,
            }),
            None,
            r#"{"mode":"ANY","allowedFunctionNames":["f","g"]}"#,
        ),
        (
            Some(ToolChoice::Allowed {
                names: names(),
                required: false,
            }),
            None,
            r#"{"mode":"VALIDATED","allowedFunctionNames":["f","g"]}"#,
        ),
    ] {
        let request = Request {
            tools: vec![tool("f", strict), tool("g", None)],
            tool_choice: choice,
            ..hi()
        };
        let (body, warnings) = encode(&request, NEW).unwrap();
        let config = format!(r#","toolConfig":{{"functionCallingConfig":{expected}}}}}"#);
        let expected = if expected.is_empty() { "}]}" } else { &config };
        assert!(body.ends_with(expected), "{body}");
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn thinking_depends_on_the_model() {
    let effort = |word: &'static str| Reasoning {
        effort: Some(word.into()),
        ..Reasoning::default()
    };
    let tokens = |count| Reasoning {
        mode: ReasoningMode::On,
        budget_tokens: Some(count),
        ..Reasoning::default()
    };
    let mode = |mode| Reasoning {
        mode,
        ..Reasoning::default()
    };
    let told = Reasoning {
        summary: Some("detailed".into()),
        ..effort("low")
    };
    let off = "reasoning was lowered as far as the model allows: it cannot be switched off";
    let high = "the reasoning effort was lowered to high, the most that there is";
    for (reasoning, model, expected, warnings) in [
        (effort("low"), NEW, r#"{"thinkingLevel":"LOW"}"#, vec![]),
        (effort("low"), OLD, r#"{"thinkingBudget":1024}"#, vec![]),
        (
            effort("max"),
            NEW,
            r#"{"thinkingLevel":"HIGH"}"#,
            vec![high],
        ),
        (effort("max"), OLD, r#"{"thinkingBudget":24576}"#, vec![]),
        (
            effort("none"),
            NEW,
            r#"{"thinkingLevel":"MINIMAL"}"#,
            vec![],
        ),
        (effort("none"), OLD, r#"{"thinkingBudget":0}"#, vec![]),
        (
            mode(ReasoningMode::Off),
            "gemini-2.5-pro",
            r#"{"thinkingBudget":128}"#,
            vec![off],
        ),
        (
            mode(ReasoningMode::Off),
            "models/gemini-3.1-pro",
            r#"{"thinkingLevel":"LOW"}"#,
            vec![off],
        ),
        (
            mode(ReasoningMode::On),
            OLD,
            r#"{"thinkingBudget":-1}"#,
            vec![],
        ),
        (mode(ReasoningMode::Adaptive), NEW, "", vec![]),
        (tokens(2_048), NEW, r#"{"thinkingBudget":2048}"#, vec![]),
        (
            tokens(99_999),
            NEW,
            r#"{"thinkingBudget":32768}"#,
            vec!["the reasoning budget was lowered to 32768, the most that the model takes"],
        ),
        (
            told,
            NEW,
            r#"{"thinkingLevel":"LOW","includeThoughts":true}"#,
            vec![],
        ),
        (
            effort("some"),
            NEW,
            "",
            vec![
                "`reasoning_effort` was left out for Google Gemini: it knows minimal, low, medium and high",
            ],
        ),
    ] {
        let request = Request {
            reasoning: Some(reasoning),
            ..hi()
        };
        let config = if expected.is_empty() {
            String::new()
        } else {
            format!(r#","generationConfig":{{"thinkingConfig":{expected}}}"#)
        };
        becomes(&request, model, &format!("{{{HI}{config}}}"), &warnings);
    }
}

#[test]
fn settings_and_what_becomes_of_the_rest() {
    let mut request = Request {
        max_tokens: Some(100_000),
        stop: vec!["a".into(), "b".into()],
        choices: Some(2),
        logprobs: Some(true),
        top_logprobs: Some(3),
        format: Some(Format::Schema {
            name: Some("n".into()),
            description: Some("d".into()),
            schema: json(r#"{"type":"object"}"#),
            strict: Some(true),
        }),
        metadata: Some(json("{}")),
        user: Some("u".into()),
        service_tier: Some("default".into()),
        store: Some(false),
        extra: ["safety_settings", "never_heard_of"]
            .into_iter()
            .map(|name| Extra {
                name: name.into(),
                value: json("[]"),
            })
            .collect(),
        ..hi()
    };
    request.sampling.temperature = Some(json("0.10"));
    request.sampling.top_p = Some(json("1"));
    request.sampling.top_k = Some(json("40"));
    request.sampling.seed = Some(json("9007199254740993"));
    request.sampling.logit_bias = Some(json(r#"{"1":2}"#));
    request.turns[0].name = Some("ada".into());
    request.turns[0].parts[0].cache = Some(Cache { ttl: None });
    let left_out =
        |field: &str, why: &str| format!("`{field}` was left out for Google Gemini: {why}");
    let warnings = [
        left_out("messages[].name", "its participants have no names"),
        left_out(
            "cache_control",
            "it caches by itself, or what `cachedContent` names",
        ),
        left_out("seed", "it takes whole numbers of 32 bits"),
        left_out("logit_bias", "it has no such field"),
        "`max_tokens` was lowered to 65536, the most that the model writes".to_owned(),
        "`response_format.json_schema.description` was left out for Google Gemini".to_owned(),
        left_out("metadata", "it has no field for it"),
        left_out("user", "it has no field for it"),
    ];
    becomes(
        &request,
        NEW,
        &format!(
            concat!(
                r#"{{{HI},"generationConfig":{{"temperature":0.10,"topP":1,"topK":40,"maxOutputTokens":65536,"#,
                r#""stopSequences":["a","b"],"candidateCount":2,"responseLogprobs":true,"logprobs":3,"#,
                r#""responseMimeType":"application/json","responseJsonSchema":{{"type":"object"}}}},"#,
                r#""serviceTier":"standard","store":false,"safetySettings":[]}}"#
            ),
            HI = HI
        ),
        &warnings.each_ref().map(String::as_str),
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let broken = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(Role::Assistant, vec![call("a", "f", "{", None)]),
            said(Role::Tool, vec![result("a", "1", false)]),
        ],
        ..Request::default()
    };
    refused(
        &broken,
        NEW,
        "Google Gemini cannot do what `messages[].tool_calls[].function.arguments` asks for (several turns: it is not a JSON object).",
    );
    let lost = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(Role::Tool, vec![result("a", "1", false)]),
        ],
        ..Request::default()
    };
    refused(
        &lost,
        NEW,
        "Google Gemini cannot do what `messages[].tool_call_id` asks for (tool results: no call before it has this id, and it needs the function's name).",
    );
    let stops = Request {
        stop: ["1", "2", "3", "4", "5", "6"].map(Into::into).into(),
        ..hi()
    };
    refused(
        &stops,
        NEW,
        "Google Gemini cannot do what `stop` asks for (stop texts: it takes five stop texts at most).",
    );
}

/// Only older models go on with a turn of their own.
#[test]
fn a_turn_to_go_on_with() {
    let request = Request {
        turns: vec![says(Role::User, "Hi"), says(Role::Assistant, "Once")],
        ..Request::default()
    };
    assert!(encode(&request, OLD).is_ok());
    assert!(encode(&request, "gemini-3-flash-preview").is_ok());
    refused(
        &request,
        NEW,
        "Google Gemini cannot do what `messages` asks for (assistant turn at the end (prefill): only Gemini 2, 3 and 3.1 go on with a turn of the model's).",
    );
}

#[test]
fn pictures_in_results_need_a_newer_model() {
    let image = |source| -> Part<'static> {
        Content::Image {
            source,
            detail: None,
        }
        .into()
    };
    let request = |source| Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(Role::Assistant, vec![call("a", "f", "{}", Some("cw=="))]),
            said(
                Role::Tool,
                vec![Content::ToolResult {
                    id: "a".into(),
                    name: None,
                    parts: vec![Content::text("See").into(), image(source)],
                    error: false,
                }],
            ),
        ],
        ..Request::default()
    };
    let here = request(Source::Base64 {
        media_type: "image/png".into(),
        data: "AAAA".into(),
    });
    let (body, _) = encode(&here, NEW).unwrap();
    assert!(
        body.contains(concat!(
            r#"{"functionResponse":{"id":"a","name":"f","response":{"result":"See"},"#,
            r#""parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}"#
        )),
        "{body}"
    );
    assert!(encode(&here, OLD).is_err());
    assert!(
        encode(
            &request(Source::Url("https://example.com/a.png".into())),
            NEW
        )
        .is_err()
    );
}

/// A text that is an object in form stays as it is, whatever its numbers.
#[test]
fn digits_survive() {
    let text = r#"{"a":1e400,"b":0.1000000000000000055511151231257827}"#;
    assert!(Json::parse(text.into()).is_some());
    let request = Request {
        turns: vec![
            says(Role::User, "Hi"),
            said(Role::Assistant, vec![call("a", "f", text, Some("cw=="))]),
            said(Role::Tool, vec![result("a", text, false)]),
        ],
        ..Request::default()
    };
    let (body, _) = encode(&request, NEW).unwrap();
    assert_eq!(body.matches(text).count(), 2, "{body}");
}
