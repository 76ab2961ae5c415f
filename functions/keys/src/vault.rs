//! The vault: which KEKs there are and how many secrets are under each, moving secrets under the KEK in force, and making a
//! new version of it (FEATURES G4). For tokens of all workspaces: a KEK is the installation's.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_vault::{Kek, LOCAL, VaultError, Vaults};
use lockgate_workspace::question::{DataQuestion, Question, Reply, SealedCounts};
use lockgate_workspace::resource::{Timestamp, Workspace};
use lockgate_workspace::token_keys::carry;
use lockgate_workspace::{AskError, Batch, REGISTRY, ask, forget, new_id, rewrap};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::respond::{self, only, value};
use crate::tick::workspaces;

/// Workspaces that one call looks into.
const MAX_VISITS: usize = 500;
/// Secrets that one call moves where it does not say how many.
const DEFAULT_LIMIT: u32 = 100;
/// Secrets that one call moves at most.
const MAX_LIMIT: u32 = 500;
/// Secrets that are moved in one transaction, after which the leases are waited out once.
const BATCH: u32 = 25;
/// Secrets of a workspace that a tick moves.
const TICK_LIMIT: u32 = 20;
/// An entry that nothing points to is removed by the tick after so long: whoever is just writing it has come to his end.
const LEFT_FOR_MS: u64 = 10 * 60_000;
/// Such entries that a tick removes in a workspace.
const MAX_LEFTOVERS: u32 = 100;
/// A tick asks the vault for its KEK again after so long.
const ASK_AGAIN_MS: u64 = 10 * 60_000;
/// Failures that an answer names.
const MAX_FAILURES: usize = 20;

thread_local! {
    /// The KEK in force as a tick has learnt it, and when.
    static TARGET: RefCell<Option<(u64, String)>> = const { RefCell::new(None) };
}

/// What is sealed in some workspaces, added up.
#[derive(Default)]
struct Counts {
    secrets: BTreeMap<String, u64>,
    leftovers: u64,
}

impl Counts {
    fn add(&mut self, counts: SealedCounts) {
        for (kek, secrets) in counts.secrets {
            *self.secrets.entry(kek).or_default() += secrets;
        }
        self.leftovers += counts.leftovers;
    }
}

/// Where a walk over all workspaces goes on: at this one, after this provider key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    created_at: u64,
    workspace: String,
    after: Option<String>,
}

impl Cursor {
    fn at(workspace: &Workspace, after: Option<String>) -> Self {
        Self {
            created_at: workspace.created_at.0,
            workspace: workspace.id.clone(),
            after,
        }
    }

    fn read(text: &str) -> Result<Self, Refusal> {
        let mut parts = text.splitn(3, '.');
        let created_at = parts.next().and_then(|part| part.parse().ok());
        match (created_at, parts.next(), parts.next()) {
            (Some(created_at), Some(workspace), Some(after)) => Ok(Self {
                created_at,
                workspace: workspace.to_owned(),
                after: Some(after.to_owned()).filter(|after| !after.is_empty()),
            }),
            _ => Err(Refusal::new(
                Code::INVALID_REQUEST,
                "`cursor` is not one that an answer gave as `next_cursor`.",
            )
            .param("cursor")),
        }
    }

    fn text(&self) -> String {
        let after = self.after.as_deref().unwrap_or_default();
        format!("{}.{}.{after}", self.created_at, self.workspace)
    }

    /// Whether the walk has still to visit this workspace.
    fn comes_to(&self, workspace: &Workspace) -> bool {
        (workspace.created_at.0, &workspace.id) >= (self.created_at, &self.workspace)
    }

    /// After which key of this workspace the walk goes on.
    fn within(&self, workspace: &Workspace) -> Option<String> {
        self.after
            .clone()
            .filter(|_| workspace.id == self.workspace)
    }
}

/// The workspaces from `cursor` on, in the order in which they were made.
async fn from<H: Host>(
    call: &Call<'_, H>,
    cursor: Option<&Cursor>,
) -> Result<Vec<Workspace>, Refusal> {
    let mut all = workspaces(call).await?;
    all.retain(|workspace| cursor.is_none_or(|cursor| cursor.comes_to(workspace)));
    Ok(all)
}

