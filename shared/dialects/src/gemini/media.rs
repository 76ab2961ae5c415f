//! Pictures, sound and documents: <https://ai.google.dev/gemini-api/docs/file-input-methods>.
//!
//! Bytes are `inlineData`; files of Google's own and public https URLs are `fileData`.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::fields::Fields;
use crate::json::{Problem, Writer};
use crate::request::{Content, Source};
use crate::support::{Feature, Notes, Unsupported};

/// Where uploaded files are: <https://ai.google.dev/api/files>.
const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/files/";

/// Types by the end of a file's name, of those that Google takes.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("bmp", "image/bmp"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("xml", "text/xml"),
    ("json", "application/json"),
    ("mp4", "video/mp4"),
    ("mov", "video/mov"),
    ("webm", "video/webm"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
];

/// The type that a URL's or a file's name tells.
fn media_type(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next()?;
    let file = path.rsplit('/').next()?;
    let (_, end) = file.rsplit_once('.')?;
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(end))
        .map(|(_, media_type)| *media_type)
}

/// What a part of `inlineData` is.
pub(super) fn inline<'a>(media_type: Cow<'a, str>, data: Cow<'a, str>) -> Content<'a> {
    if let Some(format) = media_type.strip_prefix("audio/") {
        let format = match format {
            "mpeg" => "mp3".into(),
            "x-wav" | "wave" => "wav".into(),
            other => other.to_owned().into(),
        };
        return Content::Audio { data, format };
    }
    let image = media_type.starts_with("image/");
    let source = Source::Base64 { media_type, data };
    if image {
        Content::Image {
            source,
            detail: None,
        }
    } else {
        Content::File { source, name: None }
    }
}

/// Reads `inlineData`.
pub(super) fn read_inline<'a>(fields: &mut Fields<'a>) -> Result<Content<'a>, Problem> {
    let media_type = fields.required_text("mimeType")?;
    let data = fields.required_text("data")?;
    let name = fields.text("displayName")?;
    Ok(match inline(media_type, data) {
        Content::File { source, .. } => Content::File { source, name },
        other => other,
    })
}

/// Reads `fileData`.
pub(super) fn read_file<'a>(fields: &mut Fields<'a>) -> Result<Content<'a>, Problem> {
    let uri = fields.required_text("fileUri")?;
    let media_type = fields.text("mimeType")?;
    let name = fields.text("displayName")?;
    let known = media_type.as_deref().or_else(|| self::media_type(&uri));
    let image = known.is_some_and(|known| known.starts_with("image/"));
    let source = match uri.strip_prefix(FILES) {
        Some(id) => Source::Id(format!("files/{id}").into()),
        None => Source::Url(uri),
    };
    Ok(if image {
        Content::Image {
            source,
            detail: None,
        }
    } else {
        Content::File { source, name }
    })
}

/// Writes a picture or document as a part.
pub(super) fn write(
    source: &Source<'_>,
    image: bool,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    match source {
        Source::Base64 { media_type, data } => write_inline(writer, media_type, data),
        Source::Text(text) => write_inline(writer, "text/plain", &BASE64.encode(text.as_bytes())),
        Source::Id(id) => {
            let uri = match id.strip_prefix("files/") {
                None if id.contains("://") => Cow::Borrowed(&**id),
                id_alone => Cow::Owned(format!("{FILES}{}", id_alone.unwrap_or(id))),
            };
            write_file(writer, &uri);
        }
        Source::Url(url) if url.starts_with("https://") || url.starts_with("gs://") => {
            write_file(writer, url);
        }
        Source::Url(_) => {
            let (feature, field) = if image {
                (Feature::ImageUrl, "image_url.url")
            } else {
                (Feature::FileUrl, "file.file_url")
            };
            return notes.lost(feature, field, "it fetches https URLs only");
        }
    }
    Ok(())
}

/// Writes sound as a part.
pub(super) fn write_audio(writer: &mut Writer<'_>, format: &str, data: &str) {
    write_inline(writer, &format!("audio/{format}"), data);
}

/// Writes a part of `inlineData`.
pub(super) fn write_inline(writer: &mut Writer<'_>, media_type: &str, data: &str) {
    writer
        .open()
        .key("inlineData")
        .open()
        .text_field("mimeType", media_type)
        .text_field("data", data)
        .close()
        .close();
}

fn write_file(writer: &mut Writer<'_>, uri: &str) {
    writer
        .open()
        .key("fileData")
        .open()
        .text_field_if("mimeType", media_type(uri))
        .text_field("fileUri", uri)
        .close()
        .close();
}
