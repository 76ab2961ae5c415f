//! Answers of `/api`: JSON, entity tags, pages.

use lockgate_host::{Answer, AnswerBody, Fetch, Headers};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question;
use serde::Serialize;
use serde_json::{Value, json};

use crate::body::shortened;

/// Items on a page where `limit` does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Items on a page at most.
const MAX_LIMIT: u32 = 1_000;

/// What a handler answers.
pub(crate) struct Reply {
    status: u16,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn answer<F: Fetch>(self, request_id: &str) -> Answer<F> {
        let mut set = vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
            ("lockgate-request-id", request_id.to_owned().into()),
        ];
        if let Some(etag) = self.etag {
            set.push(("etag", etag.into()));
        }
        Answer {
            status: self.status,
            from: None,
            set,
            body: AnswerBody::Bytes(self.body),
        }
    }
}

/// A resource in the form that is shown: its revision as an entity tag.
pub(crate) fn shown<T: Serialize>(resource: &T) -> Value {
    tagged(serde_json::to_value(resource).unwrap_or_default())
}

fn tagged(mut value: Value) -> Value {
    if let Value::Object(object) = &mut value
        && let Some(revision) = object.remove("revision")
    {
        object.insert("etag".into(), format!("\"{revision}\"").into());
    }
    value
}

/// One resource.
pub(crate) fn one<T: Serialize>(status: u16, resource: &T) -> Reply {
    value(status, shown(resource))
}

/// One resource that is JSON already, with its `revision`.
pub(crate) fn one_value(status: u16, resource: Value) -> Reply {
    value(status, tagged(resource))
}

/// One resource that has been made ready to be shown.
pub(crate) fn value(status: u16, value: Value) -> Reply {
    Reply {
        status,
        etag: value["etag"].as_str().map(str::to_owned),
        body: value.to_string().into_bytes(),
    }
}

/// Something was removed.
pub(crate) fn removed() -> Reply {
    Reply {
        status: 204,
        etag: None,
        body: Vec::new(),
    }
}

pub(crate) fn health(engine: &str) -> Reply {
    value(
        200,
        json!({"status": "ok", "engine": engine, "version": env!("CARGO_PKG_VERSION")}),
    )
}

pub(crate) fn openapi() -> Reply {
    Reply {
        status: 200,
        etag: None,
        body: include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json")).to_vec(),
    }
}

/// That nothing stands in the query but these.
pub(crate) fn only(query: Option<&str>, known: &[&str]) -> Result<(), Refusal> {
    let mut names = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((other, _)) = names.find(|(name, _)| !known.contains(&&**name)) else {
        return Ok(());
    };
    let shown = shortened(&other);
    let message = format!("There is no query parameter `{shown}` here.");
    Err(Refusal::new(Code::UNKNOWN_FIELD, message)
        .param(shown)
        .remedy(format!("Known: {}.", known.join(", "))))
}

/// Which part of a list is asked for.
pub(crate) struct Page {
    limit: u32,
    after: Option<(u64, String)>,
}

impl Page {
    /// Reads `limit` and `cursor`; what else stands in the query is refused, unless it is one of `others`.
    pub(crate) fn read(query: Option<&str>, others: &[&str]) -> Result<Self, Refusal> {
        only(query, &[&["limit", "cursor"], others].concat())?;
        let mut page = Self {
            limit: DEFAULT_LIMIT,
            after: None,
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => {
                    page.limit = value
                        .parse()
                        .ok()
                        .filter(|n| (1..=MAX_LIMIT).contains(n))
                        .ok_or_else(|| {
                            Refusal::new(
                                Code::INVALID_REQUEST,
                                format!("`limit` is a number from 1 to {MAX_LIMIT}."),
                            )
                            .param("limit")
                        })?;
                }
                "cursor" => {
                    let after = value
                        .split_once('.')
                        .and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
                    page.after = Some(after.ok_or_else(|| {
                        Refusal::new(
                            Code::INVALID_REQUEST,
                            "`cursor` is not a `next_cursor` of this list.",
                        )
                        .param("cursor")
                    })?);
                }
                // One of the others.
                _ => {}
            }
        }
        Ok(page)
    }

    /// The question: one more than the page, to see whether another follows.
    pub(crate) fn question(&self) -> question::Page {
        question::Page {
            limit: self.limit + 1,
            after: self.after.clone(),
        }
    }

    /// The page. `place` is where an item stands in the order of the list.
    pub(crate) fn reply<T: Serialize>(
        &self,
        items: Vec<T>,
        place: impl Fn(&T) -> (u64, &str),
    ) -> Reply {
        self.reply_of(items, place, |item| {
            serde_json::to_value(item).unwrap_or_default()
        })
    }

    /// The page of items that are shown in a way of their own.
    pub(crate) fn reply_of<T>(
        &self,
        mut items: Vec<T>,
        place: impl Fn(&T) -> (u64, &str),
        show: impl Fn(&T) -> Value,
    ) -> Reply {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next = items.last().filter(|_| more).map(|last| {
            let (at, id) = place(last);
            format!("{at}.{id}")
        });
        let items: Vec<Value> = items.iter().map(|item| tagged(show(item))).collect();
        value(200, json!({"items": items, "next_cursor": next}))
    }
}

/// The revision named by `If-Match`; `*` and absence name none.
pub(crate) fn expected<T: Headers>(headers: &T) -> Result<Option<u64>, Refusal> {
    let Some(text) = headers.get("if-match") else {
        return Ok(None);
    };
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    text.trim_start_matches("W/")
        .trim_matches('"')
        .parse()
        .map(Some)
        .map_err(|_| {
            Refusal::new(
                Code::STALE_ETAG,
                "`If-Match` names no state that this resource has had.",
            )
            .remedy("Send the `etag` of the last answer, such as \"3\".")
        })
}
