//! Tokens, AppRole and policies.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/auth/token>,
//! <https://developer.hashicorp.com/vault/api-docs/auth/approle>,
//! <https://developer.hashicorp.com/vault/docs/concepts/policies>.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::{Outcome, State, data, no_route, random, refuse, texts};
use crate::Answer;

/// A token. Seconds.
pub(super) struct Token {
    policies: Vec<String>,
    creation_ttl: u64,
    period: u64,
    pub(super) left: u64,
    /// What a renewal gives; none where it is refused.
    pub(super) renewal: Option<u64>,
}

impl Token {
    pub(super) fn new(policies: &[&str], ttl: u64, period: u64) -> Self {
        Self {
            policies: policies.iter().map(|&name| name.to_owned()).collect(),
            creation_ttl: ttl,
            period,
            left: ttl,
            renewal: (ttl > 0).then_some(ttl),
        }
    }

    fn renewable(&self) -> bool {
        self.creation_ttl > 0
    }

    fn granted(&self, text: &str) -> Answer {
        let auth = json!({
            "client_token": text, "accessor": "ReRhDEfFnhmXmHBaj1Gjq0Vt", "policies": self.policies,
            "token_policies": self.policies, "metadata": null, "lease_duration": self.left,
            "renewable": self.renewable(), "entity_id": "", "token_type": "service", "orphan": true,
        });
        Answer::new(
            200,
            json!({
                "request_id": "", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null,
                "wrap_info": null, "warnings": null, "auth": auth,
            }),
        )
    }
}

/// A role with one secret.
pub(super) struct Role {
    role_id: String,
    secret_id: Option<String>,
    policies: Vec<String>,
    ttl: u64,
}

impl Role {
    pub(super) fn new(role_id: &str, secret_id: &str, policies: &[&str], ttl: u64) -> Self {
        Self {
            role_id: role_id.to_owned(),
            secret_id: Some(secret_id.to_owned()),
            policies: policies.iter().map(|&name| name.to_owned()).collect(),
            ttl,
        }
    }

    pub(super) fn forget(&mut self, secret_id: &str) {
        self.secret_id.take_if(|own| own == secret_id);
    }
}

/// What paths allow: the path, with a `*` at its end where it stands for all that begin so, and the capabilities.
pub(super) struct Policy(Vec<(String, Vec<String>)>);

impl Policy {
    /// Reads HCL.
    ///
    /// # Panics
    /// If it is not of the form that [`Hashicorp::policy`](super::Hashicorp::policy) describes.
    pub(super) fn read(hcl: &str) -> Self {
        let plain: String = hcl
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .collect();
        let mut rules = Vec::new();
        for rule in plain.split_terminator('}') {
            let mut quoted = rule.split('"').skip(1).step_by(2).map(str::to_owned);
            let named = rule.trim().starts_with("path \"") && rule.contains("capabilities = [");
            let path = quoted.next().filter(|_| named);
            let capabilities: Vec<String> = quoted.collect();
            let known = [
                "create", "read", "update", "delete", "list", "patch", "deny",
            ];
            let all_known = capabilities.iter().all(|c| known.contains(&c.as_str()));
            assert!(path.is_some() && all_known, "no rule of a policy: {rule}");
            rules.extend(path.map(|path| (path, capabilities)));
        }
        Self(rules)
    }

    fn allows(&self, path: &str, capability: &str) -> bool {
        let matching = |rule: &str| match rule.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == rule,
        };
        // The most specific rule is the only one that counts.
        let best = self
            .0
            .iter()
            .filter(|(rule, _)| matching(rule))
            .max_by_key(|(rule, _)| (!rule.ends_with('*'), rule.len()));
        best.is_some_and(|(_, capabilities)| capabilities.iter().any(|c| c == capability))
    }
}

