//! Tokens: got by AppRole or given, renewed before they end, and got anew when the server takes them no more. They are kept
//! in this isolate's memory only.
//!
//! Requests at the same time may each log in; the server's tokens do not mind. Waiting for each other would need one request
//! to wake another, which not every engine allows.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/auth/approle>,
//! <https://developer.hashicorp.com/vault/api-docs/auth/token>.

use std::rc::Rc;

use lockgate_host::{Host, Method, Secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Connection, Question, object, secret};
use crate::VaultError;
use crate::line::{Line, Reply};

/// How a token is had.
pub(super) enum Login {
    /// It was given.
    Static(Rc<Secret>),
    /// By the role's credentials.
    AppRole {
        mount: String,
        role_id: Secret,
        secret_id: Secret,
    },
}

impl Login {
    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<&[u8]> {
        match self {
            Self::Static(token) => vec![token.expose()],
            Self::AppRole {
                role_id, secret_id, ..
            } => vec![role_id.expose(), secret_id.expose()],
        }
    }
}

/// A token and what is known of its life.
pub(super) struct Token {
    secret: Rc<Secret>,
    life: Life,
    /// Until when somebody sees to its renewal, so that the others need not.
    attended: u64,
}

impl Token {
    pub(super) fn expose(&self) -> &[u8] {
        self.secret.expose()
    }
}

/// When a token was made or renewed, and for how long; ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    began: u64,
    /// 0 for a token that does not end, or whose end nobody here can put off.
    lasts: u64,
    /// What it was given at first: a renewal that gives less says that it cannot live much longer.
    full: u64,
    renewable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Renewal,
    /// A login, in good time or too late.
    Login,
}

impl Life {
    const ENDLESS: Self = Self {
        began: 0,
        lasts: 0,
        full: 0,
        renewable: false,
    };

    fn ended(&self, now: u64) -> bool {
        self.lasts > 0 && now.saturating_sub(self.began) >= self.lasts
    }

    /// What is to be done. Half of a life is enough to wait: there is time for an outage in the other.
    fn due(&self, now: u64) -> Due {
        if self.lasts == 0 || now.saturating_sub(self.began) < self.lasts / 2 {
            Due::Nothing
        } else if self.renewable && !self.ended(now) {
            Due::Renewal
        } else {
            Due::Login
        }
    }

    /// The life after a renewal that gave `lasts`.
    fn renewed(&self, now: u64, lasts: u64, renewable: bool) -> Self {
        Self {
            began: now,
            lasts,
            full: self.full,
            renewable: renewable && lasts >= self.full,
        }
    }
}

/// What a login and a renewal answer.
#[derive(Deserialize)]
struct Granted {
    auth: Grant,
}

#[derive(Deserialize)]
struct Grant {
    #[serde(deserialize_with = "secret")]
    client_token: Secret,
    /// Seconds.
    lease_duration: u64,
    renewable: bool,
}

/// What a token says of itself; seconds.
#[derive(Deserialize)]
struct Looked {
    data: Own,
}

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    creation_ttl: u64,
    #[serde(default)]
    period: u64,
    #[serde(default)]
    renewable: bool,
}

impl Connection {
    /// A token to ask with.
    pub(super) async fn token<H: Host>(
        &self,
        line: &Line<'_, H>,
    ) -> Result<Rc<Secret>, VaultError> {
        let now = line.host.now_ms();
        let (known, due) = {
            let mut token = self.token.borrow_mut();
            match token.as_mut() {
                None => (None, Due::Login),
                Some(token) => {
                    let ended = token.life.ended(now);
                    let due = match token.life.due(now) {
                        _ if !ended && now < token.attended => Due::Nothing,
                        due => due,
                    };
                    if due != Due::Nothing {
                        let timeout = u64::try_from(line.timeout.as_millis());
                        token.attended = now.saturating_add(timeout.unwrap_or(u64::MAX));
                    }
                    let living = (!ended).then(|| (Rc::clone(&token.secret), token.life));
                    (living, due)
                }
            }
        };
        match (known, due) {
            (Some((secret, _)), Due::Nothing) => Ok(secret),
            (Some((secret, life)), Due::Renewal) => self.renew(line, secret, life).await,
            // It is good for a while yet.
            (Some((secret, _)), Due::Login) => match self.login(line).await {
                Err(VaultError::Unavailable { .. }) => Ok(secret),
                other => other,
            },
            (None, _) => self.login(line).await,
        }
    }

    /// Whether the server still knows a token. One whose policy does not let it ask counts as unknown.
    pub(super) async fn lives<H: Host>(
        &self,
        line: &Line<'_, H>,
        token: &Secret,
    ) -> Result<bool, VaultError> {
        Ok(self.look(line, token).await?.ok())
    }

    /// Another token for one that the server does not take; none where it was a given one.
    pub(super) async fn replace<H: Host>(
        &self,
        line: &Line<'_, H>,
        token: &Rc<Secret>,
    ) -> Result<Option<Rc<Secret>>, VaultError> {
        if matches!(self.login, Login::Static(_)) {
            return Ok(None);
        }
        let newer = self.token.borrow().as_ref().map(|t| Rc::clone(&t.secret));
        match newer {
            // Somebody else has seen to it.
            Some(newer) if !Rc::ptr_eq(&newer, token) => Ok(Some(newer)),
            _ => self.login(line).await.map(Some),
        }
    }

