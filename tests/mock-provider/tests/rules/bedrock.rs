use serde_json::{Value, json};

use crate::{PNG, Sender, parameters, support};

/// A key of Bedrock's own; signatures are tested beside what makes them.
const HEADERS: &str = "authorization: Bearer bedrock-api-key-test\r\n";
const PATH: &str = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse";

fn conversation() -> Value {
    json!({
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "inferenceConfig": {"maxTokens": 100, "temperature": 1, "topP": 0.5, "stopSequences": ["."]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "description": "The weather.", "inputSchema": {"json": parameters()}}}]},
        "messages": [
            {"role": "user", "content": [{"text": "The weather here?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]},
            {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": {"city": "Zürich"}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "get_weather", "input": {}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "sun"}]}},
                {"toolResult": {"toolUseId": "tooluse_2", "content": [{"json": {"a": 1}}], "status": "error"}},
            ]},
        ],
    })
}

#[test]
fn keys() {
    let bedrock = sender();
    for (headers, kind) in [
        ("", "MissingAuthenticationTokenException"),
        (
            "authorization: AWS4-HMAC-SHA256 nonsense\r\n",
            "IncompleteSignatureException",
        ),
        (
            "authorization: AWS4-HMAC-SHA256 Credential=AKIAOTHER/20240101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0\r\n",
            "UnrecognizedClientException",
        ),
        (
            "x-amz-date: 20240101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20240101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0\r\n",
            "InvalidSignatureException",
        ),
        (
            "authorization: Bearer revoked\r\n",
            "UnrecognizedClientException",
        ),
    ] {
        let answer = support::request(&bedrock.provider, "POST", PATH, headers, "{}");
        assert_eq!(answer.status, 403, "{headers}");
        assert_eq!(answer.header("x-amzn-errortype"), Some(kind));
    }
}

fn sender() -> Sender {
    Sender::new(PATH, HEADERS, "/message", conversation())
}

#[test]
fn conversations() {
    let bedrock = sender();
    bedrock.refuses(
        &[("/max_tokens", json!(1))],
        "extraneous key [max_tokens] is not permitted",
    );
    bedrock.refuses(
        &[("/inferenceConfig/topK", json!(1))],
        "extraneous key [topK]",
    );
    bedrock.refuses(
        &[("/inferenceConfig/temperature", json!(1.5))],
        "inferenceConfig.temperature",
    );
    bedrock.refuses(
        &[("/inferenceConfig/maxTokens", json!(0))],
        "inferenceConfig.maxTokens",
    );
    bedrock.refuses(
        &[(
            "/messages/-",
            json!({"role": "user", "content": [{"text": "x"}]}),
        )],
        "must alternate between user and assistant roles",
    );
    bedrock.refuses(
        &[("/messages/0", Value::Null)],
        "must start with a user message",
    );
    bedrock.refuses(
        &[("/messages/2/content/1", Value::Null)],
        "Expected toolResult blocks at messages.2.content for the following Ids: tooluse_2",
    );
    bedrock.refuses(
        &[("/messages/2", Value::Null)],
        "Expected toolResult blocks at messages.2.content",
    );
    let third = json!({"toolResult": {"toolUseId": "tooluse_3", "content": []}});
    bedrock.refuses(
        &[("/messages/2/content/-", third)],
        "exceeds the number of toolUse blocks of previous turn",
    );
    bedrock.refuses(
        &[("/toolConfig", Value::Null)],
        "The toolConfig field must be defined",
    );
    bedrock.refuses(
        &[("/messages/0/content/0/text", json!(" "))],
        "messages.0.content.0 is blank",
    );
    bedrock.refuses(
        &[("/messages/0/content", json!([]))],
        "is empty. Add a ContentBlock object",
    );
    bedrock.refuses(
        &[("/messages/0/content/0/image", json!({}))],
        "has several members",
    );
    bedrock.refuses(
        &[("/messages/1/content/0/toolUse/input", json!("{}"))],
        "messages.1.content.0.toolUse.input is invalid. Provide a json object",
    );
    bedrock.refuses(
        &[(
            "/messages/1/content/0/toolUse/toolUseId",
            json!("a".repeat(65)),
        )],
        "toolUseId",
    );
    bedrock.refuses(
        &[(
            "/messages/2/content/1/toolResult/content/0/json",
            json!([1]),
        )],
        "is invalid. Provide a json object",
    );
}

#[test]
fn media_and_thoughts() {
    let bedrock = sender();
    let image = "/messages/0/content/1/image";
    bedrock.refuses(
        &[(image, json!({"format": "jpg", "source": {"bytes": PNG}}))],
        "image.format",
    );
    bedrock.refuses(
        &[(image, json!({"format": "jpeg", "source": {"bytes": PNG}}))],
        "Could not process image",
    );
    bedrock.refuses(
        &[(image, json!({"format": "png", "source": {"bytes": "*"}}))],
        "Invalid base64",
    );
    let document = |name: &str| {
        (
            "/messages/0/content/1",
            json!({"document": {"format": "txt", "name": name, "source": {"bytes": "aGVsbG8="}}}),
        )
    };
    bedrock.takes(&[document("my file (1)")]);
    bedrock.refuses(&[document("my_file.txt")], "file name can only contain");
    bedrock.refuses(
        &[document("a"), ("/messages/0/content/0", Value::Null)],
        "must have a text block",
    );
    let thought = |signature: &str| {
        (
            "/messages/1/content/-",
            json!({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": signature}}}),
        )
    };
    bedrock.takes(&[thought(mock_provider::THOUGHT_SIGNATURE)]);
    bedrock.refuses(&[thought("x")], "Invalid `signature`");
}

#[test]
fn tools() {
    let bedrock = sender();
    bedrock.takes(&[(
        "/toolConfig/toolChoice",
        json!({"tool": {"name": "get_weather"}}),
    )]);
    bedrock.refuses(
        &[("/toolConfig/toolChoice", json!({"none": {}}))],
        "extraneous key [none]",
    );
    bedrock.refuses(
        &[("/toolConfig/toolChoice", json!({"tool": {"name": "x"}}))],
        "not among the tools",
    );
    bedrock.refuses(
        &[("/toolConfig/toolChoice", json!({"any": {"disable": true}}))],
        "extraneous key [disable]",
    );
    bedrock.refuses(
        &[("/toolConfig/tools", json!([]))],
        "length greater than or equal to 1",
    );
    let spec = |more: &str| format!("/toolConfig/tools/0/toolSpec{more}");
    bedrock.refuses(&[(&spec("/name"), json!("a.b"))], "toolSpec.name");
    bedrock.refuses(
        &[(&spec("/description"), json!(""))],
        "toolSpec.description",
    );
    bedrock.refuses(&[(&spec("/inputSchema"), parameters())], "extraneous key");
    bedrock.refuses(
        &[(&spec("/inputSchema/json"), json!({}))],
        "json.type must be one of the following: object",
    );
}
