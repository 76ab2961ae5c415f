//! Embeddings: requests in OpenAI's form to others, and their answers back.
#![allow(clippy::unwrap_used)]

use lockgate_dialects::embed::{
    Embeddings, Encoding, Input, decode_request, encode_request, translate_answer,
};
use lockgate_dialects::{Dialect, Extra, Json, Reply, Target, Unsupported};
use lockgate_providers::Quirks;
use proptest::prelude::*;
use proptest::sample::select;

const REPLY: Reply<'_> = Reply {
    id: "abc123",
    model: "asked-for",
    created: 1_700_000_000,
    stream_usage: false,
    request: "{}",
};

const DIALECTS: [Dialect; 3] = [Dialect::Gemini, Dialect::Cohere, Dialect::Voyage];

fn encode(
    dialect: Dialect,
    request: &Embeddings<'_>,
) -> Result<(String, Vec<String>), Unsupported> {
    let quirks = Quirks::default();
    let target = Target {
        model: "embed-1",
        max_output: None,
        quirks: &quirks,
        title: "Someone",
    };
    let encoded = encode_request(dialect, request, &target)?;
    Ok((String::from_utf8(encoded.body).unwrap(), encoded.warnings))
}

#[track_caller]
fn becomes(dialect: Dialect, request: &str, expected: &str, warnings: &[&str]) {
    let (body, warned) = encode(dialect, &decode_request(request).unwrap()).unwrap();
    assert_eq!(body, expected);
    assert_eq!(warned, warnings);
}

fn answered(dialect: Dialect, request: &str, body: &str) -> String {
    let request = decode_request(request).unwrap();
    let answer = translate_answer(dialect, body, &request, &REPLY);
    answer.map_or_else(
        |problem| problem.to_string(),
        |bytes| String::from_utf8(bytes).unwrap(),
    )
}

const ONE: &str = r#"{"model":"m","input":"Hi","dimensions":256,"encoding_format":"float"}"#;
const TWO: &str = r#"{"model":"m","input":["Hi","\"Bye\""],"input_type":"query","dimensions":null,"encoding_format":"base64"}"#;
const NO_PURPOSE: &str =
    "Someone wants to know what the vectors are for: `input_type` was taken to be search_document";

/// <https://ai.google.dev/api/embeddings>
#[test]
fn google() {
    becomes(
        Dialect::Gemini,
        ONE,
        r#"{"model":"models/embed-1","content":{"parts":[{"text":"Hi"}]},"outputDimensionality":256}"#,
        &[],
    );
    becomes(
        Dialect::Gemini,
        TWO,
        concat!(
            r#"{"requests":[{"model":"models/embed-1","content":{"parts":[{"text":"Hi"}]},"taskType":"RETRIEVAL_QUERY"},"#,
            r#"{"model":"models/embed-1","content":{"parts":[{"text":"\"Bye\""}]},"taskType":"RETRIEVAL_QUERY"}]}"#
        ),
        &[],
    );
    becomes(
        Dialect::Gemini,
        r#"{"model":"m","input":["Hi"],"task_type":"SEMANTIC_SIMILARITY","title":"T","truncate":"END","user":"u"}"#,
        r#"{"model":"models/embed-1","content":{"parts":[{"text":"Hi"}]},"title":"T","taskType":"SEMANTIC_SIMILARITY"}"#,
        &[
            "`user` was left out for Someone",
            "`truncate` was left out for Someone",
        ],
    );
    assert_eq!(
        answered(
            Dialect::Gemini,
            ONE,
            r#"{"embedding":{"values":[0.10, -1e-7]},"usageMetadata":{"promptTokenCount":3}}"#
        ),
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10, -1e-7]}],"model":"asked-for","usage":{"prompt_tokens":3,"total_tokens":3}}"#
    );
    assert_eq!(
        answered(
            Dialect::Gemini,
            TWO,
            r#"{"embeddings":[{"values":[1,0]},{"values":[-0.5]}]}"#
        ),
        concat!(
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAAA="},"#,
            r#"{"object":"embedding","index":1,"embedding":"AAAAvw=="}],"model":"asked-for","usage":{"prompt_tokens":0,"total_tokens":0}}"#
        )
    );
}

