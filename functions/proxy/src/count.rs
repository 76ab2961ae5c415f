//! `/v1/messages/count_tokens` for providers that cannot count: an estimate from the length of what is said.

use lockgate_dialects::surface::decode_request;
use lockgate_dialects::{Content, Part, Problem, Request, Tool};
use lockgate_providers::Dialect;

/// Bytes of text that make a token (API.md, “Decisions of access, limits and money”).
const BYTES_PER_TOKEN: usize = 3;
/// Tokens of a picture or document, whose real cost depends on its size: what Anthropic says of a picture of its best size
/// (<https://docs.anthropic.com/en/docs/build-with-claude/vision>).
const MEDIA_TOKENS: usize = 1_600;

/// The answer to a request for a count.
pub(crate) fn answer(body: &str) -> Result<Vec<u8>, Problem> {
    let request = decode_request(Dialect::Anthropic, body)?;
    Ok(format!("{{\"input_tokens\":{}}}", tokens(&request)).into_bytes())
}

fn tokens(request: &Request<'_>) -> usize {
    let (mut bytes, mut media) = (0, 0);
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        measure(part, &mut bytes, &mut media);
    }
    for tool in &request.tools {
        bytes += match tool {
            Tool::Function {
                name,
                description,
                parameters,
                ..
            } => {
                name.len()
                    + description.as_deref().map_or(0, str::len)
                    + parameters.as_ref().map_or(0, |p| p.as_str().len())
            }
            Tool::Other { value, .. } => value.as_str().len(),
        };
    }
    bytes.div_ceil(BYTES_PER_TOKEN) + media * MEDIA_TOKENS
}

fn measure(part: &Part<'_>, bytes: &mut usize, media: &mut usize) {
    match &part.content {
        Content::Text { text, .. }
        | Content::Refusal { text }
        | Content::Reasoning { text, .. }
        | Content::Redacted { data: text } => *bytes += text.len(),
        Content::ToolCall {
            name, arguments, ..
        } => *bytes += name.len() + arguments.len(),
        Content::ToolResult { parts, .. } => {
            for part in parts {
                measure(part, bytes, media);
            }
        }
        Content::File {
            source: lockgate_dialects::Source::Text(text),
            ..
        } => *bytes += text.len(),
        Content::Image { .. } | Content::File { .. } | Content::Audio { .. } => *media += 1,
    }
}
