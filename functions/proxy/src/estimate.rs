//! What a request may use, before it is sent (API.md, “Decisions of access, limits and money”).
//!
//! Read in one pass over the body, without building anything. What is wrong here costs nobody anything in the end: what
//! was held for a request is settled by what the provider says.

use lockgate_providers::{Manifest, Surface};
use lockgate_workspace::resource::Tokens;

use crate::usage::{string_end, value_after};

/// Bytes of text for each token.
const BYTES_A_TOKEN: usize = 3;
/// Output where neither the request nor the model's manifest says how much there may be.
const UNKNOWN_OUTPUT: u64 = 4_096;
/// A picture or file in base64 is longer than this; what is shorter counts as text.
const SHORTEST_MEDIUM: usize = 4 << 10;
/// Tokens of a picture or file. Its bytes say nothing about them: a picture is scaled down and costs by its area, about this
/// much at most at OpenAI and Anthropic.
const MEDIUM_TOKENS: u64 = 1_500;
/// Long documents and recordings take more: at least a token for so many of their bytes.
const MEDIUM_BYTES_A_TOKEN: usize = 100;
/// OpenAI gives at most as many choices.
const MOST_CHOICES: u64 = 128;

/// Tokens of so many bytes of text.
pub(crate) fn of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_A_TOKEN) as u64
}

/// What a request's body says of what it may use, at whichever model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    input: u64,
    /// How much output was asked for at most.
    limit: Option<u64>,
    /// How often; 0 where nothing is generated.
    choices: u64,
}

impl Size {
    /// Nothing is used.
    pub(crate) const NONE: Self = Self {
        input: 0,
        limit: None,
        choices: 0,
    };

    /// Reads a body.
    pub(crate) fn read(surface: Surface, body: &[u8]) -> Self {
        let (limits, answers): (&[&[u8]], _) = match surface {
            // Free of charge; nothing is generated.
            Surface::CountTokens | Surface::Files | Surface::Batches => return Self::NONE,
            Surface::Embeddings | Surface::Moderations => (&[], false),
            Surface::Chat => (&[b"max_tokens", b"max_completion_tokens"], true),
            Surface::Completions | Surface::Messages => (&[b"max_tokens"], true),
            Surface::Responses => (&[b"max_output_tokens"], true),
            Surface::Images | Surface::Audio => (&[], true),
        };
        let found = Found::read(body, limits);
        let text = of_bytes(body.len() - found.media_bytes);
        Self {
            input: text + found.media_tokens,
            limit: found.limit.filter(|_| !found.unclear),
            choices: match (answers, found.unclear) {
                (false, _) => 0,
                (true, false) => found.choices,
                (true, true) => MOST_CHOICES,
            },
        }
    }

    /// What the request may use at a model.
    pub(crate) fn at(self, manifest: &Manifest, model: &str) -> Tokens {
        let of_model = || {
            let model = manifest.model(model)?;
            model.max_output.map(u64::from)
        };
        let output = self.limit.or_else(of_model).unwrap_or(UNKNOWN_OUTPUT);
        Tokens {
            input: self.input,
            output: output.saturating_mul(self.choices),
            estimated: true,
            ..Tokens::default()
        }
    }
}

/// What a body has in it that counts.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Tokens of pictures and files.
    media_tokens: u64,
    /// Their bytes.
    media_bytes: usize,
    /// How much output was asked for at most.
    limit: Option<u64>,
    /// How often.
    choices: u64,
    /// Whether the members that count can be read in two ways.
    unclear: bool,
}