    async fn login<H: Host>(&self, line: &Line<'_, H>) -> Result<Rc<Secret>, VaultError> {
        let (secret, life) = match &self.login {
            Login::Static(token) => (Rc::clone(token), self.given(line, token).await?),
            Login::AppRole {
                mount,
                role_id,
                secret_id,
            } => {
                let text = |secret: &Secret| {
                    Zeroizing::new(secret.expose_str().unwrap_or_default().to_owned())
                };
                let question = Question {
                    method: Method::POST,
                    path: format!("auth/{mount}/login"),
                    body: object(&[("role_id", &text(role_id)), ("secret_id", &text(secret_id))]),
                    capability: "update",
                    hidden: &[],
                };
                let reply = self.send(line, &question, None).await?;
                if !reply.ok() {
                    let words = self.words(&reply, &[]);
                    let words = words.ok_or_else(|| line.nonsense("a login"))?;
                    return Err(line.refused(format!(
                        "no login with LOCKGATE_VAULT_ROLE_ID and LOCKGATE_VAULT_SECRET_ID at `auth/{mount}`: {words}"
                    )));
                }
                let grant = granted(&reply).ok_or_else(|| line.nonsense("a login"))?;
                let lasts = grant.lease_duration.saturating_mul(1_000);
                let life = Life {
                    began: line.host.now_ms(),
                    lasts,
                    full: lasts,
                    renewable: grant.renewable,
                };
                (Rc::new(grant.client_token), life)
            }
        };
        *self.token.borrow_mut() = Some(Token {
            secret: Rc::clone(&secret),
            life,
            attended: 0,
        });
        Ok(secret)
    }

    /// The life of a token that was given. Where it may not say, nobody renews it.
    async fn given<H: Host>(&self, line: &Line<'_, H>, token: &Secret) -> Result<Life, VaultError> {
        let reply = self.look(line, token).await?;
        let looked = reply.json::<Looked>().filter(|_| reply.ok());
        let Some(Looked { data: own }) = looked.filter(|looked| looked.data.renewable) else {
            return Ok(Life::ENDLESS);
        };
        let lasts = own.creation_ttl.max(own.period).max(own.ttl);
        Ok(Life {
            // An instance may live shorter than half a life, so the life counts from when the token was last renewed.
            began: line
                .host
                .now_ms()
                .saturating_sub(lasts.saturating_sub(own.ttl).saturating_mul(1_000)),
            lasts: lasts.saturating_mul(1_000),
            full: 0,
            renewable: true,
        })
    }

    async fn look<H: Host>(&self, line: &Line<'_, H>, token: &Secret) -> Result<Reply, VaultError> {
        let question = Question {
            method: Method::GET,
            path: "auth/token/lookup-self".into(),
            body: Zeroizing::default(),
            capability: "read",
            hidden: &[],
        };
        self.send(line, &question, Some(token)).await
    }

    /// Renews a token, or gets another where the server does not renew it.
    async fn renew<H: Host>(
        &self,
        line: &Line<'_, H>,
        token: Rc<Secret>,
        life: Life,
    ) -> Result<Rc<Secret>, VaultError> {
        let question = Question {
            method: Method::POST,
            path: "auth/token/renew-self".into(),
            body: object(&[]),
            capability: "update",
            hidden: &[],
        };
        let reply = match self.send(line, &question, Some(&token)).await {
            // It is good for a while yet.
            Err(VaultError::Unavailable { .. }) => return Ok(token),
            other => other?,
        };
        let life = match granted(&reply) {
            Some(grant) if reply.ok() => {
                let lasts = grant.lease_duration.saturating_mul(1_000);
                life.renewed(line.host.now_ms(), lasts, grant.renewable)
            }
            _ if matches!(self.login, Login::Static(_)) => Life::ENDLESS,
            _ => return self.login(line).await,
        };
        if let Some(kept) = self.token.borrow_mut().as_mut()
            && Rc::ptr_eq(&kept.secret, &token)
        {
            kept.life = life;
            kept.attended = 0;
        }
        Ok(token)
    }
}

fn granted(reply: &Reply) -> Option<Grant> {
    let granted: Granted = reply.json()?;
    let token = granted.auth.client_token.expose();
    let is_one = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    is_one.then_some(granted.auth)
}

#[cfg(test)]
mod tests {
    use super::{Due, Life};

    const LIFE: Life = Life {
        began: 1_000,
        lasts: 100,
        full: 100,
        renewable: true,
    };

    #[test]
    fn it_is_renewed_before_it_ends() {
        assert_eq!(LIFE.due(1_049), Due::Nothing);
        assert_eq!(LIFE.due(1_050), Due::Renewal);
        assert_eq!(LIFE.due(1_099), Due::Renewal);
        assert_eq!(LIFE.due(1_100), Due::Login);
        // A clock that was set back.
        assert_eq!(LIFE.due(0), Due::Nothing);
        let fixed = Life {
            renewable: false,
            ..LIFE
        };
        assert_eq!(fixed.due(1_049), Due::Nothing);
        assert_eq!(fixed.due(1_050), Due::Login);
        assert!(!fixed.ended(1_099));
        assert!(fixed.ended(1_100));
        assert_eq!(Life::ENDLESS.due(u64::MAX), Due::Nothing);
        assert!(!Life::ENDLESS.ended(u64::MAX));
    }

    #[test]
    fn a_renewal_that_gives_less_is_the_last() {
        let whole = LIFE.renewed(1_050, 100, true);
        assert_eq!(whole.due(1_100), Due::Renewal);
        let last = LIFE.renewed(1_050, 60, true);
        assert_eq!(last.due(1_079), Due::Nothing);
        assert_eq!(last.due(1_080), Due::Login);
        assert_eq!(LIFE.renewed(1_050, 100, false).due(1_100), Due::Login);
    }
}
