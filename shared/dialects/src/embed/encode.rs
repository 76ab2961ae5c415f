//! Writes requests for embeddings: <https://ai.google.dev/api/embeddings>, <https://docs.cohere.com/reference/embed>,
//! <https://docs.voyageai.com/reference/embeddings-api>.
//!
//! What the vectors are for is `input_type` at Cohere and Voyage and `taskType` at Google. A client says it in a field
//! `input_type` or `task_type` in the words of any of them.

use std::borrow::Cow;

use lockgate_providers::Dialect;

use super::{Embeddings, Encoding, Input};
use crate::dialect::{Encoded, Target};
use crate::json::{Json, Writer};
use crate::support::{Notes, Support, Unsupported};

/// What vectors can be for, in the words of Cohere, Voyage and Google; empty where there is none.
const PURPOSES: &[[&str; 3]] = &[
    ["search_document", "document", "RETRIEVAL_DOCUMENT"],
    ["search_query", "query", "RETRIEVAL_QUERY"],
    ["classification", "", "CLASSIFICATION"],
    ["clustering", "", "CLUSTERING"],
];

/// Which of the words of [`PURPOSES`] a provider knows.
#[derive(Clone, Copy)]
enum Words {
    Cohere,
    Voyage,
    Google,
}

/// Writes a request in the provider's form.
///
/// # Errors
/// It asks for what the provider cannot do.
pub fn encode_request(
    dialect: Dialect,
    request: &Embeddings<'_>,
    target: &Target<'_>,
) -> Result<Encoded, Unsupported> {
    let mut notes = Notes::new(target.title, |_| Support::Lacking(""));
    let mut out = Vec::with_capacity(256);
    let mut writer = Writer::new(&mut out);
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => openai(request, target, &mut writer),
        Dialect::Gemini => gemini(request, target, &mut writer, &mut notes)?,
        Dialect::Cohere => cohere(request, target, &mut writer, &mut notes)?,
        Dialect::Voyage => voyage(request, target, &mut writer, &mut notes)?,
        _ => return Err(unsupported(target, "model", "embeddings", "it has none")),
    }
    Ok(Encoded {
        body: out,
        warnings: notes.into_warnings(),
    })
}

fn unsupported(target: &Target<'_>, field: &str, title: &'static str, why: &str) -> Unsupported {
    Unsupported {
        provider: target.title.to_owned(),
        field: field.to_owned(),
        title,
        why: why.to_owned(),
    }
}

/// The inputs, which outside OpenAI must be text.
fn texts<'r>(
    request: &'r Embeddings<'_>,
    target: &Target<'_>,
) -> Result<Vec<&'r str>, Unsupported> {
    let text = |input: &'r Input<'_>| match input {
        Input::Text(text) => Ok(&**text),
        Input::Tokens(_) => Err(unsupported(
            target,
            "input",
            "embeddings of tokens",
            "it has another tokenizer",
        )),
    };
    request.input.iter().map(text).collect()
}

/// What is known of a request's extra fields: their purpose, and those that pass by their names. The others and the end user
/// are left out.
fn extras<'r>(
    request: &'r Embeddings<'_>,
    words: Words,
    own: &[&str],
    writer: &mut Writer<'_>,
    notes: &mut Notes,
    target: &Target<'_>,
) -> Option<Cow<'r, str>> {
    let mut purpose = None;
    let mut left_out = |name: &str| {
        notes.warn(format!("`{name}` was left out for {}", target.title));
    };
    if request.user.is_some() {
        left_out("user");
    }
    for extra in &request.extra {
        match &*extra.name {
            name @ ("input_type" | "task_type" | "taskType") => {
                match serde_json::from_str::<Cow<'_, str>>(extra.value.as_str()) {
                    Ok(word) => match translated(word, words) {
                        Some(word) => purpose = Some(word),
                        None => left_out(name),
                    },
                    Err(_) => left_out(name),
                }
            }
            name if own.contains(&name) => {
                writer.key(name).raw(&extra.value);
            }
            name => left_out(name),
        }
    }
    purpose
}

