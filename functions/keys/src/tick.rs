//! What is due of the scheduled work, bounded: by the engine's own timer, or by `POST /api/tick` where it has none. That is
//! checking provider keys (FEATURES A6), giving back what wallets hold for requests that nobody settled, moving secrets under
//! the KEK in force (G4), and removing what the request log and usage keep no longer and what nothing points to.
//!
//! It keeps no place: each call begins at a workspace that chance picks, and in each with the key that was looked at
//! longest ago, so that repeated calls come round to all of them, however many there are.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use lockgate_host::Host;
use lockgate_providers::call::health_url;
use lockgate_refusal::Refusal;
use lockgate_workspace::question::{Housekeeping, Housekept, Page, Question, Reply};
use lockgate_workspace::resource::{ProviderKey, Timestamp, Workspace};
use lockgate_workspace::{AskError, Misconfigured, REGISTRY, Settings};
use serde_json::{Value, json};

use crate::body::{Body, shortened};
use crate::check::look;
use crate::respond::{self, value};
use crate::rights::Actor;
use crate::{Call, vault};

/// A key is checked again after so long.
const DUE_MS: u64 = 5 * 60_000;
/// Keys that one call checks.
const MAX_KEYS: usize = 20;
/// Checks under way at once: Workers have six connections.
const AT_ONCE: usize = 5;
/// Workspaces that one call looks into.
const MAX_VISITS: usize = 50;
/// Workspaces, and keys of each, that are known at all.
const MAX_LISTED: u32 = 10_000;
/// Rows of each kind that one call removes in a workspace.
const MAX_REMOVED: u32 = 1_000;
const LOG_DAYS: &str = "LOCKGATE_LOG_DAYS";
/// Days that the request log is kept where the setting does not say.
const DEFAULT_LOG_DAYS: u64 = 30;
/// Days that the log can be kept.
const MAX_LOG_DAYS: u64 = 3_650;
/// Days that usage is kept: a year can be compared with the one before.
const USAGE_DAYS: u64 = 400;
const DAY_MS: u64 = 86_400_000;

/// Does what is due, for an engine that has a timer: the same as `POST /api/tick`, in the name of the root token.
///
/// # Errors
/// What `POST /api/tick` would have been refused with; it is for the engine's log.
pub async fn scheduled<H: Host>(host: &H) -> Result<(), Refusal> {
    let call = Call {
        host,
        settings: Settings::get(host).await?,
        workspace: String::new(),
        actor: Actor::root(),
        query: None,
        expect: None,
        body: Body::new(&[]),
    };
    due_work(&call).await.map(drop)
}

pub(crate) async fn tick<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    call.body.nothing()?;
    Ok(value(200, due_work(call).await?))
}

async fn due_work<H: Host>(call: &Call<'_, H>) -> Result<Value, Refusal> {
    let work = housekeeping(call.host).await?;
    let mut workspaces = turned(workspaces(call).await?, chance(call.host));
    let mut more = workspaces.len() > MAX_VISITS;
    workspaces.truncate(MAX_VISITS);
    let mut waiting: Vec<(&Workspace, ProviderKey)> = Vec::new();
    let mut housekept = Vec::new();
    let kek = vault::target(call).await;
    // One that is just being removed keeps none of the others from their turn.
    for workspace in &workspaces {
        if let Ok(Reply::Housekept(done)) =
            call.ask_of(&workspace.id, Question::Housekeep(work)).await
        {
            more |= done.more;
            let vault = vault::due(call, workspace, kek.as_deref()).await;
            housekept.extend(kept(workspace, done, vault));
        }
        let room = MAX_KEYS.saturating_sub(waiting.len());
        if room == 0 {
            more = true;
            continue;
        }
        let question = Question::ListProviderKeys(everything());
        if let Ok(Reply::ProviderKeys(keys)) = call.ask_of(&workspace.id, question).await {
            let due = due(keys, call.host.now_ms());
            more |= due.len() > room;
            waiting.extend(due.into_iter().take(room).map(|key| (workspace, key)));
        }
    }
    let mut checked = Vec::new();
    for group in waiting.chunks(AT_ONCE) {
        let looks = group
            .iter()
            .map(|(workspace, key)| one(call, workspace, key));
        checked.extend(all(looks.collect()).await.into_iter().flatten());
    }
    Ok(json!({"checked": checked, "housekept": housekept, "more": more}))
}

/// What is to go from every workspace.
async fn housekeeping<H: Host>(host: &H) -> Result<Housekeeping, Misconfigured> {
    let days = log_days(host.variable(LOG_DAYS).await?.as_deref())?;
    let ago = |days: u64| Timestamp(host.now_ms().saturating_sub(days * DAY_MS));
    Ok(Housekeeping {
        log_before: ago(days),
        usage_before: ago(USAGE_DAYS),
        most: MAX_REMOVED,
    })
}

fn log_days(setting: Option<&str>) -> Result<u64, Misconfigured> {
    let Some(text) = setting.map(str::trim) else {
        return Ok(DEFAULT_LOG_DAYS);
    };
    let days = text.parse().ok();
    days.filter(|days| (1..=MAX_LOG_DAYS).contains(days))
        .ok_or_else(|| Misconfigured {
            setting: LOG_DAYS,
            problem: format!(
                "“{}” is not a whole number from 1 to {MAX_LOG_DAYS}",
                shortened(text)
            ),
        })
}

/// What was done in a workspace, unless it was nothing.
fn kept(
    workspace: &Workspace,
    done: Housekept,
    (rewrapped, leftovers_removed): (u64, u64),
) -> Option<Value> {
    let any = [
        done.reservations_expired,
        done.log_removed,
        rewrapped,
        leftovers_removed,
    ];
    let any = any.into_iter().any(|count| count > 0);
    any.then(|| {
        json!({
            "workspace": workspace.name,
            "reservations_expired": done.reservations_expired,
            "log_removed": done.log_removed,
            "secrets_rewrapped": rewrapped,
            "leftovers_removed": leftovers_removed,
        })
    })
}