impl Found {
    /// `limits` are the names at the top that say how much output there may be.
    fn read(body: &[u8], limits: &[&[u8]]) -> Self {
        let mut found = Self {
            media_tokens: 0,
            media_bytes: 0,
            limit: None,
            choices: 1,
            unclear: false,
        };
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            // A form, nearly all of which is a file.
            if body.len() > SHORTEST_MEDIUM {
                found.medium(body.len());
            }
            return found;
        }
        let mut depth: usize = 0;
        // The name whose value is next.
        let mut name: &[u8] = b"";
        let mut at = 0;
        while let Some(byte) = body.get(at) {
            match byte {
                b'"' => {
                    let Some(end) = string_end(body, at) else {
                        break;
                    };
                    let text = body.get(at + 1..end - 1).unwrap_or_default();
                    at = end;
                    if let Some(value) = value_after(body, end) {
                        (name, at) = (text, value);
                        // An escape hides a name from nobody but this reader.
                        found.unclear |= depth == 1 && text.contains(&b'\\');
                    } else if is_medium(name, text) {
                        found.medium(text.len());
                    }
                    continue;
                }
                b'0'..=b'9' if depth == 1 && !name.is_empty() => {
                    let rest = body.get(at..).unwrap_or_default();
                    let length = rest.iter().position(|byte| ends_number(*byte));
                    let digits = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
                    found.number(std::mem::take(&mut name), digits, limits);
                    at += digits.len();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            name = b"";
            at += 1;
        }
        found
    }

    fn medium(&mut self, bytes: usize) {
        let by_size = (bytes / MEDIUM_BYTES_A_TOKEN) as u64;
        self.media_tokens += by_size.max(MEDIUM_TOKENS);
        self.media_bytes += bytes;
    }

    fn number(&mut self, name: &[u8], digits: &[u8], limits: &[&[u8]]) {
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|n| n.parse().ok());
        let Some(number) = number.filter(|number: &u64| u32::try_from(*number).is_ok()) else {
            return;
        };
        if limits.contains(&name) {
            self.limit = self.limit.max(Some(number));
        // Completions makes as many as `best_of` and shows `n` of them.
        } else if matches!(name, b"n" | b"best_of") && number <= MOST_CHOICES {
            self.choices = self.choices.max(number);
        }
    }
}

