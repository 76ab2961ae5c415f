use serde_json::{Value, json};

use crate::{PNG, Sender, parameters, support};

const HEADERS: &str = "x-goog-api-key: AIza-test\r\n";
const PATH: &str = "/v1beta/models/gemini-2.5-flash:generateContent";

fn conversation() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [
            {"name": "get_weather", "description": "The weather.", "parameters": parameters()},
            {"name": "no_arguments", "parametersJsonSchema": {"type": "object", "$defs": {}, "additionalProperties": false}},
        ]}],
        "generationConfig": {"temperature": 2, "topK": 3, "seed": 7, "maxOutputTokens": 100, "stopSequences": ["."]},
        "contents": [
            {"role": "user", "parts": [{"text": "The weather here?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Zürich"}}}, {"functionCall": {"name": "no_arguments"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"output": "sun"}}}, {"functionResponse": {"name": "no_arguments", "response": {}}}]},
        ],
    })
}

fn sender() -> Sender {
    Sender::new(PATH, HEADERS, "/error/message", conversation())
}

#[test]
fn keys() {
    let gemini = sender();
    let body = conversation().to_string();
    for (headers, status, word) in [
        ("", 403, "PERMISSION_DENIED"),
        // Not 401.
        ("x-goog-api-key: revoked\r\n", 400, "INVALID_ARGUMENT"),
        ("x-goog-api-key: forbidden\r\n", 403, "PERMISSION_DENIED"),
    ] {
        let answer = support::request(&gemini.provider, "POST", PATH, headers, &body);
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["status"], word);
    }
    let answer = support::request(
        &gemini.provider,
        "POST",
        PATH,
        "x-goog-api-key: revoked\r\n",
        &body,
    );
    assert_eq!(
        answer.json()["error"]["details"][0]["reason"],
        "API_KEY_INVALID"
    );
}

#[test]
fn fields() {
    let gemini = sender();
    gemini.refuses(
        &[("/messages", json!([]))],
        "Invalid JSON payload received. Unknown name \"messages\": Cannot find field.",
    );
    gemini.refuses(
        &[("/generationConfig/maxTokens", json!(1))],
        "Unknown name \"maxTokens\" at 'generation_config': Cannot find field.",
    );
    gemini.refuses(
        &[("/contents/0/parts/0/type", json!("text"))],
        "Unknown name \"type\" at 'contents[0].parts[0]'",
    );
    gemini.refuses(&[("/contents", json!([]))], "contents is not specified");
    gemini.refuses(
        &[("/contents/0/role", json!("assistant"))],
        "Please use a valid role: user, model.",
    );
    gemini.refuses(
        &[("/contents/0/parts", json!([]))],
        "contents.parts must not be empty",
    );
    gemini.refuses(
        &[("/contents/0/parts/0", json!({}))],
        "required oneof field 'data' must have one initialized field",
    );
    gemini.refuses(
        &[("/contents/0/parts/0/inlineData", json!({}))],
        "oneof field 'data' is already set",
    );
    gemini.refuses(
        &[("/contents/0/parts/0/text", json!(""))],
        "empty text parameter",
    );
    gemini.refuses(
        &[("/systemInstruction", json!("Be brief."))],
        "Invalid value at 'system_instruction'",
    );
}

#[test]
fn order() {
    let gemini = sender();
    gemini.refuses(
        &[("/contents/2/parts/1", Value::Null)],
        "number of function response parts is equal to the number of function call parts",
    );
    let second = json!({"role": "user", "parts": [{"functionResponse": {"name": "no_arguments", "response": {}}}]});
    gemini.refuses(
        &[
            ("/contents/2/parts/1", Value::Null),
            ("/contents/-", second),
        ],
        "number of function response parts",
    );
    gemini.refuses(
        &[("/contents/1", Value::Null)],
        "function response turn comes immediately after a function call turn",
    );
    gemini.refuses(
        &[("/contents/0", Value::Null)],
        "function call turn comes immediately after a user turn",
    );
    gemini.refuses(
        &[("/contents/2", Value::Null)],
        "ends with a user role or a function response",
    );
    gemini.refuses(
        &[("/contents/2/parts/0/functionResponse/name", json!("call_1"))],
        "names match",
    );
    gemini.refuses(
        &[(
            "/contents/2/parts/0/functionResponse/response",
            json!("sun"),
        )],
        "google.protobuf.Struct",
    );
    gemini.refuses(
        &[("/contents/1/parts/0/functionCall/args", json!("{}"))],
        "google.protobuf.Struct",
    );
    gemini.takes(&[("/contents/1/parts/0/functionCall/id", json!("x"))]);
}

#[test]
fn signatures() {
    let path = "/v1beta/models/gemini-3-pro:generateContent";
    let mut good = conversation();
    good["contents"][1]["parts"][0]["thoughtSignature"] = mock_provider::THOUGHT_SIGNATURE.into();
    let gemini = Sender::new(path, HEADERS, "/error/message", good);
    let signature = "/contents/1/parts/0/thoughtSignature";
    gemini.refuses(&[(signature, Value::Null)], "missing a thought_signature");
    gemini.refuses(&[(signature, json!("*"))], "Base64 decoding failed");
    gemini.refuses(
        &[(signature, json!("bm90IG1pbmU="))],
        "Thought signature is not valid",
    );
    // Those of earlier turns are not looked for.
    let next = [
        json!({"role": "model", "parts": [{"text": "Sun."}]}),
        json!({"role": "user", "parts": [{"text": "Thanks."}]}),
    ];
    gemini.takes(&[
        (signature, Value::Null),
        ("/contents/-", next[0].clone()),
        ("/contents/-", next[1].clone()),
    ]);
}

