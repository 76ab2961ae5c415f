//! How things stand with the vault of a running gateway: what `GET /api/vault` answers, its pages added up.

use anyhow::Context;
use lockgate_vault::LOCAL;
use serde::{Deserialize, Serialize};

use crate::remote::{Remote, escaped};

/// The answer, as far as commands look at it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) adapter: String,
    pub(crate) kek: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) keks: Vec<Under>,
    pub(crate) secrets: u64,
    pub(crate) under_kek: Option<u64>,
    pub(crate) token_keys: String,
    pub(crate) leftovers: u64,
    pub(crate) bridge: bool,
    pub(crate) outage_ms: u64,
    next_cursor: Option<String>,
}

/// One KEK and what is under it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Under {
    pub(crate) kek: String,
    pub(crate) adapter: String,
    pub(crate) in_force: bool,
    pub(crate) readable: bool,
    pub(crate) secrets: u64,
}

impl Standing {
    /// Asks for all pages.
    pub(crate) async fn of(remote: &Remote) -> anyhow::Result<Self> {
        let mut sum = Self::page(remote, "/api/vault").await?;
        while let Some(cursor) = sum.next_cursor.take() {
            let path = format!("/api/vault?cursor={}", escaped(&cursor));
            sum.add(Self::page(remote, &path).await?);
        }
        Ok(sum)
    }

    async fn page(remote: &Remote, path: &str) -> anyhow::Result<Self> {
        let answer = remote.get(path).await?;
        serde_json::from_value(answer)
            .with_context(|| format!("the gateway's answer to {path} is not one of this version"))
    }

    fn add(&mut self, page: Self) {
        for more in page.keks {
            match self.keks.iter_mut().find(|known| known.kek == more.kek) {
                Some(known) => known.secrets += more.secrets,
                None => self.keks.push(more),
            }
        }
        self.secrets += page.secrets;
        self.leftovers += page.leftovers;
        // Where the vault stops answering in between, or has just rotated, less is known of it.
        self.under_kek = match (self.under_kek, page.under_kek) {
            (Some(sum), Some(more)) if self.kek == page.kek => Some(sum + more),
            _ => None,
        };
        self.error = self.error.take().or(page.error);
        self.next_cursor = page.next_cursor;
    }

    /// The local KEK in force: of the local ones the first.
    pub(crate) fn local(&self) -> Option<&str> {
        let mut local = self.keks.iter().filter(|under| under.adapter == LOCAL);
        local.next().map(|under| under.kek.as_str())
    }

    /// Whether the gateway knows this KEK.
    pub(crate) fn lists(&self, kek: &str) -> bool {
        self.keks.iter().any(|under| under.kek == kek)
    }

    /// How many secrets are not under the KEK in force, where that is known.
    pub(crate) fn to_move(&self) -> Option<u64> {
        Some(self.secrets.saturating_sub(self.under_kek?))
    }

    /// Whether what gateway keys are recognised by is under a KEK that is not the local one in force.
    pub(crate) fn token_keys_to_move(&self) -> bool {
        self.local() != Some(self.token_keys.as_str())
    }

    /// What still needs a local KEK, in words.
    pub(crate) fn needs(&self, kek: &str) -> Option<String> {
        let secrets = self
            .keks
            .iter()
            .find(|under| under.kek == kek)
            .map_or(0, |under| under.secrets);
        if secrets > 0 {
            return Some(format!("secrets that are under it: {secrets}"));
        }
        (self.token_keys == kek)
            .then(|| "what gateway keys are recognised by is under it".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(under: &[(&str, u64)], next: Option<&str>) -> Standing {
        let keks: Vec<_> = under
            .iter()
            .map(|(kek, secrets)| {
                json!({"kek": kek, "adapter": "local", "in_force": *kek == "new", "readable": true, "secrets": secrets})
            })
            .collect();
        let all: u64 = under.iter().map(|(_, secrets)| secrets).sum();
        let current: u64 = under
            .iter()
            .filter(|(kek, _)| *kek == "new")
            .map(|(_, n)| n)
            .sum();
        serde_json::from_value(json!({
            "adapter": "local", "kek": "new", "error": null, "keks": keks, "secrets": all, "under_kek": current,
            "token_keys": "old", "leftovers": 1, "bridge": false, "outage_ms": 1, "next_cursor": next,
        }))
        .unwrap()
    }

    #[test]
    fn pages_are_added_up() {
        let mut sum = page(&[("new", 2), ("old", 3)], Some("x"));
        sum.add(page(&[("new", 1), ("older", 4)], None));
        assert_eq!(
            (sum.secrets, sum.under_kek, sum.to_move()),
            (10, Some(3), Some(7))
        );
        assert_eq!((sum.leftovers, sum.keks.len()), (2, 3));
        assert_eq!(sum.next_cursor, None);
        assert_eq!(sum.local(), Some("new"));
        assert!(sum.token_keys_to_move());
        assert_eq!(sum.needs("older").unwrap(), "secrets that are under it: 4");
        assert!(sum.needs("old").is_some() && sum.needs("oldest").is_none());
    }

    #[test]
    fn a_vault_that_stops_answering_between_pages_leaves_it_unknown() {
        let mut sum = page(&[("new", 2)], Some("x"));
        let mut away = page(&[("new", 1)], None);
        (away.kek, away.under_kek) = (None, None);
        away.error = Some("gone".into());
        sum.add(away);
        assert_eq!((sum.to_move(), sum.error.as_deref()), (None, Some("gone")));
    }
}