fn ends_number(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a member's value is a picture or a file in base64. Text is not, whatever it looks like: its members have other
/// names.
fn is_medium(name: &[u8], text: &[u8]) -> bool {
    const LONGEST_TYPE: usize = 256;
    if text.len() <= SHORTEST_MEDIUM {
        return false;
    }
    let data = match name {
        b"url" | b"image_url" | b"file_data" | b"data" | b"image" => {
            let head = text.get(..LONGEST_TYPE).unwrap_or(text);
            let comma = memchr::memchr(b',', head);
            match comma.filter(|_| text.starts_with(b"data:")) {
                Some(comma) => text.get(comma + 1..).unwrap_or_default(),
                None if name == b"data" => text,
                None => return false,
            }
        }
        _ => return false,
    };
    // Both alphabets; slashes and line breaks may be escaped.
    let base64 = |byte: &u8| {
        byte.is_ascii_alphanumeric() | matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\\')
    };
    // In runs that are looked at without a branch for each byte.
    data.chunks(256)
        .all(|run| run.iter().fold(true, |all, byte| all & base64(byte)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn of(surface: Surface, body: &[u8], manifest: &Manifest, model: &str) -> Tokens {
        Size::read(surface, body).at(manifest, model)
    }

    fn openai() -> &'static Manifest {
        lockgate_providers::find("openai").unwrap()
    }

    fn tokens(surface: Surface, body: &str) -> (u64, u64) {
        let tokens = of(surface, body.as_bytes(), openai(), "no-such-model");
        assert!(tokens.estimated);
        (tokens.input, tokens.output)
    }

    fn output(surface: Surface, body: &str) -> u64 {
        tokens(surface, body).1
    }

    #[test]
    fn text_counts_by_its_bytes() {
        assert_eq!(
            tokens(Surface::Chat, "{\"a\": \"äää\"}"),
            (5, UNKNOWN_OUTPUT)
        );
        assert_eq!(tokens(Surface::Embeddings, "{\"a\":1}"), (3, 0));
        assert_eq!(tokens(Surface::Moderations, "{\"a\":1}"), (3, 0));
        assert_eq!(tokens(Surface::CountTokens, "{\"a\":1}"), (0, 0));
    }

    #[test]
    fn what_is_asked_for_counts_as_output() {
        for (body, expected) in [
            (r#"{"max_tokens":7}"#, 7),
            (r#"{"max_tokens": 7 }"#, 7),
            (r#"{"max_tokens":0}"#, 0),
            (r#"{"max_tokens":4294967295}"#, 4_294_967_295),
            (r#"{"max_completion_tokens":9,"max_tokens":7}"#, 9),
            (r#"{"max_tokens":7,"n":3}"#, 21),
            (r#"{"n":3,"max_tokens":7}"#, 21),
            (r#"{"n":2}"#, 2 * UNKNOWN_OUTPUT),
            (r#"{"max_tokens":7,"n":129}"#, 7),
            (r#"{"max_tokens":7,"n":0}"#, 7),
            (r#"{"max_tokens":7,"best_of":4,"n":2}"#, 28),
        ] {
            assert_eq!(output(Surface::Chat, body), expected, "{body}");
        }
        for other in [
            r#"{"max_tokens":4294967296}"#,
            r#"{"max_tokens":-7}"#,
            r#"{"max_tokens":7.5}"#,
            r#"{"max_tokens":7e3}"#,
            r#"{"max_tokens":"7"}"#,
            r#"{"max_tokens":null}"#,
            r#"{"max_tokens":[7]}"#,
            r#"{"max_output_tokens":7}"#,
            r#"{"a":{"max_tokens":7}}"#,
            r#"{"a":"max_tokens","b":7}"#,
            r#"{"a":["max_tokens",7]}"#,
            r#"{"a":"\"max_tokens\":7"}"#,
            "{\"max_tokens\"",
            "[7]",
            "",
        ] {
            assert_eq!(output(Surface::Chat, other), UNKNOWN_OUTPUT, "{other}");
        }
        assert_eq!(output(Surface::Responses, r#"{"max_output_tokens":7}"#), 7);
        assert_eq!(output(Surface::Messages, r#"{"max_tokens":7}"#), 7);
    }

    #[test]
    fn a_name_that_is_hidden_by_an_escape_makes_the_most_of_it() {
        for body in [
            r#"{"\u006e":128,"max_tokens":1000}"#,
            r#"{"max_tokens":1,"max\u005ftokens":100000}"#,
        ] {
            let most = UNKNOWN_OUTPUT * MOST_CHOICES;
            assert_eq!(output(Surface::Chat, body), most, "{body}");
        }
        assert_eq!(
            output(Surface::Chat, r#"{"max_tokens":7,"a":{"\u006e":9}}"#),
            7
        );
    }

    #[test]
    fn a_long_file_counts_by_its_size() {
        let body = json!({"data": "QUJD".repeat(100_000)}).to_string();
        assert!((4_000..4_200).contains(&tokens(Surface::Chat, &body).0));
    }

    #[test]
    fn the_models_limit_counts_where_none_is_given() {
        let model = openai()
            .models
            .iter()
            .find(|model| model.max_output.is_some())
            .unwrap();
        let limit = u64::from(model.max_output.unwrap());
        let asked = |body: &[u8]| of(Surface::Chat, body, openai(), model.id).output;
        assert_eq!(asked(b"{}"), limit);
        assert_eq!(asked(b"{\"n\":2}"), 2 * limit);
        assert_eq!(asked(b"{\"max_tokens\":5}"), 5);
    }

    #[test]
    fn pictures_and_files_do_not_count_as_text() {
        let long = "iVBORw0KGgo+/".repeat(1_000);
        let url = format!("data:image/png;base64,{long}");
        for part in [
            json!({"type": "image_url", "image_url": {"url": url}}),
            json!({"type": "input_image", "image_url": url}),
            json!({"type": "file", "file": {"file_data": url}}),
            json!({"type": "input_audio", "input_audio": {"data": long}}),
            json!({"type": "image", "source": {"type": "base64", "data": long}}),
        ] {
            let body = json!({"messages": [{"content": [part, part]}], "x": "äöü"});
            let (input, _) = tokens(Surface::Chat, &body.to_string());
            assert!((3_000..3_200).contains(&input), "{input} for {part:.80}");
            // As PHP writes it.
            let escaped = body.to_string().replace('/', "\\/");
            let (input, _) = tokens(Surface::Chat, &escaped);
            assert!((3_000..3_200).contains(&input), "{input} for {part:.80}");
        }
        let prose = "To be, or not to be. ".repeat(1_000);
        for text in [
            json!({"text": url}),
            json!({"content": url}),
            json!({"url": long}),
            json!({"data": prose}),
            json!({"url": format!("data:text/plain,{prose}")}),
            json!({"data": &long[..SHORTEST_MEDIUM]}),
        ] {
            let body = text.to_string();
            let input = tokens(Surface::Chat, &body).0;
            assert_eq!(input, of_bytes(body.len()), "{body:.40}");
        }
        let form = format!("--x\r\n\r\n{long}\r\n--x--\r\n");
        assert_eq!(tokens(Surface::Audio, &form).0, MEDIUM_TOKENS);
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read(
            limit: u32,
            n in 1..=128u64,
            text: String,
            deep in prop::collection::vec("max_tokens|n|[a-z\"]{0,4}", 0..5),
            pretty: bool,
        ) {
            let inner: Value = deep.iter().map(|name| json!({ name: 1, "text": text })).collect();
            let body = json!({"a": inner, "max_tokens": limit, "messages": text, "n": n, "z": inner});
            let body = if pretty { format!("{body:#}") } else { body.to_string() };
            let expected = (of_bytes(body.len()), u64::from(limit) * n);
            prop_assert_eq!(tokens(Surface::Chat, &body), expected);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>, text in "\\{(\"max_tokens\"|\"n\"|[{}\\[\\]\":, \\\\0-9.-])*") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = of(Surface::Chat, bytes, openai(), "");
            }
        }
    }
}