/// `GET /api/vault`.
pub(crate) async fn status<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    only(call.query, &["cursor"])?;
    let query = call.query.unwrap_or_default();
    let cursor = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cursor")
        .map(|(_, text)| Cursor::read(&text))
        .transpose()?;
    let all = from(call, cursor.as_ref()).await?;
    let next = all
        .get(MAX_VISITS)
        .map(|workspace| Cursor::at(workspace, None));
    let mut counts = Counts::default();
    for workspace in all.iter().take(MAX_VISITS) {
        match call.ask_of(&workspace.id, Question::CountSealed).await {
            Ok(Reply::SealedCounts(of)) => counts.add(of),
            Ok(_) => return Err(AskError::Mismatch.into()),
            // It is just being removed, so it has nothing to count.
            Err(refusal) if refusal.code == Code::NOT_FOUND => {}
            // Whoever retires a KEK goes by these counts, so none may be missing.
            Err(refusal) => return Err(refusal),
        }
    }
    let vaults = &call.settings.vaults;
    let (current, error) = match vaults.current(call.host).await {
        Ok(current) => (Some(current), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let under_current = current.as_ref().map(|kek| counts.secrets.get(kek).copied());
    Ok(value(
        200,
        json!({
            "adapter": vaults.adapter(),
            "kek": current,
            "error": error,
            "keks": keks(vaults, current.as_deref(), &counts),
            "secrets": counts.secrets.values().sum::<u64>(),
            "under_kek": under_current.map(Option::unwrap_or_default),
            "token_keys": token_keys(call).await?,
            "leftovers": counts.leftovers,
            "bridge": vaults.bridged(),
            "outage_ms": vaults.outage_ms(),
            "next_cursor": next.map(|cursor| cursor.text()),
        }),
    ))
}

/// The local KEK that what gateway keys are recognised by is under: sealed, or while that was never moved derived from it.
async fn token_keys<H: Host>(call: &Call<'_, H>) -> Result<String, Refusal> {
    let answered = ask(call.host, &call.settings, REGISTRY, DataQuestion::TokenKeys).await?;
    let Reply::TokenKeys(stored) = answered.reply else {
        return Err(AskError::Mismatch.into());
    };
    if let Some((kek, _)) = stored.sealed {
        return Ok(kek);
    }
    let mut keks = call.settings.vaults.keks().iter();
    // A store refuses whoever has not its origin, so that it is found.
    let origin = keks.find(|kek| kek.is_the_one_checked_by(&stored.origin));
    Ok(origin.ok_or(AskError::Mismatch)?.id())
}

/// Every KEK that there is or that something is under, the one in force first.
fn keks(vaults: &Vaults, current: Option<&str>, counts: &Counts) -> Vec<Value> {
    let mut known: Vec<String> = current.map(str::to_owned).into_iter().collect();
    known.extend(vaults.keks().iter().map(Kek::id));
    known.extend(counts.secrets.keys().cloned());
    let mut listed = Vec::new();
    let mut lines = Vec::new();
    let mut held = vaults.in_force();
    held.extend(vaults.readable());
    for kek in known {
        if listed.contains(&kek) {
            continue;
        }
        let secrets = counts.secrets.get(&kek).copied().unwrap_or_default();
        lines.push(json!({
            "kek": kek,
            "adapter": kek.split_once(':').map_or(LOCAL, |(adapter, _)| adapter),
            "in_force": current == Some(kek.as_str()),
            "readable": held.iter().any(|held| kek.starts_with(&held.prefix)),
            "secrets": secrets,
        }));
        listed.push(kek);
    }
    lines
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Rewrap {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `POST /api/vault/rewrap`: moves secrets under the KEK in force, so many at most. It may be stopped anywhere and called
/// again, with the cursor or without.
pub(crate) async fn rewrap_some<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Rewrap = if call.body.is_empty() {
        Rewrap::default()
    } else {
        call.body.read()?
    };
    let limit = body.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("`limit` is a number from 1 to {MAX_LIMIT}, not {limit}."),
        )
        .param("limit"));
    }
    let cursor = body.cursor.as_deref().map(Cursor::read).transpose()?;
    let current = call.settings.vaults.current(call.host).await?;
    learn(call, &current);
    carry(call.host, &call.settings, REGISTRY).await?;
    let all = from(call, cursor.as_ref()).await?;
    let mut next = all
        .get(MAX_VISITS)
        .map(|workspace| Cursor::at(workspace, None));
    let mut done = Done::default();
    'walk: for workspace in all.iter().take(MAX_VISITS) {
        carry(call.host, &call.settings, &workspace.id).await?;
        let mut after = cursor.as_ref().and_then(|cursor| cursor.within(workspace));
        loop {
            let room = limit.saturating_sub(done.looked_at);
            if room == 0 || done.failed.len() >= MAX_FAILURES {
                next = Some(Cursor::at(workspace, after));
                break 'walk;
            }
            let most = room.min(BATCH);
            let batch = batch(call, workspace, &current, after.take(), most).await?;
            after.clone_from(&batch.last);
            let more = batch.last.is_some();
            done.add(workspace, batch);
            if done.stopped {
                next = Some(Cursor::at(workspace, after));
                break 'walk;
            }
            if !more {
                break;
            }
        }
    }
    Ok(value(
        200,
        json!({
            "kek": current,
            "rewrapped": done.rewrapped,
            "failed": done.failed,
            "stopped": done.stopped,
            "done": next.is_none() && done.failed.is_empty(),
            "next_cursor": next.map(|cursor| cursor.text()),
        }),
    ))
}

#[derive(Default)]
struct Done {
    rewrapped: u64,
    looked_at: u32,
    failed: Vec<Value>,
    stopped: bool,
}

