//! Workspaces furnished at random: keys, roles, agents, gateways and configurations that fit together often enough for each
//! outcome to be common, and that change at random afterwards.

use serde_json::{Value, json};

use crate::scene::{Scene, at_once};

/// Numbers that are as good as random, and the same for the same seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).unwrap_or_default()
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn of<'x, T>(&mut self, all: &'x [T]) -> &'x T {
        &all[self.below(all.len())]
    }

    /// So many at most, each once, in the order of the list.
    fn some<'x>(&mut self, all: &[&'x str], most: usize) -> Vec<&'x str> {
        let mut some: Vec<&str> = (0..self.below(most + 1)).map(|_| *self.of(all)).collect();
        some.sort_unstable();
        some.dedup();
        some
    }
}

const PROVIDERS: [&str; 5] = ["openai", "openai", "anthropic", "groq", "mistral"];
const KEYS: [&str; 3] = ["alpha", "beta", "gamma"];
const ROLES: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
const GATEWAYS: [&str; 2] = ["g0", "g1"];
const CONFIGURATIONS: [&str; 3] = ["c0", "c1", "c2"];
const AGENTS: [&str; 7] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6"];
const MODELS: [&str; 13] = [
    "gpt-4o",
    "gpt-4o-mini",
    "claude-sonnet-4-5",
    "openai/gpt-4o",
    "anthropic/claude-sonnet-4-5",
    "groq/llama-3.1-8b-instant",
    "groq/openai/gpt-oss-20b",
    "mistral/mistral-large-latest",
    "cohere/command-a-03-2025",
    "google/gemini-2.5-flash",
    "fast",
    "house-model",
    "model-of-tomorrow",
];
const ROUTES: [&str; 4] = ["chat", "review", "check", "nowhere"];

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// A model, by whatever name.
    Model(&'static str),
    /// A route by header, with a model that the body has to have.
    Header(&'static str, &'static str),
    /// A route as the model's name.
    Route(&'static str),
    /// A call without a model, at this provider.
    Bare(&'static str),
}

/// A gateway key, and what it is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) agent: &'static str,
    pub(crate) gateway: Option<&'static str>,
    pub(crate) configuration: Option<&'static str>,
    pub(crate) key: String,
}

fn tags(dice: &mut Dice) -> Value {
    let mut tags = json!({});
    if !dice.once_in(4) {
        tags["stage"] = json!(dice.of(&["live", "live", "testing"]));
    }
    if dice.once_in(2) {
        tags["team"] = json!(dice.of(&["red", "blue"]));
    }
    tags
}

fn condition(dice: &mut Dice) -> Value {
    let of = *dice.of(&["provider_key", "agent", "gateway", "configuration"]);
    let plain = match dice.below(7) {
        0 => json!({"tags_match": ["stage"]}),
        1 => json!({"tags_match": ["stage", "team"]}),
        2 => json!({"tag_equals": {"stage": "live"}, "of": of}),
        3 => json!({"tag_in": {"team": ["red", "green"]}, "of": of}),
        4 => json!({"tag_like": {"stage": "l*"}, "of": of}),
        5 => json!({"model_in": ["gpt-4o", "claude-sonnet-4-5", "command-a-03-2025"]}),
        _ => json!({"model_like": ["gpt-*", "*instant"]}),
    };
    if dice.once_in(4) {
        return json!({ "not": plain });
    }
    plain
}

fn statements(dice: &mut Dice) -> Value {
    let mut all = Vec::new();
    for _ in 0..=dice.below(3) {
        let mut resources = vec![*dice.of(&[
            "*",
            "openai/*",
            "openai",
            "anthropic/*",
            "groq/alpha",
            "mistral/*",
            "*/beta",
            "openai/al*",
            "cohere/*",
            "pk_*",
        ])];
        if dice.once_in(3) {
            resources.push("groq/*");
        }
        let deny = dice.once_in(6);
        let conditions: Vec<Value> = (0..dice.below(3)).map(|_| condition(dice)).collect();
        all.push(json!({
            "effect": if deny { "deny" } else { "allow" },
            "actions": [dice.of(&["provider-key:use", "provider-key:*", "*", "provider-key:use"])],
            "resources": resources,
            "conditions": conditions,
        }));
    }
    if dice.once_in(5) {
        all.push(crate::tenant::allow(&["*"]));
    }
    if dice.once_in(12) {
        all.push(json!({"effect": "allow", "actions": ["provider-key:look"], "resources": ["*"]}));
    }
    Value::Array(all)
}

/// A document in YAML: its targets, and routes to them or none.
fn document(dice: &mut Dice) -> String {
    let mut text = "providers:\n  targets:\n".to_owned();
    let mut target = |dice: &mut Dice, id: &str, provider: &str, model: &str| {
        let key = if dice.once_in(3) {
            format!(", provider_key: {}", dice.of(&["alpha", "beta", "nobody"]))
        } else {
            String::new()
        };
        text.push_str(&format!(
            "    - {{ id: {id}, provider: {provider}, model: {model}{key} }}\n"
        ));
    };
    target(dice, "one", "openai", "gpt-4o");
    target(dice, "two", "anthropic", "claude-sonnet-4-5");
    target(dice, "three", "groq", "house-model");
    if !dice.once_in(4) {
        let first = *dice.of(&["one", "three"]);
        let more = if dice.once_in(3) {
            ", { target: two, priority: 1 }"
        } else {
            ""
        };
        text.push_str(&format!(
            "routes:\n  - {{ name: chat, match: {{ models: [\"gpt-*\", fast] }}, targets: [{{ target: {first} }}{more}] }}\n"
        ));
        text.push_str(
            "  - { name: review, match: { task: check }, allow_providers: [anthropic], targets: [{ target: two }] }\n",
        );
    }
    match dice.below(5) {
        0..3 => text.push_str("gateway: { direct_models: allow }\n"),
        3 => text.push_str("gateway: { direct_models: deny }\n"),
        _ => {}
    }
    text
}

fn pins(dice: &mut Dice, keys: &[(&'static str, &'static str)]) -> Value {
    let mut pins: Vec<Value> = Vec::new();
    for _ in 0..dice.below(5) {
        let (provider, key) = *dice.of(keys);
        if pins.iter().all(|pin| pin["provider"] != provider) {
            let mode = dice.of(&["hard", "hard", "soft"]);
            pins.push(json!({"provider": provider, "provider_key": key, "mode": mode}));
        }
    }
    Value::Array(pins)
}

/// A workspace that is furnished at random.
pub(crate) struct World<'a> {
    pub(crate) scene: Scene<'a>,
    /// The provider keys: provider, name and id.
    keys: Vec<(&'static str, &'static str, String)>,
    pub(crate) bound: Vec<Bound>,
    /// The live versions of the configurations.
    versions: [u64; 3],
}

