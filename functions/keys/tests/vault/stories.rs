//! What somebody who runs a gateway does, what is known of its secrets meanwhile, and how a world is held against that.

use std::collections::BTreeMap;

use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::{DEFAULT_WORKSPACE, Settings, ask, unseal};
use serde_json::{Value, json};

use crate::process::{SimHost, run, sound};
use crate::site::Site;
use crate::world::{Fault, World};

/// Longer than entries are left to whoever may still be writing them.
pub(crate) const ELEVEN_MINUTES: u64 = 11 * 60_000;
/// Longer than a turn at the vault that was never ended.
const TURN_MS: u64 = 15_001;

/// A provider key: its workspace and its name.
type Name = (&'static str, &'static str);

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Save(Name, &'static str),
    Rotate(Name, &'static str),
    Delete(Name),
    /// Until it says that it is done.
    Rewrap,
    /// Has the vault make a new version of its KEK.
    Renew,
    Tick,
    /// Removes the workspace `team`.
    Drop,
}

/// What may be found under each name; more than one where nobody was told how it ended, nothing where there is no key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth(BTreeMap<Name, Vec<Option<&'static str>>>);

impl Truth {
    fn may_be(&mut self, name: Name, found: Option<&'static str>) {
        let known = self.0.entry(name).or_insert_with(|| vec![None]);
        if !known.contains(&found) {
            known.push(found);
        }
    }

    fn is(&mut self, name: Name, found: Option<&'static str>) {
        self.0.insert(name, vec![found]);
    }

    /// What a step makes of each name.
    fn changes(&self, step: Step) -> Vec<(Name, Option<&'static str>)> {
        match step {
            Step::Save(name, secret) | Step::Rotate(name, secret) => vec![(name, Some(secret))],
            Step::Delete(name) => vec![(name, None)],
            Step::Drop => {
                let names = self.0.keys().filter(|name| name.0 == "team");
                names.map(|name| (*name, None)).collect()
            }
            Step::Rewrap | Step::Renew | Step::Tick => Vec::new(),
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Acknowledged,
    /// An error was answered.
    Refused(u16),
    Killed,
}

/// Does something in a process of its own.
pub(crate) fn perform(world: &World, site: &Site, step: Step, truth: &mut Truth) -> Came {
    let changes = truth.changes(step);
    for (name, found) in &changes {
        truth.may_be(*name, *found);
    }
    let Some(status) = run(world, site, async |host| one(&host, step).await) else {
        return Came::Killed;
    };
    if !(200..300).contains(&status) {
        return Came::Refused(status);
    }
    for (name, found) in changes {
        truth.is(name, found);
    }
    Came::Acknowledged
}

/// The status of the last answer.
async fn one(host: &SimHost, step: Step) -> u16 {
    let key = |name: Name| format!("/api/provider-keys/{}", name.1);
    let (status, _) = match step {
        Step::Save(name, secret) => {
            let body =
                json!({"provider": "openai", "name": name.1, "secret": secret, "force": true});
            host.call(name.0, "POST /api/provider-keys", body).await
        }
        Step::Rotate(name, secret) => {
            let body = json!({"secret": secret, "force": true});
            let call = format!("PUT {}/secret", key(name));
            host.call(name.0, &call, body).await
        }
        Step::Delete(name) => {
            let call = format!("DELETE {}", key(name));
            host.call(name.0, &call, Value::Null).await
        }
        Step::Tick => host.call("default", "POST /api/tick", Value::Null).await,
        Step::Rewrap => return rewrapped(host).await,
        Step::Renew => {
            host.call("default", "POST /api/vault/rotate", Value::Null)
                .await
        }
        Step::Drop => {
            let call = "DELETE /api/workspaces/team?confirm=team";
            host.call("default", call, Value::Null).await
        }
    };
    status
}

async fn rewrapped(host: &SimHost) -> u16 {
    let mut cursor = Value::Null;
    for _ in 0..50 {
        let body = match &cursor {
            Value::Null => json!({"limit": 2}),
            cursor => json!({"limit": 2, "cursor": cursor}),
        };
        let (status, mut said) = host.call("default", "POST /api/vault/rewrap", body).await;
        if status != 200 || said["done"] == true {
            return status;
        }
        cursor = said["next_cursor"].take();
    }
    panic!("it comes to no end");
}

/// A world with the workspace `team` beside `default`.
pub(crate) fn founded(site: &Site) -> World {
    let world = World::new();
    let made = sound(&world, site, async |host| {
        let body = json!({"name": "team"});
        host.call("default", "POST /api/workspaces", body).await
    });
    assert_eq!(made.0, 201, "{made:?}");
    world
}

/// Whether a process with these settings is let in, and if so: that it opens everything, and finds nothing else.
pub(crate) fn opens(world: &World, site: &Site, truth: &Truth) -> bool {
    sound(world, site, async |host| {
        let mut let_in = Vec::new();
        for workspace in ["default", "team"] {
            let list = "GET /api/provider-keys?limit=1000";
            let (status, listed) = host.call(workspace, list, Value::Null).await;
            let code = listed["error"]["code"].as_str().unwrap_or_default();
            let_in.push(code != "misconfigured");
            if code == "misconfigured" {
                continue;
            }
            // A workspace may have been removed.
            assert!(status == 200 || code == "not_found", "{listed}");
            let items = listed["items"].as_array().cloned().unwrap_or_default();
            let name = |key: &Value| key["name"].as_str().unwrap().to_owned();
            let names: Vec<String> = items.iter().map(name).collect();
            let known = truth.0.iter().filter(|((of, _), _)| *of == workspace);
            let mut found = 0;
            for ((_, name), allowed) in known {
                let secret = match names.iter().any(|found| found == name) {
                    true => {
                        found += 1;
                        Some(secret(&host, workspace, name).await)
                    }
                    false => None,
                };
                assert!(
                    allowed.contains(&secret.as_deref()),
                    "{name} of {workspace}: {secret:?} is not one of {allowed:?}"
                );
            }
            assert_eq!(found, names.len(), "{names:?} and {truth:?}");
        }
        let first = let_in[0];
        assert!(let_in.iter().all(|also| *also == first), "{let_in:?}");
        first
    })
}

/// The secret of a key, as the data plane gets it.
pub(crate) async fn secret(host: &SimHost, workspace: &str, name: &str) -> String {
    let workspace = match workspace {
        "default" => DEFAULT_WORKSPACE.to_owned(),
        other => {
            let call = format!("GET /api/workspaces/{other}");
            let (_, found) = host.call("default", &call, Value::Null).await;
            found["id"].as_str().unwrap().to_owned()
        }
    };
    let settings = Settings::get(host).await.unwrap();
    let question = Question::PointToProviderKey(name.to_owned());
    let answered = ask(host, &settings, &workspace, question).await.unwrap();
    let Reply::KeyPointer(key) = answered.reply else {
        panic!("{:?}", answered.reply);
    };
    let pointer = key.sealed.as_ref().unwrap();
    let opened = unseal(host, &settings, &workspace, &key, pointer).await;
    let opened = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
    opened.expose_str().unwrap().to_owned()
}

/// A story: how a world begins, what is then done in which settings, and in which settings others may still be running.
pub(crate) struct Story {
    /// The settings in which the world is made.
    pub(crate) start: Site,
    /// What is done there, before anything may go wrong.
    pub(crate) given: Vec<Step>,
    /// The settings of what is done then.
    pub(crate) site: Site,
    /// What may go wrong.
    pub(crate) steps: Vec<Step>,
    /// The settings of others at the same time; each of them has to be let in.
    pub(crate) beside: Vec<Site>,
    /// The settings of others who are either let in or told that they lack something.
    pub(crate) perhaps: Vec<Site>,
    /// The settings at the end, with nothing of before.
    pub(crate) end: Site,
}

impl Story {
    /// The world as it is before anything may go wrong.
    pub(crate) fn begun(&self) -> (World, Truth) {
        let world = founded(&self.start);
        let mut truth = Truth::default();
        for step in &self.given {
            let came = perform(&world, &self.start, *step, &mut truth);
            assert_eq!(came, Came::Acknowledged, "{step:?}");
        }
        (world, truth)
    }

    /// Tells the story, with one step of it going wrong. `false` where there was no such step.
    pub(crate) fn told_in(
        &self,
        (world, mut truth): (World, Truth),
        at: u64,
        fault: Fault,
    ) -> bool {
        world.arm(at, fault);
        let mut left = self.steps.iter();
        let mut again = None;
        for step in left.by_ref() {
            if perform(&world, &self.site, *step, &mut truth) != Came::Acknowledged {
                again = Some(*step);
                break;
            }
        }
        let struck = world.disarm();
        self.holds(&world, &truth, at);
        // Whoever does not know how it ended does it again.
        for step in again.into_iter().chain(left.copied()) {
            let came = perform(&world, &self.site, step, &mut truth);
            match (step, came) {
                (_, Came::Acknowledged) => {}
                // It had been done, and nobody was told.
                (Step::Save(..), Came::Refused(409)) => {}
                (Step::Delete(_) | Step::Drop, Came::Refused(404)) => {}
                _ => panic!("{step:?} again: {came:?}, after {struck:?}"),
            }
            self.holds(&world, &truth, at);
        }
        let came = perform(&world, &self.site, Step::Rewrap, &mut truth);
        assert_eq!(came, Came::Acknowledged, "after {struck:?}");
        for _ in 0..3 {
            world.pass(ELEVEN_MINUTES);
            let came = perform(&world, &self.site, Step::Tick, &mut truth);
            assert_eq!(came, Came::Acknowledged, "after {struck:?}");
        }
        self.ended(&world, &truth, &struck, fault);
        struck.is_some()
    }

    /// Everybody who may be there opens everything.
    fn holds(&self, world: &World, truth: &Truth, at: u64) {
        // Who was killed in a turn at the vault has lost it.
        world.pass(TURN_MS);
        // KV may show nothing of what it has: the database has copies.
        world.held().kv_blind = at % 2 == 1;
        for site in self.beside.iter().chain([&self.site]) {
            assert!(opens(world, site, truth), "{site:?} is kept out");
        }
        for site in &self.perhaps {
            opens(world, site, truth);
        }
        world.held().kv_blind = false;
    }

    /// Everything is where it belongs, and nothing else is anywhere.
    fn ended(&self, world: &World, truth: &Truth, struck: &Option<String>, fault: Fault) {
        assert!(opens(world, &self.end, truth), "the old is still needed");
        let told = sound(world, &self.end, async |host| {
            let call = "GET /api/vault";
            host.call("default", call, Value::Null).await
        });
        assert_eq!(told.0, 200, "{told:?}");
        assert_eq!(told.1["secrets"], told.1["under_kek"], "{told:?}");
        assert_eq!(told.1["leftovers"], 0, "{told:?} after {struck:?}");
        let rows = "FROM provider_key_versions WHERE entry IS NOT NULL";
        let mut pointed: Vec<String> = world.texts(&format!("SELECT entry {rows}"));
        let olds = world.texts(
            "SELECT v.kek FROM provider_key_versions v JOIN provider_keys k ON k.id = v.provider_key
             WHERE v.entry IS NOT NULL AND v.version < k.version",
        );
        assert!(olds.is_empty(), "{olds:?} after {struck:?}");
        let mut there: Vec<String> = world.held().kv.keys().cloned().collect();
        let stored = world.held().hashicorp.entries("secret");
        let named = |path: &String| {
            let entry = path.strip_prefix("lockgate/").unwrap();
            format!("vault-kv:secret@2/lockgate#{entry}")
        };
        there.extend(stored.iter().map(|(path, _)| named(path)));
        pointed.sort();
        there.sort();
        if fault == Fault::Fails {
            // An entry that could not be written to KV is in the database all the same.
            there.retain(|entry| !pointed.contains(entry));
            assert!(there.is_empty(), "{there:?} after {struck:?}");
        } else {
            assert_eq!(there, pointed, "after {struck:?}");
        }
        let left = world.texts("SELECT entry FROM leftovers");
        assert!(left.is_empty(), "{left:?} after {struck:?}");
    }
}
