//! What was decided about access counts for the very next request, with many under way (FEATURES B2, B6; DESIGN.md,
//! admission by lease).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::{allow_if, role};
use crate::case::{Case, Env, cases};
use crate::configurations::live;
use crate::scene::{Scene, chat, secret_of, text};
use crate::tenant::allow;

pub(crate) fn cases() -> Vec<Case> {
    cases!["changes":
        of_access_under_load [process, alone],
    ]
}

/// Requests under way at any time.
const WORKERS: usize = 32;

/// One change, and what every request that starts after it must come to: the provider key used, or the reason why not.
struct Step<'a> {
    what: &'static str,
    change: Box<dyn Fn() + 'a>,
    then: &'static str,
}

fn step<'a>(what: &'static str, then: &'static str, change: Box<dyn Fn() + 'a>) -> Step<'a> {
    Step { what, change, then }
}

/// One request as its client saw it.
struct Seen {
    started: Instant,
    ended: Instant,
    came_to: String,
}

fn of_access_under_load(env: &Env) {
    let gateway = env.plan().several().start();
    let scene = Scene::new(&gateway);
    let document = |key: &str| {
        format!(
            "providers:\n  targets:\n    - {{ id: one, provider: openai, model: mock-slow-head-60, provider_key: {key} }}\nroutes:\n  - {{ name: only, match: {{ models: [\"*\"] }}, targets: [{{ target: one }}] }}\n"
        )
    };
    let tagged = json!({"tags": {"stage": "live"}});
    scene.make(&[
        ("provider-keys", scene.key("openai", "alpha", &tagged)),
        ("provider-keys", scene.key("openai", "beta", &tagged)),
        role("same", &[allow_if(json!({"tags_match": ["stage"]}))]),
        role("other", &[allow(&["groq/*"])]),
        ("agents", json!({"name": "app", "tags": {"stage": "live"}})),
    ]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            live(&scene, "c", &document("alpha"));
            scene
                .put("configurations/c/tags", &json!({"stage": "live"}))
                .expect(200);
        });
        scene
            .patch("agents/app", &json!({"roles": ["same"]}))
            .expect(200);
    });
    let key = scene.gateway_key("app", &json!({"configuration": "c"}));

    let roles = |roles: Value| {
        scene
            .patch("agents/app", &json!({ "roles": roles }))
            .expect(200);
    };
    let tags = |of: &str, value: &str| {
        scene
            .put(&format!("{of}/tags"), &json!({ "stage": value }))
            .expect(200);
    };
    let versions = AtomicU64::new(1);
    let apply = |document: String| {
        let draft = json!({ "document": document });
        scene.put("configurations/c/draft", &draft).expect(200);
        let expected = versions.fetch_add(1, Ordering::SeqCst);
        let body = json!({ "expected_version": expected });
        scene.post("configurations/c/apply", &body).expect(200);
    };
    let steps = vec![
        step("as it was", "alpha", Box::new(|| ())),
        step(
            "role taken away",
            "no_role_attached",
            Box::new(|| roles(json!([]))),
        ),
        step("role given", "alpha", Box::new(|| roles(json!(["same"])))),
        step(
            "another version applied",
            "beta",
            Box::new(|| apply(document("beta"))),
        ),
        step(
            "agent's tag changed",
            "tag_mismatch",
            Box::new(|| tags("agents/app", "testing")),
        ),
        step(
            "agent's tag changed back",
            "beta",
            Box::new(|| tags("agents/app", "live")),
        ),
        step(
            "rolled back",
            "alpha",
            Box::new(|| {
                scene
                    .post("configurations/c/rollback", &json!({"version": 1}))
                    .expect(200);
            }),
        ),
        step(
            "key's tag changed",
            "tag_mismatch",
            Box::new(|| tags("provider-keys/alpha", "testing")),
        ),
        step(
            "role changed",
            "alpha",
            Box::new(|| {
                let statements = json!({"statements": [allow(&["openai/*"])]});
                scene.patch("roles/same", &statements).expect(200);
            }),
        ),
        step(
            "role deleted",
            "no_role_attached",
            Box::new(|| {
                scene.delete("roles/same").expect(204);
            }),
        ),
        step(
            "another role given",
            "denied_by_policy",
            Box::new(|| roles(json!(["other"]))),
        ),
        step(
            "opened",
            "alpha",
            Box::new(|| {
                scene.patch_workspace(&json!({"access": "open"}));
            }),
        ),
        step(
            "closed",
            "denied_by_policy",
            Box::new(|| {
                scene.patch_workspace(&json!({"access": "enforced"}));
            }),
        ),
    ];
    let (asked, answered, seen) = run(&scene, &key, &steps);

    let mut least_seen = vec![0_usize; steps.len()];
    let mut crossed = 0;
    for one in &seen {
        let least = answered
            .iter()
            .rposition(|at| *at < one.started)
            .unwrap_or(0);
        let most = asked.iter().rposition(|at| *at < one.ended).unwrap_or(0);
        assert!(
            steps[least..=most]
                .iter()
                .any(|step| step.then == one.came_to),
            "a request that started {:?} after “{}” had answered came to {}",
            one.started.saturating_duration_since(answered[least]),
            steps[least].what,
            one.came_to
        );
        if least == most {
            least_seen[least] += 1;
        } else {
            crossed += 1;
        }
    }
    for (step, count) in steps.iter().zip(&least_seen) {
        assert!(
            *count > 0,
            "no request fell between “{}” and the next",
            step.what
        );
    }
    assert!(crossed > 0, "no request was under way during a change");
    drop(steps);
    drop(scene);
    gateway.stop();
}

