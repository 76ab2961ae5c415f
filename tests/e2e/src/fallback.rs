//! What a route does when things go wrong: each failure of a provider under each fallback setting (FEATURES C3, C6).
//!
//! A cell is one failure under one setting. Each has a provider key with a base URL of its own, since circuits open by base
//! URL, and its name stands in the models that are asked for, which is how the mock's records are told apart.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::configurations::live;
use crate::failures::{At, Failure, Setting, failures, failures_of_bodies, settings};
use crate::gateway::free_port;
use crate::scene::{Scene, at_once, pooled, text};
use crate::tenant::{allow, chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["fallback": matrix]
}

/// A failure under a setting.
struct Cell<'a> {
    name: String,
    failure: &'a Failure,
    setting: &'a Setting,
    /// Whether the failing target speaks another dialect than the client.
    translated: bool,
}

impl Cell<'_> {
    fn provider(&self) -> &'static str {
        if self.translated {
            "anthropic"
        } else {
            "openai"
        }
    }

    /// The provider key of the failing target, in the scene's form.
    fn key(&self, scene: &Scene<'_>, closed: u16) -> Value {
        let root = match self.failure.at {
            At::Mock => scene.mock.base_url(),
            At::Closed => format!("http://127.0.0.1:{closed}"),
            At::Nowhere => "https://nowhere.invalid".to_owned(),
        };
        let end = if self.translated { "" } else { "/v1" };
        let base_url = format!("{root}/{}{end}", self.name);
        scene.key(self.provider(), &self.name, &json!({"base_url": base_url}))
    }

    /// Its targets and its route, as lines of a document.
    fn lines(&self) -> (String, String) {
        let (name, provider, model) = (&self.name, self.provider(), self.failure.model);
        let mut targets = format!(
            "    - {{ id: {name}, provider: {provider}, model: {name}/{model}, provider_key: {name} }}\n"
        );
        let mut chosen = format!("{{ target: {name} }}");
        if self.setting.second {
            targets.push_str(&format!(
                "    - {{ id: {name}-second, provider: groq, model: {name}/mock-model }}\n"
            ));
            chosen.push_str(&format!(", {{ target: {name}-second, priority: 1 }}"));
        }
        let fallback = self.setting.document;
        let route = format!(
            "  - {{ name: {name}, match: {{ models: [{name}] }}, targets: [{chosen}]{fallback} }}\n"
        );
        (targets, route)
    }

    /// How often the failing target is to be tried, and whether the second one is to be.
    fn tries(&self) -> (usize, bool) {
        // What passes is an answer, whatever is in it.
        let cause = self.failure.cause.filter(|_| !self.passes());
        let leaves = cause.is_some_and(|cause| self.setting.on.contains(&cause));
        if !leaves || self.setting.attempts == 1 {
            return (1, false);
        }
        if self.setting.second {
            return (1, true);
        }
        // It asks for more time than the route has.
        let waits = self.failure.retry_after == Some("7");
        (if waits { 1 } else { self.setting.attempts }, false)
    }

    /// Whether its answer has a good head and goes to the client as it comes.
    fn passes(&self) -> bool {
        let of_body = matches!(self.failure.name, "truncated" | "invalid-json");
        of_body && !self.translated
    }
}