/// A purpose in a provider's word; one that nobody knows is for the provider to judge.
fn translated(word: Cow<'_, str>, to: Words) -> Option<Cow<'_, str>> {
    match PURPOSES.iter().find(|row| row.contains(&&*word)) {
        None => Some(word),
        Some([cohere, voyage, google]) => {
            let own = match to {
                Words::Cohere => cohere,
                Words::Voyage => voyage,
                Words::Google => google,
            };
            (!own.is_empty()).then_some(Cow::Borrowed(own))
        }
    }
}

fn openai(request: &Embeddings<'_>, target: &Target<'_>, writer: &mut Writer<'_>) {
    writer
        .open()
        .text_field("model", target.model)
        .key("input")
        .open_array();
    for input in &request.input {
        match input {
            Input::Text(text) => writer.text(text),
            Input::Tokens(tokens) => writer.raw(tokens),
        };
    }
    writer.close_array();
    writer
        .integer_field_if("dimensions", request.dimensions)
        .text_field_if("encoding_format", word(request.encoding))
        .text_field_if("user", request.user.as_deref());
    for extra in &request.extra {
        writer.key(&extra.name).raw(&extra.value);
    }
    writer.close();
}

fn word(encoding: Encoding) -> Option<&'static str> {
    match encoding {
        Encoding::Float => None,
        Encoding::Base64 => Some("base64"),
    }
}

/// Several inputs are as many requests in one, each with all there is to say.
fn gemini(
    request: &Embeddings<'_>,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let texts = texts(request, target)?;
    let mut rest = Vec::new();
    let mut settings = Writer::new(&mut rest);
    settings.open();
    let purpose = extras(
        request,
        Words::Google,
        &["title"],
        &mut settings,
        notes,
        target,
    );
    settings
        .text_field_if("taskType", purpose.as_deref())
        .integer_field_if("outputDimensionality", request.dimensions)
        .close();
    let settings: Vec<(String, Json<'_>)> = fields(&rest);
    let model = match target.model {
        whole if whole.starts_with("models/") || whole.starts_with("tunedModels/") => {
            whole.to_owned()
        }
        name => format!("models/{name}"),
    };
    if request.many() {
        writer.open().key("requests").open_array();
    }
    for text in texts {
        writer
            .open()
            .text_field("model", &model)
            .key("content")
            .open()
            .key("parts")
            .open_array()
            .open()
            .text_field("text", text)
            .close()
            .close_array()
            .close();
        for (name, value) in &settings {
            writer.key(name).raw(value);
        }
        writer.close();
    }
    if request.many() {
        writer.close_array().close();
    }
    Ok(())
}

/// The fields of an object that was written here.
fn fields(written: &[u8]) -> Vec<(String, Json<'_>)> {
    let text = std::str::from_utf8(written).unwrap_or("{}");
    let fields = crate::json::Object::parse(text).map(|object| {
        let own = |(name, raw): (Cow<'_, str>, _)| (name.into_owned(), Json::from(raw));
        object.rest().map(own).collect()
    });
    fields.unwrap_or_default()
}

fn cohere(
    request: &Embeddings<'_>,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    writer
        .open()
        .text_field("model", target.model)
        .key("texts")
        .open_array();
    for text in texts(request, target)? {
        writer.text(text);
    }
    writer.close_array();
    let own = ["truncate", "max_tokens", "priority"];
    let purpose = extras(request, Words::Cohere, &own, writer, notes, target);
    let purpose = purpose.unwrap_or_else(|| {
        notes.warn(format!(
            "{} wants to know what the vectors are for: `input_type` was taken to be search_document",
            target.title
        ));
        Cow::Borrowed("search_document")
    });
    writer
        .text_field("input_type", &purpose)
        .key("embedding_types")
        .open_array()
        .text("float")
        .close_array()
        .integer_field_if("output_dimension", request.dimensions)
        .close();
    Ok(())
}

fn voyage(
    request: &Embeddings<'_>,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    writer
        .open()
        .text_field("model", target.model)
        .key("input")
        .open_array();
    for text in texts(request, target)? {
        writer.text(text);
    }
    writer.close_array();
    let own = ["truncation", "output_dtype"];
    let purpose = extras(request, Words::Voyage, &own, writer, notes, target);
    writer
        .text_field_if("input_type", purpose.as_deref())
        .integer_field_if("output_dimension", request.dimensions)
        .text_field_if("encoding_format", word(request.encoding))
        .close();
    Ok(())
}