#[test]
fn images() {
    let gemini = sender();
    let image = "/contents/0/parts/1/inlineData";
    gemini.refuses(
        &[(image, json!({"mimeType": "image/bmp", "data": PNG}))],
        "Unsupported MIME type: image/bmp",
    );
    gemini.refuses(
        &[(image, json!({"mimeType": "image/png", "data": "!"}))],
        "Base64 decoding failed",
    );
    gemini.refuses(
        &[(image, json!({"mimeType": "image/jpeg", "data": PNG}))],
        "Unable to process input image",
    );
    gemini.refuses(
        &[(image, json!({"media_type": "image/png", "data": PNG}))],
        "Unknown name \"media_type\" at 'contents[0].parts[1].inline_data'",
    );
    gemini.takes(&[(
        "/contents/0/parts/1",
        json!({"fileData": {"fileUri": "https://x/y.png", "mimeType": "image/png"}}),
    )]);
}

#[test]
fn tools() {
    let gemini = sender();
    let first = |more: &str| format!("/tools/0/functionDeclarations/0{more}");
    gemini.refuses(&[(&first("/name"), json!("1st"))], "Invalid function name");
    gemini.refuses(
        &[(&first("/strict"), json!(true))],
        "Unknown name \"strict\" at 'tools[0].function_declarations[0]'",
    );
    gemini.refuses(
        &[(&first("/parametersJsonSchema"), json!({"type": "object"}))],
        "only one of parameters and parameters_json_schema",
    );
    for (schema, why) in [
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
            "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#"}}}}),
            "Unknown name \"$ref\" at 'tools[0].function_declarations[0].parameters.properties[0].value.items'",
        ),
        (
            json!({"type": "object", "properties": {}}),
            "should be non-empty for OBJECT type",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}),
            "Proto field is not repeating, cannot start list.",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}),
            "required[0]: property is not defined",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}),
            "enum: only allowed for STRING type",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            "items: missing field",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}}),
            "only 'enum' and 'date-time' are supported for STRING type",
        ),
    ] {
        gemini.refuses(&[(&first("/parameters"), schema)], why);
    }
    gemini.refuses(
        &[(
            "/tools/0/functionDeclarations/1/parametersJsonSchema",
            json!({"$ref": "#/$defs/x"}),
        )],
        "undefined schema",
    );
    let calling = |config: Value| ("/toolConfig", json!({"functionCallingConfig": config}));
    gemini.takes(&[calling(
        json!({"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
    )]);
    gemini.refuses(
        &[calling(
            json!({"mode": "AUTO", "allowedFunctionNames": ["get_weather"]}),
        )],
        "only be set when the function calling mode is ANY",
    );
    gemini.refuses(
        &[calling(
            json!({"mode": "ANY", "allowedFunctionNames": ["x"]}),
        )],
        "not among the function declarations",
    );
    gemini.refuses(
        &[calling(json!({"mode": "required"}))],
        "Invalid value at 'tool_config.function_calling_config.mode'",
    );
}

#[test]
fn configuration() {
    let gemini = sender();
    let config = |config: Value| ("/generationConfig", config);
    for (value, why) in [
        (
            json!({"temperature": 2.5}),
            "temperature must be in the range [0, 2]",
        ),
        (
            json!({"seed": 9_007_199_254_740_993_u64}),
            "(TYPE_INT32), 9007199254740993",
        ),
        (
            json!({"candidateCount": 9}),
            "candidate_count must be in the range",
        ),
        (
            json!({"stopSequences": ["1", "2", "3", "4", "5", "6"]}),
            "at most 5 stop sequences",
        ),
        (
            json!({"logprobs": 3}),
            "only allowed when response_logprobs is true",
        ),
        (json!({"responseMimeType": "json"}), "allowed mimetypes are"),
        (
            json!({"responseJsonSchema": {}}),
            "response_mime_type must be `application/json`",
        ),
        (
            json!({"responseMimeType": "application/json", "responseSchema": {"type": "object", "properties": {"a": {"type": "string"}}, "$defs": {}}}),
            "Unknown name \"$defs\" at 'generation_config.response_schema'",
        ),
        (
            json!({"thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "low"}}),
            "only one of thinking budget and thinking level",
        ),
        (
            json!({"thinkingConfig": {"thinkingLevel": "xhigh"}}),
            "thinking_level",
        ),
    ] {
        gemini.refuses(&[config(value)], why);
    }
    gemini.takes(&[config(json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "object", "$defs": {}}}))]);
    gemini.takes(&[config(
        json!({"thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1}}),
    )]);
}

#[test]
fn embeddings() {
    let one = json!({"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 4});
    let single = Sender::new(
        "/v1beta/models/m:embedContent",
        HEADERS,
        "/error/message",
        one.clone(),
    );
    assert_eq!(
        single.send(&[]).json()["embedding"]["values"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    single.refuses(&[("/taskType", json!("query"))], "task_type");
    single.refuses(&[("/content", Value::Null)], "content is not specified");
    let mut named = one;
    named["model"] = json!("models/m");
    let many = Sender::new(
        "/v1beta/models/m:batchEmbedContents",
        HEADERS,
        "/error/message",
        json!({"requests": [named, named]}),
    );
    assert_eq!(
        many.send(&[]).json()["embeddings"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    many.refuses(&[("/requests/1/model", Value::Null)], "model must match");
    many.refuses(&[("/requests/1/model", json!("m"))], "model must match");
}