/// <https://docs.cohere.com/reference/embed>
#[test]
fn cohere() {
    becomes(
        Dialect::Cohere,
        ONE,
        r#"{"model":"embed-1","texts":["Hi"],"input_type":"search_document","embedding_types":["float"],"output_dimension":256}"#,
        &[NO_PURPOSE],
    );
    becomes(
        Dialect::Cohere,
        TWO,
        r#"{"model":"embed-1","texts":["Hi","\"Bye\""],"input_type":"search_query","embedding_types":["float"]}"#,
        &[],
    );
    becomes(
        Dialect::Cohere,
        r#"{"model":"m","input":["Hi"],"input_type":"image","truncate":"END","embedding_types":["int8"]}"#,
        r#"{"model":"embed-1","texts":["Hi"],"truncate":"END","input_type":"image","embedding_types":["float"]}"#,
        &["`embedding_types` was left out for Someone"],
    );
    let body = r#"{"id":"3198467e-399f-4d4a-aa2c-58af93bd6dc4","embeddings":{"float":[[0.016296387,-0.008354187],[1]]},"texts":["hi","bye"],
        "meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":2}},"response_type":"embeddings_by_type"}"#;
    let floats = TWO.replace("base64", "float");
    assert_eq!(
        answered(Dialect::Cohere, &floats, body),
        concat!(
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.016296387,-0.008354187]},"#,
            r#"{"object":"embedding","index":1,"embedding":[1]}],"model":"asked-for","usage":{"prompt_tokens":2,"total_tokens":2}}"#
        )
    );
    assert_eq!(
        answered(Dialect::Cohere, ONE, body),
        "The body has 2 vectors for 1 inputs"
    );
}

/// <https://docs.voyageai.com/reference/embeddings-api>
#[test]
fn voyage() {
    becomes(
        Dialect::Voyage,
        ONE,
        r#"{"model":"embed-1","input":["Hi"],"output_dimension":256}"#,
        &[],
    );
    becomes(
        Dialect::Voyage,
        TWO,
        r#"{"model":"embed-1","input":["Hi","\"Bye\""],"input_type":"query","encoding_format":"base64"}"#,
        &[],
    );
    becomes(
        Dialect::Voyage,
        r#"{"model":"m","input":"Hi","input_type":"clustering","truncation":false,"output_dtype":"int8"}"#,
        r#"{"model":"embed-1","input":["Hi"],"truncation":false,"output_dtype":"int8"}"#,
        &["`input_type` was left out for Someone"],
    );
    let body = r#"{"object":"list","data":[{"object":"embedding","embedding":"AACAPw==","index":1},{"object":"embedding","embedding":[2],"index":0}],"model":"voyage-3.5","usage":{"total_tokens":10}}"#;
    assert_eq!(
        answered(Dialect::Voyage, TWO, body),
        concat!(
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAQA=="},"#,
            r#"{"object":"embedding","index":1,"embedding":"AACAPw=="}],"model":"voyage-3.5","usage":{"prompt_tokens":10,"total_tokens":10}}"#
        )
    );
}