fn matrix(env: &Env) {
    let scene = Scene::new(env.gateway());
    let (early, late, settings) = (failures(), failures_of_bodies(), settings());
    let mut cells = Vec::new();
    for setting in &settings {
        for failure in early.iter().chain(&late) {
            for translated in [false, true] {
                // The same happens in both dialects before there is an answer; a sample shows it.
                let sample = matches!(setting.name, "default" | "server-error" | "never");
                if translated && !sample && !late.iter().any(|one| one.name == failure.name) {
                    continue;
                }
                let dialect = if translated { "other" } else { "same" };
                cells.push(Cell {
                    name: format!("{}_{dialect}_{}", failure.name, setting.name),
                    failure,
                    setting,
                    translated,
                });
            }
        }
    }
    let closed = free_port();
    let mut wanted: Vec<(&str, Value)> = cells
        .iter()
        .map(|cell| ("provider-keys", cell.key(&scene, closed)))
        .collect();
    wanted.push(("provider-keys", scene.key("groq", "second", &json!({}))));
    wanted.push(role("anything", &[allow(&["*"])]));
    scene.make(&wanted);
    let documents: Vec<(&str, String)> = settings
        .iter()
        .map(|setting| {
            let of_it = cells
                .iter()
                .filter(|cell| cell.setting.name == setting.name);
            let (targets, routes): (String, String) = of_it.map(Cell::lines).unzip();
            let document = format!("providers:\n  targets:\n{targets}routes:\n{routes}");
            (setting.name, document)
        })
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| at_once(&documents, |(name, document)| live(&scene, name, document)));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let keys = at_once(&settings, |setting| {
        scene.gateway_key("app", &json!({"configuration": setting.name}))
    });
    scene.mock.clear();
    // All at once, as nothing of one cell bears on another.
    let faults = Mutex::new(Vec::new());
    pooled(&cells, 48, |cell| {
        let at = settings
            .iter()
            .position(|one| one.name == cell.setting.name);
        let said = ask(&scene, &keys[at.unwrap()], cell);
        let fault = match said {
            Some(said) => answered(cell, &said).err(),
            // An engine that reads a small answer whole before it gives any of it away has no head to show.
            None if cell.passes() && cell.failure.name == "truncated" => None,
            None => Some(format!("{}: no answer", cell.name)),
        };
        if let Some(fault) = fault {
            faults.lock().unwrap().push(fault);
        }
    });
    let mut faults = faults.into_inner().unwrap();
    let sent: Vec<(String, String)> = scene
        .mock
        .requests()
        .iter()
        .filter_map(|one| {
            let body: Value = serde_json::from_slice(&one.body).ok()?;
            let (cell, model) = body["model"].as_str()?.split_once('/')?;
            Some((cell.to_owned(), model.to_owned()))
        })
        .collect();
    let log = eventually("the log of all cells", || {
        let items = logged(&scene);
        (items.len() >= cells.len()).then_some(items)
    });
    assert_eq!(log.len(), cells.len(), "records");
    for cell in &cells {
        faults.extend(reached(cell, &sent).err());
        let record = log
            .iter()
            .find(|record| record["route"] == cell.name.as_str());
        faults.extend(recorded(cell, record.unwrap_or(&Value::Null)).err());
    }
    assert!(
        faults.is_empty(),
        "{} of {} cells:\n{}",
        faults.len(),
        cells.len(),
        faults.join("\n")
    );
}

/// An answer: whole, where it came whole, with its status and headers in any case.
type Said = (Option<Reply>, u16, Vec<(String, String)>);

/// The answer, where there is any.
fn ask(scene: &Scene<'_>, key: &str, cell: &Cell<'_>) -> Option<Said> {
    let call = Call::post("/v1/chat/completions")
        .bearer(key)
        .json(&chat_body(&cell.name, false));
    let stream = call.open(scene.gateway.url()).ok()?;
    let (status, headers) = (stream.status, stream.headers.clone());
    Some((stream.collect().ok(), status, headers))
}