/// Checks one key; `None` where it is gone meanwhile or cannot be unsealed, which its own check tells.
async fn one<H: Host>(
    call: &Call<'_, H>,
    workspace: &Workspace,
    key: &ProviderKey,
) -> Option<Value> {
    let check = look(call.host, &call.settings, &workspace.id, &key.id)
        .await
        .ok()?;
    Some(json!({
        "workspace": workspace.name,
        "provider": key.provider,
        "provider_key": key.name,
        "health": check.health,
    }))
}

fn everything() -> Page {
    Page {
        limit: MAX_LISTED,
        after: None,
    }
}

/// Every workspace that there is.
pub(crate) async fn workspaces<H: Host>(call: &Call<'_, H>) -> Result<Vec<Workspace>, Refusal> {
    match call
        .ask_of(REGISTRY, Question::ListWorkspaces(everything()))
        .await?
    {
        Reply::Workspaces(workspaces) => Ok(workspaces),
        _ => Err(AskError::Mismatch.into()),
    }
}

fn chance<H: Host>(host: &H) -> usize {
    let mut bytes = [0; 2];
    host.random(&mut bytes);
    usize::from(u16::from_le_bytes(bytes))
}

/// The same items in the same order, begun at the one that `start` falls on.
fn turned<T>(mut items: Vec<T>, start: usize) -> Vec<T> {
    let start = start.checked_rem(items.len()).unwrap_or_default();
    items.rotate_left(start);
    items
}

/// The enabled keys that have a call to be checked by and were not looked at for a while, those never looked at first.
fn due(keys: Vec<ProviderKey>, now_ms: u64) -> Vec<ProviderKey> {
    let mut due: Vec<ProviderKey> = keys
        .into_iter()
        .filter(|key| {
            let fresh = |at: u64| at <= now_ms && now_ms - at < DUE_MS;
            key.enabled && !key.checked_at.is_some_and(|at| fresh(at.0)) && can_be_checked(key)
        })
        .collect();
    due.sort_by_key(|key| key.checked_at);
    due
}

fn can_be_checked(key: &ProviderKey) -> bool {
    lockgate_providers::find(&key.provider).is_some_and(|manifest| {
        let url = health_url(manifest, key.base_url.as_deref(), &key.options);
        matches!(url, Ok(Some(_)))
    })
}

/// What each of `works` comes to, in their order, all under way at once.
async fn all<T>(works: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut works: Vec<_> = works
        .into_iter()
        .map(|work| (Box::pin(work), None))
        .collect();
    poll_fn(|context| {
        let mut pending = false;
        for (work, done) in &mut works {
            if done.is_none() {
                match Pin::as_mut(work).poll(context) {
                    Poll::Ready(result) => *done = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    works.into_iter().filter_map(|(_, done)| done).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const NOW: u64 = 1_800_000_000_000;

    fn key(name: &str, provider: &str, checked_at: Option<u64>) -> ProviderKey {
        ProviderKey {
            provider: provider.into(),
            checked_at: checked_at.map(Timestamp),
            ..crate::sample::provider_key(name)
        }
    }

    #[test]
    fn keys_are_due_in_turn() {
        let mut off = key("off", "openai", None);
        off.enabled = false;
        let keys = vec![
            key("fresh", "openai", Some(NOW - DUE_MS + 1)),
            key("old", "openai", Some(NOW - DUE_MS)),
            key("older", "mistral", Some(NOW - 2 * DUE_MS)),
            key("never", "openai", None),
            off,
            // It has no call to be checked by, and this one needs an option for it.
            key("perplexity", "perplexity", None),
            key("azure", "azure-openai", None),
            key("nobody", "no-such-provider", None),
            // The clock has stepped back since.
            key("later", "openai", Some(NOW + 60_000)),
        ];
        let due = due(keys, NOW);
        let due: Vec<&str> = due.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(due, ["never", "older", "old", "later"]);
    }

    #[test]
    fn the_log_is_kept_for_some_days() {
        assert_eq!(log_days(None), Ok(30));
        assert_eq!(log_days(Some(" 7 ")), Ok(7));
        for wrong in ["0", "3651", "a week", "-1", "1.5"] {
            let problem = log_days(Some(wrong)).unwrap_err().to_string();
            assert!(problem.starts_with("LOCKGATE_LOG_DAYS: "), "{problem}");
            assert!(problem.contains(wrong), "{problem}");
        }
    }

    #[test]
    fn a_turn_begins_anywhere_and_takes_all() {
        assert_eq!(turned(vec![1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(turned(vec![1, 2, 3], 7), [2, 3, 1]);
        assert!(turned(Vec::<u8>::new(), 7).is_empty());
    }

    #[test]
    fn work_is_under_way_together_and_comes_back_in_order() {
        let begun = std::cell::Cell::new(0);
        let work = |n: u32, rounds: u32| {
            let begun = &begun;
            async move {
                begun.set(begun.get() + 1);
                let mut left = rounds;
                poll_fn(|_| {
                    left = left.saturating_sub(1);
                    if left == 0 {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                n
            }
        };
        let mut works = pin!(all(vec![work(1, 3), work(2, 1), work(3, 2)]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(works.as_mut().poll(&mut context).is_pending());
        assert_eq!(begun.get(), 3);
        assert!(works.as_mut().poll(&mut context).is_pending());
        assert_eq!(
            works.as_mut().poll(&mut context),
            Poll::Ready(vec![1, 2, 3])
        );
    }
}