impl State {
    pub(super) fn login(&mut self, mount: &str, body: &Map<String, Value>) -> Outcome {
        let [role_id, secret_id] = texts(body, ["role_id", "secret_id"])?;
        for (text, name) in [(role_id, "role_id"), (secret_id, "secret_id")] {
            if text.is_empty() {
                return Err(refuse(400, &format!("missing {name}")));
            }
        }
        let mut roles = self.roles.get(mount).into_iter().flatten();
        let role = roles.find(|role| role.role_id == role_id);
        let role = role.ok_or_else(|| refuse(400, "invalid role or secret ID"))?;
        match &role.secret_id {
            Some(own) if own == secret_id => {}
            Some(_) => return Err(refuse(400, "invalid role or secret ID")),
            // The real server has such words for a secret whose uses have run out while it looked.
            None => {
                return Err(refuse(400, &format!("invalid secret_id \"{secret_id}\"")));
            }
        }
        let policies: Vec<&str> = role.policies.iter().map(String::as_str).collect();
        let token = Token::new(&policies, role.ttl, 0);
        let text = format!("hvs.{}", HEXLOWER.encode(&random::<16>()));
        let answer = token.granted(&text);
        self.tokens.insert(text, token);
        self.logins += 1;
        Ok(answer)
    }

    /// What a token may ask of its own.
    pub(super) fn token_itself(
        &mut self,
        text: &str,
        own: &str,
        method: &str,
        body: &Map<String, Value>,
    ) -> Outcome {
        let Some(token) = self.tokens.get_mut(text) else {
            return Err(refuse(403, "permission denied"));
        };
        match (method, own) {
            ("GET", "lookup-self") => Ok(data(json!({
                "accessor": "8609694a-cdbc-db9b-d345-e782dbb562ed", "creation_time": 1_523_979_354,
                "creation_ttl": token.creation_ttl, "display_name": "token", "entity_id": "",
                "explicit_max_ttl": 0, "id": text, "meta": null, "num_uses": 0, "orphan": true,
                "path": "auth/token/create", "period": token.period, "policies": token.policies,
                "renewable": token.renewable(), "ttl": token.left, "type": "service",
            }))),
            ("POST", "renew-self") => {
                texts(body, ["increment"])?;
                if !token.renewable() {
                    return Err(refuse(400, "lease is not renewable"));
                }
                let renewal = token.renewal;
                token.left =
                    renewal.ok_or_else(|| refuse(400, "past the max TTL, cannot renew"))?;
                Ok(token.granted(text))
            }
            _ => Err(no_route(own)),
        }
    }

    /// Whether a token's policies allow a request.
    pub(super) fn permit(&self, token: &str, method: &str, path: &str) -> Result<(), Answer> {
        let capability = match method {
            "GET" => "read",
            "DELETE" => "delete",
            _ if self.exists(path) => "update",
            _ => "create",
        };
        let own = matches!(
            (path, capability),
            ("auth/token/lookup-self", "read") | ("auth/token/renew-self", "update")
        );
        let policies = self.tokens.get(token).map(|token| &token.policies);
        let allowed = policies
            .into_iter()
            .flatten()
            .any(|name| match name.as_str() {
                "root" => true,
                "default" => own,
                name => self
                    .policies
                    .get(name)
                    .is_some_and(|policy| policy.allows(path, capability)),
            });
        match allowed {
            true => Ok(()),
            false => Err(refuse(403, "1 error occurred:\n\t* permission denied\n\n")),
        }
    }

    /// Whether a write changes something that is there, which is another capability than making it.
    fn exists(&self, path: &str) -> bool {
        for (mount, store) in &self.stores {
            if let Some(rest) = path.strip_prefix(&format!("{mount}/")) {
                return store.has(rest);
            }
        }
        for (mount, keys) in &self.keys {
            if let Some(name) = path.strip_prefix(&format!("{mount}/encrypt/")) {
                return keys.contains_key(name);
            }
        }
        true
    }
}
