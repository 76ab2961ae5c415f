//! Requests in Google's form.

use lockgate_dialects::gemini::{decode_request, encode_request, support};
use lockgate_dialects::{
    Content, Extra, Format, Notes, Part, Reasoning, Request, Role, Source, Tool, ToolChoice, Turn,
};
use proptest::prelude::*;

use super::arbitrary::{any_text, request};
use super::{json, target};

fn encode(request: &Request<'_>, model: &str) -> (String, Vec<String>) {
    let mut notes = Notes::new("Google Gemini", support);
    let body = encode_request(request, &target(model), &mut notes).unwrap();
    (String::from_utf8(body).unwrap(), notes.into_warnings())
}

proptest! {
    #[test]
    fn what_is_said_is_understood((request, model) in request()) {
        let (body, warnings) = encode(&request, model);
        prop_assert_eq!(warnings, Vec::<String>::new(), "{}", body);
        let understood = decode_request(&body);
        prop_assert_eq!(understood.as_ref(), Ok(&request), "{}", body);
    }

    #[test]
    fn nothing_panics_on_any_text(body in "(?s).{0,64}") {
        let _ = decode_request(&body);
    }

    #[test]
    fn nothing_panics_on_damaged_requests(
        (request, model) in request(), from in 0_usize..4_000, length in 0_usize..8, put in any_text()
    ) {
        let mut characters: Vec<char> = encode(&request, model).0.chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        characters.splice(from..to, put.chars());
        let body: String = characters.into_iter().collect();
        if let Ok(request) = decode_request(&body) {
            let mut notes = Notes::new("Google Gemini", support);
            let _ = encode_request(&request, &target(model), &mut notes);
        }
    }
}

fn said(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts,
    }
}

#[test]
fn either_spelling_is_read() {
    let request = decode_request(
        r#"{"system_instruction":{"parts":{"text":"Be brief."}},
            "contents":[{"parts":[{"text":"What is this?"},{"inline_data":{"mime_type":"image/png","data":"AAAA"}}]}],
            "tools":[{"function_declarations":[{"name":"f","parameters_json_schema":{"type":"object"}}],"google_search":{}}],
            "tool_config":{"function_calling_config":{"mode":"any","allowed_function_names":["f"]}},
            "generation_config":{"max_output_tokens":5,"stop_sequences":["x"],"thinking_config":{"thinking_level":"LOW","include_thoughts":true},
                "response_mime_type":"application/json","response_json_schema":{"type":"object"}},
            "safety_settings":[]}"#,
    )
    .unwrap();
    let expected = Request {
        turns: vec![
            said(Role::System, vec![Content::text("Be brief.").into()]),
            said(
                Role::User,
                vec![
                    Content::text("What is this?").into(),
                    Content::Image {
                        source: Source::Base64 {
                            media_type: "image/png".into(),
                            data: "AAAA".into(),
                        },
                        detail: None,
                    }
                    .into(),
                ],
            ),
        ],
        tools: vec![
            Tool::Function {
                name: "f".into(),
                description: None,
                parameters: Some(json(r#"{"type":"object"}"#)),
                strict: None,
                cache: None,
            },
            Tool::Other {
                kind: "google_search".into(),
                value: json(r#"{"google_search":{}}"#),
            },
        ],
        tool_choice: Some(ToolChoice::Named("f".into())),
        max_tokens: Some(5),
        stop: vec!["x".into()],
        format: Some(Format::Schema {
            name: None,
            description: None,
            schema: json(r#"{"type":"object"}"#),
            strict: None,
        }),
        reasoning: Some(Reasoning {
            effort: Some("low".into()),
            summary: Some("auto".into()),
            ..Reasoning::default()
        }),
        extra: vec![Extra {
            name: "safety_settings".into(),
            value: json("[]"),
        }],
        ..Request::default()
    };
    assert_eq!(request, expected);
}

/// Models before Gemini 3 number no calls; results go by the name, in order.
#[test]
fn calls_without_ids_find_their_results() {
    let request = decode_request(
        r#"{"contents":[
            {"role":"user","parts":[{"text":"Hi"}]},
            {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f","args":{"a":2}}}]},
            {"role":"user","parts":[
                {"functionResponse":{"name":"f","response":{"output":"one"}}},
                {"functionResponse":{"name":"f","response":{"a":2,"b":3}}},
                {"functionResponse":{"name":"g","response":{"error":"no"}}},
                {"text":"Well?"}]}]}"#,
    )
    .unwrap();
    let call = |id: &'static str, name: &'static str, arguments: &'static str| {
        Part::from(Content::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let result = |id: &'static str, name: &'static str, text: &'static str, error| {
        Part::from(Content::ToolResult {
            id: id.into(),
            name: Some(name.into()),
            parts: vec![Content::text(text).into()],
            error,
        })
    };
    assert_eq!(
        request.turns[1..],
        [
            said(
                Role::Assistant,
                vec![
                    call("call_1_0", "f", r#"{"a":1}"#),
                    call("call_1_1", "g", "{}"),
                    call("call_1_2", "f", r#"{"a":2}"#),
                ]
            ),
            said(
                Role::Tool,
                vec![
                    result("call_1_0", "f", "one", false),
                    result("call_1_2", "f", r#"{"a":2,"b":3}"#, false),
                    result("call_1_1", "g", "no", true),
                ]
            ),
            said(Role::User, vec![Content::text("Well?").into()]),
        ]
    );
}

/// Google's own kind of schema is JSON Schema in other words.
#[test]
fn schemas_of_openapi_become_json_schema() {
    let request = decode_request(
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":{
            "type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true,"minLength":"1"},"type":{"anyOf":[{"type":"ARRAY","items":{"type":"INTEGER","maximum":9007199254740993}}]}},
            "required":["a"],"propertyOrdering":["a"]}}]}],
            "generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"NUMBER"}}}"#,
    )
    .unwrap();
    let Tool::Function { parameters, .. } = &request.tools[0] else {
        panic!("{:?}", request.tools);
    };
    assert_eq!(
        parameters.as_ref().unwrap().as_str(),
        concat!(
            r#"{"type":"object","properties":{"a":{"type":["string","null"],"minLength":1},"#,
            r#""type":{"anyOf":[{"type":"array","items":{"type":"integer","maximum":9007199254740993}}]}},"#,
            r#""required":["a"],"propertyOrdering":["a"]}"#
        )
    );
    assert!(matches!(
        request.format,
        Some(Format::Schema { schema, .. }) if schema.as_str() == r#"{"type":"number"}"#
    ));
}