impl<'a> World<'a> {
    pub(crate) fn new(scene: Scene<'a>, dice: &mut Dice) -> Self {
        let mut names: Vec<(&'static str, &'static str)> = Vec::new();
        let mut wanted = Vec::new();
        for _ in 0..7 {
            let one = (*dice.of(&PROVIDERS), *dice.of(&KEYS));
            if !names.contains(&one) {
                names.push(one);
                let more = json!({"tags": tags(dice), "default": dice.once_in(3)});
                wanted.push(("provider-keys", scene.key(one.0, one.1, &more)));
            }
        }
        let count = wanted.len();
        for name in ROLES {
            wanted.push((
                "roles",
                json!({"name": name, "statements": statements(dice)}),
            ));
        }
        for name in GATEWAYS {
            wanted.push(("gateways", json!({"name": name, "tags": tags(dice)})));
        }
        for name in CONFIGURATIONS {
            let body = json!({"name": name, "tags": tags(dice), "document": document(dice)});
            wanted.push(("configurations", body));
        }
        let made = scene.make(&wanted);
        let keys = names
            .iter()
            .zip(&made[..count])
            .map(|(&(provider, name), key)| (provider, name, crate::scene::text(&key["id"])))
            .collect();
        let agents: Vec<Value> = AGENTS
            .iter()
            .map(|name| {
                let (roles, pins) = (dice.some(&ROLES, 3), pins(dice, &names));
                json!({"name": name, "tags": tags(dice), "roles": roles, "pins": pins})
            })
            .collect();
        at_once(&agents, |body| scene.create("agents", body));
        let choose = |dice: &mut Dice, all: &'static [&'static str]| {
            let wants = dice.once_in(3);
            wants.then(|| *dice.of(all))
        };
        let mut bound: Vec<Bound> = (0..AGENTS.len() * 2)
            .map(|at| Bound {
                agent: AGENTS[at % AGENTS.len()],
                gateway: choose(dice, &GATEWAYS),
                configuration: choose(dice, &CONFIGURATIONS),
                key: String::new(),
            })
            .collect();
        let texts = at_once(&bound, |one| {
            let mut more = json!({});
            for (field, value) in [
                ("gateway", one.gateway),
                ("configuration", one.configuration),
            ] {
                if let Some(value) = value {
                    more[field] = json!(value);
                }
            }
            scene.gateway_key(one.agent, &more)
        });
        for (one, key) in bound.iter_mut().zip(texts) {
            one.key = key;
        }
        Self {
            scene,
            keys,
            bound,
            versions: [0; 3],
        }
    }

    /// Changes many things, at once and at random.
    pub(crate) fn change(&mut self, dice: &mut Dice) {
        // What each change is, decided before any of them is made.
        let mut changes: Vec<(&str, String, Value)> = Vec::new();
        let mut change = |method, path: String, body| changes.push((method, path, body));
        for (_, _, id) in &self.keys {
            match dice.below(4) {
                0 | 1 => change(
                    "PATCH",
                    format!("provider-keys/{id}"),
                    json!({"enabled": dice.once_in(2)}),
                ),
                2 => change("PUT", format!("provider-keys/{id}/tags"), tags(dice)),
                _ => {}
            }
        }
        for name in ROLES {
            if dice.once_in(3) {
                change(
                    "PATCH",
                    format!("roles/{name}"),
                    json!({"statements": statements(dice)}),
                );
            }
        }
        for name in AGENTS {
            match dice.below(4) {
                0 => change(
                    "PATCH",
                    format!("agents/{name}"),
                    json!({"roles": dice.some(&ROLES, 3)}),
                ),
                1 => change("PUT", format!("agents/{name}/tags"), tags(dice)),
                _ => {}
            }
        }
        for name in GATEWAYS {
            change("PUT", format!("gateways/{name}/tags"), tags(dice));
        }
        for (name, version) in CONFIGURATIONS.iter().zip(&mut self.versions) {
            if *version > 0 && dice.once_in(2) {
                change("PUT", format!("configurations/{name}/tags"), tags(dice));
            } else if *version == 0 && !dice.once_in(3) {
                let body = json!({ "expected_version": *version });
                change("POST", format!("configurations/{name}/apply"), body);
                *version += 1;
            }
        }
        let default = match dice.below(3) {
            0 => json!(dice.of(&CONFIGURATIONS)),
            _ => Value::Null,
        };
        let access = if dice.once_in(6) { "open" } else { "enforced" };
        change(
            "PATCH",
            format!("workspaces/{}", self.scene.workspace),
            json!({"default_configuration": default, "access": access}),
        );
        if dice.once_in(3) {
            let provider = dice.of(&["openai", "anthropic"]);
            change("DELETE", format!("providers/{provider}/seed"), Value::Null);
        }
        if self.keys.len() > 2 {
            let (_, _, id) = self.keys.swap_remove(dice.below(self.keys.len()));
            // The others' changes of it may come before or after.
            changes.retain(|(_, path, _)| !path.contains(&id));
            changes.push(("DELETE", format!("provider-keys/{id}"), Value::Null));
        }
        at_once(&changes, |(method, path, body)| {
            let call = crate::client::Call::new(method, &format!("/api/{path}"));
            let call = if body.is_null() {
                call
            } else {
                call.json(body)
            };
            let reply = self.scene.api(call);
            assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        });
    }

    /// Something to ask for.
    pub(crate) fn wish(dice: &mut Dice) -> Wish {
        let (route, model) = (*dice.of(&ROUTES), *dice.of(&MODELS));
        match dice.below(12) {
            0 => Wish::Header(route, model),
            1 => Wish::Route(route),
            2 => Wish::Bare(["openai", "groq"][dice.below(2)]),
            _ => Wish::Model(model),
        }
    }
}