impl Done {
    fn add(&mut self, workspace: &Workspace, batch: Batch) {
        self.rewrapped += batch.rewrapped;
        self.stopped = batch.stopped;
        self.looked_at = self
            .looked_at
            .saturating_add(u32::try_from(batch.looked_at).unwrap_or(u32::MAX));
        for (row, failure) in batch.failed {
            self.failed.push(json!({
                "workspace": workspace.name,
                "provider": row.provider,
                "provider_key": row.name,
                "version": row.version,
                "kek": row.at.kek,
                "error": failure.to_string(),
            }));
        }
    }
}

async fn batch<H: Host>(
    call: &Call<'_, H>,
    workspace: &Workspace,
    current: &str,
    after: Option<String>,
    limit: u32,
) -> Result<Batch, AskError> {
    let whose = (workspace.id.as_str(), call.actor.id.as_str());
    rewrap(call.host, &call.settings, whose, current, after, limit).await
}

/// `POST /api/vault/rotate`: has the vault make a new version of its KEK. What is sealed stays where it is until it is
/// rewrapped.
pub(crate) async fn rotate<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    call.body.nothing()?;
    let vaults = &call.settings.vaults;
    let before = vaults.current(call.host).await?;
    let rotated = vaults.rotate(call.host).await;
    let unheard = matches!(rotated, Err(VaultError::Unavailable { .. }));
    let kek = match &rotated {
        Ok(()) => vaults.current(call.host).await,
        Err(error) => Err(error.clone()),
    };
    // A vault whose answer was lost may have made one all the same.
    if rotated.is_ok() || unheard {
        let detail = json!({"from": before, "to": kek.as_ref().ok()});
        call.record("vault.rotate", "vault", detail).await?;
    }
    let kek = kek?;
    learn(call, &kek);
    Ok(value(200, json!({"kek": kek, "previous": before})))
}

/// What of this is done on a schedule, in one workspace: a few secrets are moved under the KEK in force, and what nothing
/// points to is removed. How many of each.
pub(crate) async fn due<H: Host>(
    call: &Call<'_, H>,
    workspace: &Workspace,
    current: Option<&str>,
) -> (u64, u64) {
    let mut rewrapped = 0;
    if let Some(current) = current
        && carry(call.host, &call.settings, &workspace.id)
            .await
            .is_ok()
    {
        rewrapped = few(call, workspace, current).await;
    }
    let before = Timestamp(call.host.now_ms().saturating_sub(LEFT_FOR_MS));
    let question = Question::ClaimLeftovers {
        before,
        limit: MAX_LEFTOVERS,
    };
    let Ok(Reply::Entries(entries)) = call.ask_of(&workspace.id, question).await else {
        return (rewrapped, 0);
    };
    let claimed = entries.len();
    if claimed == 0 {
        return (rewrapped, 0);
    }
    let left = forget(call.host, &call.settings, &workspace.id, entries).await;
    (rewrapped, claimed.saturating_sub(left.len()) as u64)
}

/// Moves a few secrets of a workspace under the KEK in force. It begins at a key that chance picks, so that however many cannot
/// be moved keep none of the others from their turn for good.
async fn few<H: Host>(call: &Call<'_, H>, workspace: &Workspace, current: &str) -> u64 {
    let mut rewrapped = 0;
    for after in [Some(new_id(call.host, "pk")), None] {
        let room = u64::from(TICK_LIMIT).saturating_sub(rewrapped);
        let room = u32::try_from(room).unwrap_or(TICK_LIMIT);
        if room == 0 {
            break;
        }
        let Ok(batch) = batch(call, workspace, current, after, room).await else {
            break;
        };
        rewrapped += batch.rewrapped;
        if batch.stopped {
            break;
        }
    }
    rewrapped
}

/// The KEK in force, where there is one that something could be moved from: with nothing else to read nothing is under
/// another one, unless a managed vault has rotated its own. A managed vault is asked every few minutes, however often the
/// tick comes.
pub(crate) async fn target<H: Host>(call: &Call<'_, H>) -> Option<String> {
    let vaults = &call.settings.vaults;
    if vaults.adapter() == LOCAL && vaults.readable().is_empty() {
        return None;
    }
    carry(call.host, &call.settings, REGISTRY).await.ok()?;
    let now = call.host.monotonic_ms();
    let known = TARGET.with_borrow(|target| {
        let (asked_at, kek) = target.as_ref()?;
        (now.saturating_sub(*asked_at) < ASK_AGAIN_MS).then(|| kek.clone())
    });
    if known.is_some() {
        return known;
    }
    let kek = vaults.current(call.host).await.ok()?;
    learn(call, &kek);
    Some(kek)
}

fn learn<H: Host>(call: &Call<'_, H>, kek: &str) {
    TARGET.set(Some((call.host.monotonic_ms(), kek.to_owned())));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Cursor;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for after in [None, Some("pk_1".to_owned())] {
            let cursor = Cursor {
                created_at: 7,
                workspace: "ws_1".into(),
                after,
            };
            assert_eq!(Cursor::read(&cursor.text()).ok(), Some(cursor));
        }
        for wrong in ["", "x", "7", "7.ws", "x.ws.pk", "-1.ws."] {
            assert!(Cursor::read(wrong).is_err(), "{wrong}");
        }
    }
}