#[test]
fn what_is_wrong_is_named() {
    let nested = format!(
        r#"{{"contents":[],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{}1{}}}]}}]}}"#,
        r#"{"items":"#.repeat(5_000),
        "}".repeat(5_000)
    );
    let deep = decode_request(&nested).unwrap_err();
    assert_eq!(deep.message, "is nested too deeply");
    for (body, problem) in [
        ("[]", "The body must be an object"),
        ("{}", "contents is missing"),
        (r#"{"contents":7}"#, "contents must be an array"),
        (
            r#"{"contents":[{"role":"assistant","parts":[]}]}"#,
            "contents[0].role must be user or model",
        ),
        (
            r#"{"contents":[{"parts":[{"text":1}]}]}"#,
            "contents[0].parts[0].text must be text",
        ),
        (
            r#"{"contents":[{"parts":[{}]}]}"#,
            "contents[0].parts[0] must have text, data or a function's call or response",
        ),
        (
            r#"{"contents":[{"parts":[{"text":"a","videoMetadata":{}}]}]}"#,
            "contents[0].parts[0].videoMetadata is not known here",
        ),
        (
            r#"{"contents":[{"parts":[{"executableCode":{}}]}]}"#,
            "contents[0].parts[0] must have text, data or a function's call or response",
        ),
        (
            r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#,
            "contents[0].parts[0].functionResponse.name must be that of a function called before",
        ),
        (
            r#"{"contents":[],"generationConfig":{"temperature":"hot"}}"#,
            "generationConfig.temperature must be a number",
        ),
        (
            r#"{"contents":[],"toolConfig":{"functionCallingConfig":{"mode":"SOME"}}}"#,
            "toolConfig.functionCallingConfig.mode must be AUTO, ANY, NONE or VALIDATED",
        ),
        (
            r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":{},"parametersJsonSchema":{}}]}]}"#,
            "tools[0].functionDeclarations[0].parameters cannot be beside parametersJsonSchema",
        ),
    ] {
        assert_eq!(decode_request(body).unwrap_err().to_string(), problem);
    }
}
