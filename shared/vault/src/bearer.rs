//! Calls with a bearer token and JSON bodies, as Google Cloud and Azure take them: the token is kept until shortly before its
//! end, and got anew once where the service says that it is no longer good.

use std::borrow::Cow;
use std::cell::RefCell;

use lockgate_host::{Credential, Host, Method, Secret};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::line::{Call, Line, Reply};

/// A token is given up so long before its end, or a tenth of its life where that is less.
const MARGIN_MS: u64 = 300_000;

/// A token, and until when it is used.
pub(crate) struct Token {
    secret: Secret,
    until_ms: u64,
}

impl Token {
    /// One that was given at `now_ms` for so many seconds.
    pub(crate) fn new(secret: Secret, now_ms: u64, seconds: u64) -> Self {
        let life = seconds.saturating_mul(1_000);
        let used = life - MARGIN_MS.min(life / 10);
        Self {
            secret,
            until_ms: now_ms.saturating_add(used),
        }
    }
}

/// The token that is kept. It is never borrowed while something is awaited, so that requests do not meet in it; two that find
/// none both log in, which does no harm.
#[derive(Default)]
pub(crate) struct Bearer(RefCell<Option<Token>>);

/// A call but for its token.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    /// JSON, or empty where the API takes none.
    pub(crate) body: &'a [u8],
    /// See [`Call::busy`].
    pub(crate) busy: fn(&Reply) -> bool,
}

impl Bearer {
    /// Makes a call, with a token from `login` where none is kept.
    pub(crate) async fn ask<H: Host>(
        &self,
        line: &Line<'_, H>,
        login: impl AsyncFn() -> Result<Token, VaultError>,
        ask: &Ask<'_>,
    ) -> Result<Reply, VaultError> {
        if let Some(token) = self.kept(line.host.now_ms()) {
            let reply = send(line, ask, &token).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            self.forget(&token);
        }
        let token = login().await?;
        let secret = token.secret.clone();
        *self.0.borrow_mut() = Some(token);
        let reply = send(line, ask, &secret).await?;
        if reply.status == 401 {
            self.forget(&secret);
        }
        Ok(reply)
    }

    fn kept(&self, now_ms: u64) -> Option<Secret> {
        let kept = self.0.borrow();
        let good = kept.as_ref().filter(|token| now_ms < token.until_ms);
        good.map(|token| token.secret.clone())
    }

    /// Forgets a token, unless it is another one by now.
    fn forget(&self, secret: &Secret) {
        let mut kept = self.0.borrow_mut();
        if kept
            .as_ref()
            .is_some_and(|token| token.secret.expose() == secret.expose())
        {
            *kept = None;
        }
    }

    /// What a service said, for showing it; nothing of it where it repeats the token or one of `secrets`.
    pub(crate) fn words<'s>(&self, said: &'s str, secrets: &[&str]) -> &'s str {
        let kept = self.0.borrow();
        let token = kept.as_ref().and_then(|token| token.secret.expose_str());
        let mut all = secrets.iter().copied().chain(token);
        if all.any(|secret| !secret.is_empty() && said.contains(secret)) {
            return "(left out, since it repeats a secret)";
        }
        said
    }
}

async fn send<H: Host>(
    line: &Line<'_, H>,
    ask: &Ask<'_>,
    token: &Secret,
) -> Result<Reply, VaultError> {
    let mut headers = vec![("accept", Cow::Borrowed("application/json"))];
    if !ask.body.is_empty() {
        headers.push(("content-type", Cow::Borrowed("application/json")));
    }
    line.call(&Call {
        method: ask.method.clone(),
        url: ask.url.to_owned(),
        headers,
        credential: Some(Credential {
            header: "authorization",
            prefix: "Bearer ",
            secret: token,
        }),
        body: Zeroizing::new(ask.body.to_vec()),
        busy: ask.busy,
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use lockgate_host::Secret;

    use super::{Bearer, Token};

    fn bearer(token: Token) -> Bearer {
        let bearer = Bearer::default();
        *bearer.0.borrow_mut() = Some(token);
        bearer
    }

    #[test]
    fn a_token_is_given_up_shortly_before_its_end() {
        for (seconds, used) in [(3_600, 3_300_000), (60, 54_000), (0, 0)] {
            let bearer = bearer(Token::new(Secret::from("t".to_owned()), 1_000_000, seconds));
            assert!(bearer.kept(1_000_000 + used).is_none(), "{seconds}");
            if used > 0 {
                let kept = bearer.kept(1_000_000 + used - 1).unwrap();
                assert_eq!(kept.expose(), b"t");
            }
        }
    }

    #[test]
    fn only_the_token_that_was_refused_is_forgotten() {
        let bearer = bearer(Token::new(Secret::from("new".to_owned()), 0, 10));
        bearer.forget(&Secret::from("old".to_owned()));
        assert!(bearer.kept(0).is_some());
        bearer.forget(&Secret::from("new".to_owned()));
        assert!(bearer.kept(0).is_none());
    }

    #[test]
    fn words_that_repeat_a_secret_are_left_out() {
        let bearer = bearer(Token::new(Secret::from("tok".to_owned()), 0, 10));
        assert_eq!(bearer.words("no such key", &["", "sec"]), "no such key");
        for said in ["tok is bad", "you sent a secret"] {
            assert!(bearer.words(said, &["sec"]).starts_with("(left out"));
        }
    }
}
