//! What goes on in a simulated world: requests, changes and what is known to have been acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sample;
use lockgate_host::{Clock as _, KeyValue};
use lockgate_workspace::question::{Change, DataQuestion, Question, Reply, SealedVersion};
use lockgate_workspace::resource::{ProviderKey, Timestamp};
use lockgate_workspace::{AskError, DEFAULT_WORKSPACE, ask};

use super::access::{AccessFacts, revision_of, tags};
use super::engine::{Fault, LENGTHS, Place, SimHost, settings};
use super::isolate::{Asked, Isolate, Opened, View};
use super::world::World;

/// A millisecond in the microseconds of worlds.
pub(crate) const MS: u64 = 1_000;
/// The callers' hashes; `hash-0` belongs to `gk_0`.
pub(crate) const GATEWAY_KEYS: [&str; 3] = ["hash-0", "hash-1", "hash-2"];

/// What has been acknowledged, as counters that only rise.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    pub(crate) workspace: u64,
    pub(crate) access: AccessFacts,
    pub(crate) keys: BTreeMap<String, KeyFacts>,
    pub(crate) callers: BTreeMap<String, CallerFacts>,
}

#[derive(Clone, Default)]
pub(crate) struct KeyFacts {
    pub(crate) version: u64,
    pub(crate) revision: u64,
    /// Of its tags.
    pub(crate) tags: u64,
    /// Its deletion has been asked for, and may have been committed.
    pub(crate) deleting: bool,
    pub(crate) deleted: bool,
}

#[derive(Clone, Default)]
pub(crate) struct CallerFacts {
    pub(crate) revision: u64,
    pub(crate) revoked: bool,
    pub(crate) expires_at: Option<u64>,
}

/// What happened, so that a simulation in which nothing can go wrong is noticed.
pub(crate) static SERVED_UNDER_LEASE: AtomicU64 = AtomicU64::new(0);
pub(crate) static SERVED_AFTER_ASKING: AtomicU64 = AtomicU64::new(0);
pub(crate) static ACKNOWLEDGED: AtomicU64 = AtomicU64::new(0);
pub(crate) static RETIRED: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) place: Rc<Place>,
    pub(crate) isolates: Vec<Isolate>,
    pub(crate) writers: Vec<SimHost>,
    pub(crate) facts: RefCell<Rc<Facts>>,
    pub(crate) made: Cell<u64>,
    pub(crate) fault: Fault,
}

