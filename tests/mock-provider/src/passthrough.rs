//! What OpenAI has beside chats: images, audio, moderations, files and batches. Nothing is validated; the answers look like
//! OpenAI's and tell how much arrived.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, text};
use crate::openai::CREATED;
use crate::play::Script;

/// One pixel of PNG.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The answer, if the path is one of these.
pub(crate) fn answer(ask: &Ask<'_>) -> Option<Answer> {
    let path = ask.path;
    let length = ask.body.len();
    let json = |body: &Value| Some(Answer::json(200, body.to_string().into()));
    let file = |id: &str| json!({"id": id, "object": "file", "bytes": length, "created_at": CREATED, "filename": "mock.jsonl", "purpose": "batch", "status": "processed"});
    let batch = |id: &str, status: &str| json!({"id": id, "object": "batch", "endpoint": "/v1/chat/completions", "errors": null, "input_file_id": "file-mock", "completion_window": "24h", "status": status, "created_at": CREATED});
    let ends = |end: &str| path.ends_with(end);
    if ask.method == "POST" {
        return if ends("/images/generations") || ends("/images/edits") || ends("/images/variations")
        {
            json(
                &json!({"created": CREATED, "data": [{"b64_json": PNG}], "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}}),
            )
        } else if ends("/audio/speech") {
            let sound: Bytes = (0..=255_u8).cycle().take(4096).collect();
            Some(Answer::new(200, "audio/mpeg", Script::whole(sound)))
        } else if ends("/audio/transcriptions") || ends("/audio/translations") {
            json(&json!({"text": format!("{length} bytes were heard.")}))
        } else if ends("/moderations") {
            json(
                &json!({"id": "modr-mock", "model": "omni-moderation-latest", "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.001}}]}),
            )
        } else if ends("/files") {
            json(&file("file-mock"))
        } else if ends("/batches") {
            let asked: Value = serde_json::from_slice(ask.body).unwrap_or_default();
            let mut made = batch("batch_mock", "validating");
            if !text(&asked, "input_file_id").is_empty() {
                made["input_file_id"] = asked["input_file_id"].clone();
            }
            json(&made)
        } else if ends("/cancel") && path.contains("/batches/") {
            json(&batch(path.rsplit('/').nth(1)?, "cancelling"))
        } else {
            None
        };
    }
    let list = |one: Value| json!({"object": "list", "data": [one], "has_more": false});
    if ask.method == "GET" && ends("/files") {
        return json(&list(file("file-mock")));
    }
    if ask.method == "GET" && ends("/batches") {
        return json(&list(batch("batch_mock", "completed")));
    }
    let (before, id) = path.rsplit_once('/')?;
    match (ask.method, id) {
        ("GET", "content") if before.contains("/files/") => {
            let lines = Bytes::from_static(b"{\"custom_id\":\"1\"}\n{\"custom_id\":\"2\"}\n");
            Some(Answer::new(
                200,
                "application/octet-stream",
                Script::whole(lines),
            ))
        }
        ("GET", id) if before.ends_with("/files") => json(&file(id)),
        ("DELETE", id) if before.ends_with("/files") => {
            json(&json!({"id": id, "object": "file", "deleted": true}))
        }
        ("GET", id) if before.ends_with("/batches") => json(&batch(id, "completed")),
        _ => None,
    }
}