/// All records of the scene's workspace.
fn logged(scene: &Scene<'_>) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = scene.get(&format!("requests?limit=1000{cursor}"));
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Says what is not as it should be.
macro_rules! hold {
    ($cell:expr, $what:expr, $found:expr, $wanted:expr) => {
        let (found, wanted) = (&$found, &$wanted);
        if found != wanted {
            return Err(format!(
                "{}: {}: {found:?}, not {wanted:?}",
                $cell.name, $what
            ));
        }
    };
}

/// What the client got.
fn answered(cell: &Cell<'_>, said: &Said) -> Result<(), String> {
    let (reply, status, headers) = said;
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let (tries, second) = cell.tries();
    let attempts = (tries + usize::from(second)).to_string();
    hold!(
        cell,
        "lockgate-attempts",
        header("lockgate-attempts"),
        Some(attempts.as_str())
    );
    hold!(
        cell,
        "lockgate-route",
        header("lockgate-route"),
        Some(cell.name.as_str())
    );
    hold!(
        cell,
        "lockgate-credential",
        header("lockgate-credential"),
        Some("byok")
    );
    let key = if second { "second" } else { cell.name.as_str() };
    hold!(cell, "lockgate-key", header("lockgate-key"), Some(key));
    let passed_over = format!(
        "provider key {} of {} was passed over: {}",
        cell.name,
        cell.provider(),
        cell.failure.code
    );
    let warnings = headers
        .iter()
        .filter(|(name, _)| name == "lockgate-warning");
    let warnings = warnings.filter(|(_, value)| *value == passed_over).count();
    hold!(cell, "warnings", warnings, tries - usize::from(!second));
    let reply = match (reply, cell.passes()) {
        (None, true) => {
            hold!(cell, "broke off", cell.failure.name, "truncated");
            hold!(cell, "status", *status, 200);
            return Ok(());
        }
        (Some(reply), true) => {
            hold!(cell, "came whole", cell.failure.name, "invalid-json");
            hold!(cell, "status", reply.status, 200);
            return Ok(());
        }
        (None, false) => return Err(format!("{}: the answer broke off", cell.name)),
        (Some(reply), false) => reply,
    };
    if second {
        hold!(cell, "status", reply.status, 200);
        hold!(
            cell,
            "lockgate-provider",
            header("lockgate-provider"),
            Some("groq")
        );
        let model = format!("{}/mock-model", cell.name);
        hold!(
            cell,
            "lockgate-model",
            header("lockgate-model"),
            Some(model.as_str())
        );
        return Ok(());
    }
    hold!(cell, "status", reply.status, cell.failure.status);
    hold!(
        cell,
        "code",
        reply.json()["error"]["code"],
        json!(cell.failure.code)
    );
    let lockgate = &reply.json()["error"]["lockgate"];
    hold!(
        cell,
        "provider",
        lockgate["provider"],
        json!(cell.provider())
    );
    hold!(cell, "route", lockgate["route"], json!(cell.name));
    hold!(
        cell,
        "retry-after",
        header("retry-after"),
        cell.failure.retry_after
    );
    Ok(())
}

/// What reached the providers, in order.
fn reached(cell: &Cell<'_>, sent: &[(String, String)]) -> Result<(), String> {
    let of_it = sent.iter().filter(|(name, _)| *name == cell.name);
    let found: Vec<&str> = of_it.map(|(_, model)| model.as_str()).collect();
    let (tries, second) = cell.tries();
    let heard = if cell.failure.at == At::Mock {
        tries
    } else {
        0
    };
    let mut wanted = vec![cell.failure.model; heard];
    wanted.extend(second.then_some("mock-model"));
    hold!(cell, "what reached the providers", found, wanted);
    Ok(())
}

/// What the log says.
fn recorded(cell: &Cell<'_>, record: &Value) -> Result<(), String> {
    let (tries, second) = cell.tries();
    let provider = if second { "groq" } else { cell.provider() };
    hold!(cell, "logged provider", record["provider"], json!(provider));
    hold!(
        cell,
        "logged credential",
        record["credential"],
        json!("byok")
    );
    let (status, code) = match second || cell.passes() {
        true => (200, Value::Null),
        false => (cell.failure.status, json!(cell.failure.code)),
    };
    hold!(cell, "logged status", record["status"], json!(status));
    if !cell.passes() {
        hold!(cell, "logged code", record["code"], code);
    }
    let attempts = record["attempts"].as_array().cloned().unwrap_or_default();
    hold!(
        cell,
        "logged attempts",
        attempts.len(),
        tries + usize::from(second)
    );
    for (number, attempt) in attempts.iter().enumerate() {
        let failing = number < tries;
        let provider = if failing { cell.provider() } else { "groq" };
        hold!(
            cell,
            "an attempt's provider",
            attempt["provider"],
            json!(provider)
        );
        let key = if failing {
            cell.name.as_str()
        } else {
            "second"
        };
        hold!(
            cell,
            "an attempt's key",
            attempt["provider_key"],
            json!(key)
        );
        let code = match failing && !cell.passes() {
            true => json!(cell.failure.code),
            false => Value::Null,
        };
        hold!(cell, "an attempt's code", attempt["code"], code);
        let model = if failing {
            cell.failure.model
        } else {
            "mock-model"
        };
        let model = format!("{}/{model}", cell.name);
        hold!(cell, "an attempt's model", text(&attempt["model"]), model);
    }
    Ok(())
}