#[test]
fn tokens_are_for_openai_only() {
    for input in ["[1,2]", "[[1],[2,3]]"] {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let request = decode_request(&body).unwrap();
        for dialect in DIALECTS {
            assert_eq!(
                encode(dialect, &request).unwrap_err().to_string(),
                "Someone cannot do what `input` asks for (embeddings of tokens: it has another tokenizer)."
            );
        }
    }
    becomes(
        Dialect::OpenAiChat,
        r#"{"model":"m","input":[[1],[2,3]],"encoding_format":"base64","user":"u","x":1.0}"#,
        r#"{"model":"embed-1","input":[[1],[2,3]],"encoding_format":"base64","user":"u","x":1.0}"#,
        &[],
    );
    let request = decode_request(ONE).unwrap();
    for dialect in [Dialect::Anthropic, Dialect::Bedrock] {
        assert!(encode(dialect, &request).is_err());
        assert!(translate_answer(dialect, "{}", &request, &REPLY).is_err());
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, problem) in [
        (r#"{"model":"m"}"#, "input is missing"),
        (r#"{"input":"Hi"}"#, "model is missing"),
        (r#"{"model":"m","input":[]}"#, "input must not be empty"),
        (
            r#"{"model":"m","input":7}"#,
            "input must be text, a list of texts, or tokens",
        ),
        (r#"{"model":"m","input":["a",7]}"#, "input[1] must be text"),
        (
            r#"{"model":"m","input":[7,"a"]}"#,
            "input[1] must be a whole number that is not negative",
        ),
        (
            r#"{"model":"m","input":[["a"]]}"#,
            "input[0][0] must be a whole number that is not negative",
        ),
        (
            r#"{"model":"m","input":[[]]}"#,
            "input[0] must not be empty",
        ),
        (
            r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
            "encoding_format must be float or base64",
        ),
    ] {
        assert_eq!(decode_request(body).unwrap_err().to_string(), problem);
    }
    assert_eq!(
        answered(Dialect::Voyage, ONE, "{}"),
        "The body cannot be read as embeddings (column 2)"
    );
    assert_eq!(
        answered(
            Dialect::Cohere,
            &TWO.replace(r#","\"Bye\"""#, ""),
            r#"{"embeddings":{"float":[[1,"x"]]}}"#
        ),
        "embedding[1] must be a number"
    );
}

fn any_request() -> impl Strategy<Value = Embeddings<'static>> {
    let text = || "(?s).{0,12}".prop_map(|text| Input::Text(text.into()));
    let tokens = prop::collection::vec(any::<u32>(), 1..4).prop_map(|tokens| {
        let text = serde_json::to_string(&tokens).unwrap();
        Input::Tokens(Json::parse(text.into()).unwrap())
    });
    let encoding = select(vec![Encoding::Float, Encoding::Base64]);
    let extra = prop::option::of(Just(Extra {
        name: "own".into(),
        value: Json::parse("9007199254740993".into()).unwrap(),
    }));
    let input = prop::collection::vec(prop_oneof![4 => text(), 1 => tokens], 1..4);
    (input, prop::option::of(1_u64..4_096), encoding, extra).prop_map(
        |(input, dimensions, encoding, extra)| Embeddings {
            model: "embed-1".into(),
            input,
            dimensions,
            encoding,
            user: None,
            extra: extra.into_iter().collect(),
        },
    )
}

proptest! {
    #[test]
    fn what_is_said_is_understood(request in any_request()) {
        let (body, warnings) = encode(Dialect::OpenAiChat, &request).unwrap();
        prop_assert!(warnings.is_empty());
        let understood = decode_request(&body);
        prop_assert_eq!(understood.as_ref(), Ok(&request), "{}", body);
    }

    /// What OpenAI's libraries read out of base64 are the floats that the provider sent.
    #[test]
    fn base64_is_the_floats(vectors in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 0..9), 1..4)) {
        let request = Embeddings {
            input: vec![Input::Text("x".into()); vectors.len()],
            encoding: Encoding::Base64,
            ..Embeddings::default()
        };
        let body = serde_json::json!({"embeddings": {"float": vectors}}).to_string();
        let answer = translate_answer(Dialect::Cohere, &body, &request, &REPLY).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        for (index, vector) in vectors.iter().enumerate() {
            let text = answer["data"][index]["embedding"].as_str().unwrap();
            let bytes = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
            let read: Vec<f32> = bytes
                .chunks(4)
                .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
                .collect();
            prop_assert_eq!(&read, vector);
        }
    }

    #[test]
    fn nothing_panics(body in "(?s).{0,64}", input in "[\\[\\]{}\",:0-9a-z.e-]{0,24}") {
        let request = Embeddings::default();
        let body_of = format!(r#"{{"model":"m","input":{input}}}"#);
        let _ = decode_request(&body);
        let _ = decode_request(&body_of);
        for dialect in DIALECTS {
            let _ = translate_answer(dialect, &body, &request, &REPLY);
            let _ = translate_answer(dialect, &body_of.replace("input", "embeddings"), &request, &REPLY);
        }
    }
}
