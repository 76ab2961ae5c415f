//! The KV engine, versions 1 and 2.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1>,
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Outcome, data, nothing, refuse};
use crate::Answer;

const TIME: &str = "2018-03-22T02:24:06.945319214Z";
const CAS: &str = "check-and-set parameter did not match the current version";

/// A mount.
pub(super) struct Store {
    version: u8,
    /// By path; the versions, of which version 1 has one.
    entries: BTreeMap<String, Vec<Kept>>,
}

struct Kept {
    content: Value,
    deleted: bool,
}

impl Store {
    pub(super) fn new(version: u8) -> Self {
        Self {
            version,
            entries: BTreeMap::new(),
        }
    }

    pub(super) fn all(&self) -> Vec<(String, Value)> {
        let newest = |(path, kept): (&String, &Vec<Kept>)| {
            kept.last().map(|kept| (path.clone(), kept.content.clone()))
        };
        self.entries.iter().filter_map(newest).collect()
    }

    pub(super) fn write(&mut self, path: &str, content: Value) -> usize {
        let kept = self.entries.entry(path.to_owned()).or_default();
        if self.version == 1 {
            kept.clear();
        }
        kept.push(Kept {
            content,
            deleted: false,
        });
        kept.len()
    }

    pub(super) fn soft_delete(&mut self, path: &str) {
        if let Some(kept) = self.entries.get_mut(path).and_then(|kept| kept.last_mut()) {
            kept.deleted = true;
        }
    }

    /// Whether a write to this path changes something.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = match self.version {
            1 => Some(path),
            _ => path.strip_prefix("data/"),
        };
        path.is_none_or(|path| self.entries.contains_key(path))
    }

    pub(super) fn answer(
        &mut self,
        path: &str,
        query: &str,
        method: &str,
        body: &Map<String, Value>,
    ) -> Outcome {
        match self.version {
            1 => self.first(path, query, method, body),
            _ => self.second(path, query, method, body),
        }
    }

    fn first(
        &mut self,
        path: &str,
        query: &str,
        method: &str,
        body: &Map<String, Value>,
    ) -> Outcome {
        if !query.is_empty() {
            return Err(refuse(400, "mock: a query that version 1 does not have"));
        }
        match method {
            "GET" => {
                let kept = self.entries.get(path).and_then(|kept| kept.last());
                kept.map(|kept| data(kept.content.clone()))
                    .ok_or_else(nothing)
            }
            "DELETE" => {
                self.entries.remove(path);
                Ok(Answer::new(204, Value::Null))
            }
            _ if body.is_empty() => Err(refuse(400, "missing data fields")),
            _ => {
                self.write(path, Value::Object(body.clone()));
                Ok(Answer::new(204, Value::Null))
            }
        }
    }

    fn second(
        &mut self,
        path: &str,
        query: &str,
        method: &str,
        body: &Map<String, Value>,
    ) -> Outcome {
        if let Some(path) = path.strip_prefix("metadata/") {
            if method != "DELETE" {
                return Err(refuse(405, "mock: only deleting metadata is here"));
            }
            self.entries.remove(path);
            return Ok(Answer::new(204, Value::Null));
        }
        let Some(path) = path.strip_prefix("data/") else {
            return Err(unversioned());
        };
        match method {
            "GET" => self.read(path, query),
            "DELETE" => {
                self.soft_delete(path);
                Ok(Answer::new(204, Value::Null))
            }
            _ => self.create(path, body),
        }
    }

    fn read(&self, path: &str, query: &str) -> Outcome {
        let kept = self.entries.get(path).ok_or_else(nothing)?;
        let version = match query.strip_prefix("version=").map(str::parse) {
            None if query.is_empty() => kept.len(),
            Some(Ok(0)) => kept.len(),
            Some(Ok(version)) => version,
            _ => return Err(refuse(400, "mock: a query that version 2 does not have")),
        };
        let found = version.checked_sub(1).and_then(|place| kept.get(place));
        let found = found.ok_or_else(nothing)?;
        let deletion_time = if found.deleted { TIME } else { "" };
        let metadata = json!({
            "created_time": TIME, "custom_metadata": null, "deletion_time": deletion_time, "destroyed": false,
            "version": version,
        });
        if found.deleted {
            let mut answer = data(json!({"data": null, "metadata": metadata}));
            answer.status = 404;
            return Err(answer);
        }
        Ok(data(json!({"data": found.content, "metadata": metadata})))
    }

    fn create(&mut self, path: &str, body: &Map<String, Value>) -> Outcome {
        if let Some(other) = body
            .keys()
            .find(|n| !["options", "data"].contains(&n.as_str()))
        {
            return Err(refuse(400, &format!("mock: the unknown field {other}")));
        }
        let Some(content @ Value::Object(_)) = body.get("data") else {
            return Err(refuse(400, "no data provided"));
        };
        let now = self.entries.get(path).map_or(0, Vec::len);
        match body.get("options") {
            None => {}
            Some(Value::Object(options)) if options.keys().all(|name| name == "cas") => {
                let cas = options.get("cas").and_then(Value::as_u64);
                let cas =
                    cas.ok_or_else(|| refuse(400, "error parsing check-and-set parameter"))?;
                if usize::try_from(cas) != Ok(now) {
                    return Err(refuse(400, CAS));
                }
            }
            Some(_) => return Err(refuse(400, "mock: options other than cas")),
        }
        let version = self.write(path, content.clone());
        Ok(data(json!({
            "created_time": TIME, "custom_metadata": null, "deletion_time": "", "destroyed": false, "version": version,
        })))
    }
}

/// What version 2 says of the paths of version 1.
fn unversioned() -> Answer {
    let mut answer = data(Value::Null);
    answer.status = 404;
    if let Some(body) = answer.body.as_object_mut() {
        body.insert(
            "warnings".to_owned(),
            json!(["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."]),
        );
    }
    answer
}