/// Keeps requests under way while the steps are made; returns when each was asked for and had its answer, and what the
/// requests came to.
fn run(
    scene: &Scene<'_>,
    key: &str,
    steps: &[Step<'_>],
) -> (Vec<Instant>, Vec<Instant>, Vec<Seen>) {
    let over = AtomicBool::new(false);
    let next = AtomicU64::new(0);
    let seen: Mutex<BTreeMap<String, Seen>> = Mutex::default();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (over, next, seen) = (&over, &next, &seen);
            scope.spawn(move || {
                let urls = &scene.gateway.urls;
                while !over.load(Ordering::SeqCst) {
                    let id = format!("n-{}", next.fetch_add(1, Ordering::SeqCst));
                    let started = Instant::now();
                    let reply = chat(key, "whatever")
                        .header("idempotency-key", &id)
                        .run(&urls[worker % urls.len()]);
                    let came_to = match reply.status {
                        200 => "served".to_owned(),
                        403 => text(&reply.json()["error"]["lockgate"]["reason"]),
                        other => panic!("{other}: {}", reply.text()),
                    };
                    let ended = reply.ended_at;
                    if came_to != "served" {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    let one = Seen {
                        started,
                        ended,
                        came_to,
                    };
                    seen.lock().unwrap().insert(id, one);
                }
            });
        }
        for step in steps {
            asked.push(Instant::now());
            (step.change)();
            answered.push(Instant::now());
            std::thread::sleep(Duration::from_millis(300));
        }
        over.store(true, Ordering::SeqCst);
    });
    // Which key the provider saw.
    let mut seen = seen.into_inner().unwrap();
    for record in scene.mock.requests() {
        let id = record.header("idempotency-key").unwrap();
        let name = ["alpha", "beta"]
            .into_iter()
            .find(|name| record.secret == Some(secret_of("openai", name)))
            .expect("a secret of these keys");
        let one = seen.get_mut(id).expect("a request of ours");
        assert_eq!(one.came_to, "served", "{id} was refused, and sent");
        name.clone_into(&mut one.came_to);
    }
    (asked, answered, seen.into_values().collect())
}
