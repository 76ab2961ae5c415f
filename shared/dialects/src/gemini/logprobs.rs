//! Log probabilities, in Google's form (<https://ai.google.dev/api/generate-content#LogprobsResult>) and OpenAI's
//! (<https://platform.openai.com/docs/api-reference/chat/object>). Google does not tell the bytes of a token.

use serde::Deserialize;

use super::wire::Text;
use crate::json::{Json, Problem, Raw, Writer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Google<'a> {
    #[serde(borrow, alias = "top_candidates")]
    top_candidates: Option<Vec<Top<'a>>>,
    #[serde(borrow, alias = "chosen_candidates")]
    chosen_candidates: Option<Vec<Token<'a>>>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Token<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    #[serde(borrow)]
    token: Option<Text<'a>>,
    #[serde(borrow, alias = "log_probability")]
    log_probability: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct OpenAi<'a> {
    #[serde(borrow)]
    content: Option<Vec<Word<'a>>>,
}

#[derive(Deserialize)]
struct Word<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow)]
    logprob: Option<Raw<'a>>,
    #[serde(borrow)]
    top_logprobs: Option<Vec<Word<'a>>>,
}

/// Reads Google's into OpenAI's.
pub(super) fn read(raw: Raw<'_>) -> Result<Json<'static>, Problem> {
    let google: Google<'_> = serde_json::from_str(raw.get())
        .map_err(|_| Problem::new("cannot be read").at("logprobsResult"))?;
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.open().key("content").open_array();
    let mut tops = google.top_candidates.unwrap_or_default().into_iter();
    for token in google.chosen_candidates.unwrap_or_default() {
        word(&token, &mut writer);
        writer.key("top_logprobs").open_array();
        let top = tops.next().and_then(|top| top.candidates);
        for token in top.unwrap_or_default() {
            word(&token, &mut writer);
            writer.close();
        }
        writer.close_array().close();
    }
    writer.close_array().key("refusal").null().close();
    String::from_utf8(out)
        .ok()
        .and_then(|text| Json::parse(text.into()))
        .ok_or_else(|| Problem::new("cannot be read").at("logprobsResult"))
}

/// Opens a token in OpenAI's form.
fn word(token: &Token<'_>, writer: &mut Writer<'_>) {
    let text = token.token.as_ref().map_or("", |token| &token.0);
    writer.open().text_field("token", text).key("logprob");
    match token.log_probability {
        Some(number) => writer.raw(&number.into()),
        None => writer.integer(0),
    };
    writer.key("bytes").null();
}

/// Writes OpenAI's as Google's `logprobsResult`; nothing where it is in another form.
pub(super) fn write(json: &Json<'_>, writer: &mut Writer<'_>) {
    let Ok(OpenAi {
        content: Some(words),
    }) = serde_json::from_str::<OpenAi<'_>>(json.as_str())
    else {
        return;
    };
    writer
        .key("logprobsResult")
        .open()
        .key("topCandidates")
        .open_array();
    for one in &words {
        writer.open().key("candidates").open_array();
        for top in one.top_logprobs.iter().flatten() {
            token(top, writer);
        }
        writer.close_array().close();
    }
    writer.close_array().key("chosenCandidates").open_array();
    for one in &words {
        token(one, writer);
    }
    writer.close_array().close();
}

fn token(word: &Word<'_>, writer: &mut Writer<'_>) {
    writer
        .open()
        .text_field("token", &word.token.0)
        .raw_field_if("logProbability", word.logprob.map(Json::from).as_ref())
        .close();
}