fn count(counter: &AtomicU64, fault: Fault) {
    if fault == Fault::None {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// `word.7` says 7.
pub(crate) fn revision_in(name: &str) -> u64 {
    name.rsplit('.').next().unwrap().parse().unwrap()
}

impl Sim {
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Facts)) {
        change(Rc::make_mut(&mut self.facts.borrow_mut()));
    }

    fn key(&self, id: &str, change: impl FnOnce(&mut KeyFacts)) {
        self.learn(|facts| change(facts.keys.entry(id.to_owned()).or_default()));
    }

    /// One request of the data plane.
    pub(crate) async fn request(self: Rc<Self>, isolate: usize) {
        let (rng, facts) = (self.world.rng(), self.facts.borrow().clone());
        let hash = *rng.pick(&GATEWAY_KEYS);
        let provider = *rng.pick(&["openai", "openai", "mistral"]);
        let started_ms = self.place.now_ms();
        let me = &self.isolates[isolate];
        let mut under_lease = true;
        let mut view = match me.held(hash) {
            Some((view, ages)) => {
                if ages {
                    let me = me.clone();
                    self.world.spawn(async move {
                        me.ask(hash, true).await;
                    });
                }
                view
            }
            None => {
                under_lease = false;
                match me.ask(hash, false).await {
                    Asked::Granted(view) => view,
                    Asked::Refused(why) => {
                        self.world
                            .note(|| format!("isolate {isolate} {hash}: refused, {why:?}"));
                        return;
                    }
                    Asked::Failed => return,
                }
            }
        };
        for _ in 0..4 {
            let pointer = view.snapshot.usable(provider).next().cloned();
            let secret = match &pointer {
                Some(pointer) => match me.open(pointer).await {
                    Opened::Secret(secret) => Some(secret),
                    Opened::Gone => None,
                    Opened::Failed => return,
                },
                None => None,
            };
            if secret.is_some() || (pointer.is_none() && !under_lease) {
                let told = if under_lease {
                    &SERVED_UNDER_LEASE
                } else {
                    &SERVED_AFTER_ASKING
                };
                count(told, self.fault);
                let used = pointer.map(|p| {
                    let version = p.sealed.as_ref().map_or(0, |s| s.version);
                    (p.id.clone(), version, secret)
                });
                self.world.note(|| {
                    format!(
                        "isolate {isolate} {hash}: snapshot {} {} {:?}, {used:?}",
                        view.snapshot.version,
                        if under_lease {
                            "under lease"
                        } else {
                            "after asking"
                        },
                        view.identity.team,
                    )
                });
                self.check(&facts, hash, started_ms, &view, used);
                return;
            }
            // Nothing is refused from a snapshot, and a secret that is gone has a successor.
            under_lease = false;
            match me.ask(hash, false).await {
                Asked::Granted(newer) => view = newer,
                _ => return,
            }
        }
    }

    /// The invariant: nothing that was acknowledged before the request started is missing from what it used.
    fn check(
        &self,
        facts: &Facts,
        hash: &str,
        started_ms: u64,
        view: &View,
        used: Option<(String, u64, Option<String>)>,
    ) {
        let found: RefCell<Vec<String>> = RefCell::default();
        let stale = |what: String| found.borrow_mut().push(what);
        let snapshot = &view.snapshot;
        let caller = &facts.callers[hash];
        let at_least = |what: &str, has: u64, acknowledged: u64| {
            if has < acknowledged {
                stale(format!("{what} {has}, {acknowledged} was acknowledged"));
            }
        };
        at_least("workspace", revision_in(&snapshot.name), facts.workspace);
        facts.access.check(view, &at_least);
        let team = view.identity.team.as_deref().map_or(0, revision_in);
        at_least("gateway key", team, caller.revision);
        for key in &snapshot.keys {
            let Some(known) = facts.keys.get(&key.id) else {
                continue;
            };
            let version = key.sealed.as_ref().map_or(0, |s| s.version);
            at_least(&format!("version of {}", key.id), version, known.version);
            at_least(&key.id, revision_in(&key.name), known.revision);
            let tags = format!("tags of {}", key.id);
            at_least(&tags, revision_of(&key.tags), known.tags);
            if known.deleted {
                stale(format!("{} was deleted", key.id));
            }
        }
        // What is being deleted may be missing although its deletion was asked for after the request started.
        let by_now = self.facts.borrow();
        for id in facts.keys.keys().filter(|id| !by_now.keys[*id].deleting) {
            if snapshot.keys.iter().all(|key| key.id != *id) {
                stale(format!("{id} was created"));
            }
        }
        if caller.revoked {
            stale(format!("{hash} was revoked"));
        }
        if caller.expires_at.is_some_and(|at| at <= started_ms) {
            stale(format!("{hash} had expired by {started_ms}"));
        }
        if let Some((id, version, Some(secret))) = used
            && !secret.starts_with(&format!("{id} {version} "))
        {
            stale(format!("the secret of {id}.{version} is {secret}"));
        }
        let found = found.into_inner();
        if !found.is_empty() {
            self.world.violated(|| {
                format!(
                    "a request with {hash} used an old state: {}",
                    found.join("; ")
                )
            });
        }
    }

    pub(crate) async fn ask(&self, writer: usize, question: Question) -> Result<Reply, AskError> {
        let host = &self.writers[writer];
        let what = || format!("{question:?}").chars().take(90).collect::<String>();
        self.world
            .note(|| format!("writer {writer} asks {}", what()));
        let asked = ask(host, host.settings(), DEFAULT_WORKSPACE, question.clone()).await;
        self.world.note(|| {
            let word = if asked.is_ok() { "has" } else { "failed with" };
            format!("writer {writer} {word} {}", what())
        });
        asked.map(|answered| answered.reply)
    }

    /// A change, with leases asked for just before it and requests just after it was acknowledged, where an error
    /// would show.
    pub(crate) async fn change(
        self: &Rc<Self>,
        writer: usize,
        question: Question,
        acknowledged: impl FnOnce(&Self, &Reply),
    ) -> Option<Reply> {
        let rng = self.world.rng();
        for isolate in &self.isolates {
            if rng.percent(60) {
                let (isolate, hash) = (isolate.clone(), *rng.pick(&GATEWAY_KEYS));
                self.world.spawn(async move {
                    isolate.ask(hash, true).await;
                });
            }
        }
        let reply = self.ask(writer, question).await.ok()?;
        acknowledged(self, &reply);
        count(&ACKNOWLEDGED, self.fault);
        for isolate in 0..self.isolates.len() {
            self.world.spawn(self.clone().request(isolate));
        }
        Some(reply)
    }

    pub(crate) async fn write(self: &Rc<Self>, writer: usize) {
        let rng = self.world.rng();
        let id = format!("pk_{}", rng.below(3 + self.made.get()));
        let hash = *rng.pick(&GATEWAY_KEYS);
        match rng.below(17) {
            0..=3 => self.rotate(writer, id).await,
            4 => self.patch_key(writer, id).await,
            5 => self.delete_key(writer, id).await,
            6 => self.create_key(writer).await,
            7 => self.rename(writer).await,
            8 => {
                let reference = caller_id(hash);
                let question = Question::RevokeGatewayKey {
                    reference,
                    expect: None,
                };
                self.change(writer, question, |sim, _| {
                    sim.learn(|f| f.callers.get_mut(hash).unwrap().revoked = true);
                })
                .await;
            }
            9 => self.patch_caller(writer, hash).await,
            10 | 11 => self.patch_agent(writer).await,
            12 => self.patch_role(writer).await,
            13 => self.apply(writer).await,
            _ => self.change_length().await,
        }
    }

    async fn rotate(self: &Rc<Self>, writer: usize, id: String) {
        let Ok(Reply::ProviderKey(key)) =
            self.ask(writer, Question::GetProviderKey(id.clone())).await
        else {
            return;
        };
        let (host, version) = (&self.writers[writer], key.version + 1);
        let sealed = sealed(&id, version, self.world.rng().next());
        let secret = sealed.ciphertext.clone().into_bytes();
        host.kv_put(&sealed.entry, &secret).await.unwrap();
        let question = Question::RotateProviderKey {
            id: id.clone(),
            expect: None,
            sealed,
        };
        let learn = |sim: &Self, _: &Reply| sim.key(&id, |k| k.version = k.version.max(version));
        if self.change(writer, question, learn).await.is_some() {
            let swept = self
                .ask(writer, Question::SweepProviderKey { id: id.clone() })
                .await;
            self.forget(writer, swept.ok()).await;
        }
    }

    async fn forget(&self, writer: usize, reply: Option<Reply>) {
        if let Some(Reply::Entries(entries)) = reply {
            for entry in entries {
                self.writers[writer].kv_delete(&entry).await.unwrap();
            }
        }
    }

    async fn patch_key(self: &Rc<Self>, writer: usize, id: String) {
        let Ok(Reply::ProviderKey(key)) =
            self.ask(writer, Question::GetProviderKey(id.clone())).await
        else {
            return;
        };
        let rng = self.world.rng();
        let revision = key.revision + 1;
        let retags = rng.percent(50);
        let question = Question::PatchProviderKey {
            reference: id.clone(),
            expect: Some(key.revision),
            name: (!retags).then(|| format!("{id}.{revision}")),
            tags: retags.then(|| tags(revision)),
            default: rng.percent(30).then_some(true),
            enabled: rng.percent(50).then_some(!key.enabled),
            managed_by: None,
        };
        self.change(writer, question, |sim, _| {
            sim.key(&id, |k| {
                let known = if retags { &mut k.tags } else { &mut k.revision };
                *known = revision.max(*known);
            });
        })
        .await;
    }

    async fn delete_key(self: &Rc<Self>, writer: usize, id: String) {
        if !self.facts.borrow().keys.contains_key(&id) {
            return;
        }
        self.key(&id, |k| k.deleting = true);
        let question = Question::DeleteProviderKey {
            reference: id.clone(),
            expect: None,
        };
        let reply = self
            .change(writer, question, |sim, _| {
                sim.key(&id, |k| k.deleted = true)
            })
            .await;
        self.forget(writer, reply).await;
    }

    async fn create_key(self: &Rc<Self>, writer: usize) {
        let n = 3 + self.made.get();
        self.made.set(n - 2);
        let (key, sealed) = provider_key(n, self.world.rng().next());
        let id = key.id.clone();
        let secret = sealed.ciphertext.clone().into_bytes();
        let host = &self.writers[writer];
        host.kv_put(&sealed.entry, &secret).await.unwrap();
        let question = Question::CreateProviderKey {
            key: Box::new(key),
            sealed: Some(sealed),
        };
        self.change(writer, question, |sim, _| {
            sim.key(&id, |k| {
                (k.version, k.revision) = (k.version.max(1), k.revision.max(1))
            });
        })
        .await;
    }

    async fn rename(self: &Rc<Self>, writer: usize) {
        let get = Question::GetWorkspace(DEFAULT_WORKSPACE.into());
        let Ok(Reply::Workspace(workspace)) = self.ask(writer, get).await else {
            return;
        };
        let revision = workspace.revision + 1;
        let question = Question::PatchWorkspace {
            reference: DEFAULT_WORKSPACE.into(),
            expect: Some(workspace.revision),
            name: Some(format!("workspace.{revision}")),
            access: None,
            default_configuration: Change::Keep,
        };
        self.change(writer, question, |sim, _| {
            sim.learn(|f| f.workspace = f.workspace.max(revision));
        })
        .await;
    }

    async fn patch_caller(self: &Rc<Self>, writer: usize, hash: &'static str) {
        let get = Question::GetGatewayKey(caller_id(hash));
        let Ok(Reply::GatewayKey(key)) = self.ask(writer, get).await else {
            return;
        };
        // Only ever sooner, so that what was acknowledged last is the earliest.
        let sooner = self.place.now_ms() + self.world.rng().below(3_000);
        let expires_at = match key.expires_at {
            Some(at) => Some(at.0.min(sooner)),
            None => self.world.rng().percent(40).then_some(sooner),
        };
        let revision = key.revision + 1;
        let question = Question::PatchGatewayKey {
            budget: Default::default(),
            limits: Default::default(),
            reference: key.id.clone(),
            expect: Some(key.revision),
            name: None,
            team: Some(format!("team.{revision}")),
            expires_at: expires_at.map(Timestamp),
            gateway: Change::Keep,
            configuration: Change::Keep,
        };
        self.change(writer, question, |sim, _| {
            sim.learn(|f| {
                let caller = f.callers.get_mut(hash).unwrap();
                caller.revision = caller.revision.max(revision);
                caller.expires_at = match (caller.expires_at, expires_at) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            });
        })
        .await;
    }

    /// Another length is rolled out, one place after the other.
    async fn change_length(self: &Rc<Self>) {
        let rng = self.world.rng();
        let length = *rng.pick(&LENGTHS);
        self.world
            .note(|| format!("the lease length becomes {length} ms"));
        let isolates = self.isolates.iter().map(Isolate::host);
        let most = *rng.pick(&[1, 1, 300, 3_000]);
        for host in isolates.chain(&self.writers) {
            let (host, world) = (host.clone(), self.world.clone());
            self.world.spawn(async move {
                world.sleep(world.rng().below(most * MS)).await;
                host.configure(length);
            });
        }
        if rng.percent(50) {
            let sim = self.clone();
            self.world.spawn(async move {
                sim.world.sleep(sim.world.rng().below(2_000 * MS)).await;
                sim.place.restart();
            });
        }
    }

    /// What `ask` does in the background of an isolate, in one that may be ended before it is done.
    pub(crate) async fn retire(self: Rc<Self>, writer: usize) {
        let host = &self.writers[writer];
        let get = Question::GetWorkspace(DEFAULT_WORKSPACE.into());
        let Ok(answered) = ask(host, host.settings(), DEFAULT_WORKSPACE, get).await else {
            return;
        };
        let lengths = answered.lengths;
        if !lengths.settling() {
            return;
        }
        if self.fault != Fault::RetireAtOnce {
            host.sleep(Duration::from_millis(lengths.settle_ms())).await;
        }
        let generation = lengths.generation;
        let question = DataQuestion::RetireLease { generation };
        if self.ask(writer, question.into()).await.is_ok() {
            count(&RETIRED, self.fault);
        }
    }
}

pub(crate) fn caller_id(hash: &str) -> String {
    hash.replace("hash-", "gk_")
}

fn sealed(id: &str, version: u64, nonce: u64) -> SealedVersion {
    SealedVersion {
        version,
        entry: format!("entry {id} {version} {nonce}"),
        wrapped: "wrapped".into(),
        ciphertext: format!("{id} {version} {nonce}"),
        kek: settings(LENGTHS[0]).keys.in_force[0].prefix.clone(),
        masked: "sk-…wxyz".into(),
    }
}

pub(crate) fn provider_key(n: u64, nonce: u64) -> (ProviderKey, SealedVersion) {
    let id = format!("pk_{n}");
    let provider = if n == 2 { "mistral" } else { "openai" };
    let key = sample::provider_key(&id, provider, &format!("{id}.1"), n);
    (key, sealed(&id, 1, nonce))
}
