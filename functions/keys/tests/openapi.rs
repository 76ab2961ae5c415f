//! Holds `openapi.yaml` and `docs/errors.md` against the code: paths against the dispatchers, schemas against what serde
//! reads and writes, codes against `lockgate_refusal`.
//!
//! The dispatchers are read as text: they are `match`es that are meant to be read, and a table beside them only for this
//! test would be one more thing to keep true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "openapi/shown.rs"]
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use lockgate_refusal::Code;
use lockgate_workspace::resource::read_statements;
use lockgate_workspace::tags::TagError;
use serde::Serialize;
use serde_json::Value;

const KEYS: &str = include_str!("../src/lib.rs");
const ENDPOINT: &str = include_str!("../../proxy/src/endpoint.rs");
const BILLING: &str = include_str!("../../billing/src/lib.rs");
const ERRORS: &str = include_str!("../../../docs/errors.md");

fn document() -> Value {
    // What `/api/openapi.json` serves.
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/openapi.json"))).unwrap()
}

/// Method and path, each parameter as `{}`.
type Operations = BTreeSet<(String, String)>;

fn documented(document: &Value) -> Operations {
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path: Vec<&str> = path
            .split('/')
            .map(|s| if s.starts_with('{') { "{}" } else { s })
            .collect();
        for method in item.as_object().unwrap().keys() {
            if method != "parameters" {
                operations.insert((method.to_uppercase(), path.join("/")));
            }
        }
    }
    operations
}

/// What stands between quotation marks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// `["provider-keys", id, "secret"]` as `/provider-keys/{}/secret`.
fn path(pattern: &str) -> String {
    let inner = pattern.split_once('[').unwrap().1;
    let inner = inner.split_once(']').unwrap().0;
    inner
        .split(',')
        .map(str::trim)
        .filter(|segment| !segment.is_empty())
        .map(|segment| match quoted(segment).first() {
            Some(word) => format!("/{word}"),
            None => "/{}".to_owned(),
        })
        .collect()
}

/// The same for a pattern in which one segment may be `"a" | "b"`.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, after)) = pattern.split_once(" | ") else {
        return vec![path(pattern)];
    };
    // What ends before the bar, and what begins after it.
    let open = before.rfind([',', '[']).unwrap() + 1;
    let close = after.find([',', ']']).unwrap();
    let one = format!("{before}{}", &after[close..]);
    let other = format!("{}{after}", &before[..open]);
    [alternatives(&one), alternatives(&other)].concat()
}

/// The operations of the three dispatchers.
fn dispatched() -> Operations {
    let mut operations = Operations::new();
    let mut add = |method: &str, path: String| {
        assert!(operations.insert((method.to_owned(), path)));
    };

    // Before the token is looked at: `if path == "/api/healthz" && request.method == Method::GET`.
    for line in KEYS
        .lines()
        .filter(|line| line.trim().starts_with("if path == "))
    {
        assert!(line.contains("Method::GET"), "{line}");
        add("GET", quoted(line)[0].to_owned());
    }
    // `("GET", ["workspaces", id]) => …`
    for line in KEYS.lines().map(str::trim) {
        if let Some((pattern, _)) = line.split_once(" => ")
            && pattern.starts_with("(\"")
        {
            let rest = path(pattern.split_once(',').unwrap().1);
            add(quoted(pattern)[0], format!("/api{rest}"));
        }
    }

    // `["audio", "transcriptions" | "translations"] => (Surface::Audio, BodyKind::Form, POST),`
    for line in ENDPOINT.lines().map(str::trim) {
        let Some((pattern, call)) = line.split_once(" => (Surface::") else {
            continue;
        };
        let constant = call.rsplit_once(", ").unwrap().1;
        let constant = constant.strip_suffix("),").expect("methods at the end");
        for path in alternatives(pattern) {
            for method in constant.split('_') {
                add(method, format!("/v1{path}"));
            }
        }
    }
    assert!(ENDPOINT.contains("rest.strip_prefix(\"models\")"));
    add("GET", "/v1/models".to_owned());
    add("GET", "/v1/models/{}".to_owned());

    // `"/webhooks/stripe" => "STRIPE_WEBHOOK_SECRET",`
    assert!(BILLING.contains("request.method != Method::POST"));
    for line in BILLING
        .lines()
        .filter(|line| line.trim().starts_with("\"/webhooks/"))
    {
        add("POST", quoted(line)[0].to_owned());
    }
    operations
}

#[test]
fn what_is_documented_is_what_is_served() {
    let (mut documented, dispatched) = (documented(&document()), dispatched());
    // Azure's paths are further names of the same calls: one stands for all.
    let (azure, rest) = documented
        .into_iter()
        .partition::<Operations, _>(|(_, path)| path.starts_with("/openai/"));
    documented = rest;
    for (method, path) in azure {
        let same = path.replace("/openai/deployments/{}", "/v1");
        assert!(documented.contains(&(method, same)), "{path}");
    }
    let only = |a: &Operations, b: &Operations| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        only(&documented, &dispatched),
        [],
        "documented, and not served"
    );
    assert_eq!(
        only(&dispatched, &documented),
        [],
        "served, and not documented"
    );
    // The text above has been understood at all.
    for (method, path) in [
        ("GET", "/api/healthz"),
        ("PUT", "/api/provider-keys/{}/secret"),
        ("PUT", "/api/gateways/{}/tags"),
        ("POST", "/api/agents/{}/simulate"),
        ("DELETE", "/api/configurations/{}"),
        ("GET", "/api/configurations/{}/versions/{}"),
        ("POST", "/v1/chat/completions"),
        ("DELETE", "/v1/responses/{}"),
        ("POST", "/v1/audio/translations"),
        ("GET", "/v1/batches"),
        ("POST", "/v1/uploads/{}/complete"),
        ("POST", "/api/vault/rewrap"),
        ("POST", "/webhooks/standard"),
    ] {
        assert!(dispatched.contains(&(method.to_owned(), path.to_owned())));
    }
}

#[test]
fn the_document_holds_together() {
    let document = document();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    references(&document, &document);
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(operation["summary"].is_string(), "{id} has no summary");
            let named: BTreeSet<&str> = [&item["parameters"], &operation["parameters"]]
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .map(|parameter| resolve(&document, parameter))
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let wanted: BTreeSet<&str> = path
                .split('/')
                .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(named, wanted, "parameters of {id}");
        }
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
    }
}

fn references(document: &Value, value: &Value) {
    resolve(document, value);
    match value {
        Value::Object(object) => object.values().for_each(|v| references(document, v)),
        Value::Array(array) => array.iter().for_each(|v| references(document, v)),
        _ => {}
    }
}

/// The properties of a schema, and those that it requires.
fn fields(document: &Value, schema: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = &document["components"]["schemas"][schema];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let properties = schema["properties"].as_object().expect("a schema");
    let required = schema["required"].as_array();
    (
        properties.keys().cloned().collect(),
        required.into_iter().flatten().map(text).collect(),
    )
}

/// The fields that serde writes, named as `/api` shows them.
fn written(resource: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(resource).unwrap();
    let names = value.as_object().unwrap().keys();
    names
        .map(|name| match name.as_str() {
            "revision" => "etag".to_owned(),
            other => other.to_owned(),
        })
        .collect()
}

/// What is in an answer beside what serde writes, or not in each: it is not required.
fn sometimes(schema: &str) -> BTreeSet<String> {
    let names: &[&str] = match schema {
        "Workspace" => &["warning"],
        "ProviderKey" => &["versions"],
        "Configuration" => &["problems", "warnings"],
        "Tokens" => &["cached_input", "reasoning", "estimated"],
        "UsageRow" => &[
            "day",
            "gateway_key",
            "agent",
            "team",
            "route",
            "provider",
            "provider_key",
            "model",
            "credential",
        ],
        "Limits" => &[
            "requests_per_minute",
            "tokens_per_minute",
            "requests_per_day",
        ],
        _ => &[],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What serde leaves out where there is none of it, and `/api` shows all the same.
fn always(schema: &str) -> BTreeSet<String> {
    let names: &[&str] = match schema {
        "GatewayKey" => &["limits", "budget"],
        _ => &[],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn schemas_of_answers_have_the_fields_that_are_written() {
    let document = document();
    for (schema, written) in [
        ("Workspace", written(&shown::workspace())),
        ("KeyVersion", written(&shown::key_version())),
        ("ProviderKey", written(&shown::provider_key())),
        ("HealthCheck", written(&shown::check())),
        ("Role", written(&shown::role())),
        ("Agent", written(&shown::agent())),
        ("Pin", written(&shown::pin())),
        ("Gateway", written(&shown::gateway())),
        ("Configuration", written(&shown::configuration())),
        ("Draft", written(&shown::draft())),
        ("ConfigurationVersion", written(&shown::version())),
        ("AdminToken", written(&shown::admin_token())),
        ("AuditEntry", written(&shown::audit_entry())),
        ("Verified", written(&shown::verified())),
        ("GatewayKey", written(&shown::gateway_key())),
        ("Attempt", written(&shown::attempt())),
        ("RequestRecord", written(&shown::record())),
        ("Limits", written(&shown::limits())),
        ("Budget", written(&shown::budget())),
        ("Tokens", written(&shown::tokens())),
        ("UsageRow", written(&shown::usage_row())),
        ("Wallet", written(&shown::wallet())),
        ("LedgerEntry", written(&shown::ledger_entry())),
    ] {
        let (properties, required) = fields(&document, schema);
        let written = &written | &always(schema);
        let sometimes = sometimes(schema);
        assert_eq!(properties, &written | &sometimes, "{schema}");
        assert_eq!(required, &written - &sometimes, "what {schema} requires");
    }
}

/// The error about an empty condition lists the tests there are, and the one about `of` those that have tags.
#[test]
fn every_condition_is_in_the_document() {
    let refused = |condition: &str| {
        let statement = format!(
            r#"[{{"effect":"allow","actions":["*"],"resources":["*"],"conditions":[{condition}]}}]"#
        );
        read_statements(&statement).unwrap_err().problem
    };
    let names = |text: String| -> BTreeSet<String> {
        let list = text.rsplit_once(" of ").expect("a list").1.to_owned();
        list.split(", ").map(str::to_owned).collect()
    };
    let document = document();
    let (mut properties, _) = fields(&document, "Condition");
    assert!(properties.remove("of"));
    assert_eq!(properties, names(refused("{}")));
    let of = &document["components"]["schemas"]["Condition"]["properties"]["of"]["enum"];
    let of: BTreeSet<String> = serde_json::from_value(of.clone()).unwrap();
    assert_eq!(of, names(refused(r#"{"tag_equals":{"a":"b"},"of":"x"}"#)));
}

#[test]
fn every_adapter_is_in_the_document() {
    let document = document();
    let adapters = &document["components"]["schemas"]["Vault"]["properties"]["adapter"]["enum"];
    assert_eq!(adapters, &serde_json::json!(lockgate_vault::ADAPTERS));
}

#[test]
fn examples_of_answers_have_the_fields_of_their_schemas() {
    let document = document();
    let mut checked = 0;
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let content = &operation["responses"]["200"]["content"]["application/json"];
            if let (Some(example), Some(schema)) = (
                content["example"].as_object(),
                content["schema"]["$ref"].as_str(),
            ) {
                let schema = schema.rsplit('/').next().unwrap();
                let named: BTreeSet<String> = example.keys().cloned().collect();
                assert_eq!(named, fields(&document, schema).1, "{schema}");
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "there are examples");
}

/// The fields of a `struct` that serde reads, and those that must be there.
fn read(source: &str, name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let start = format!("struct {name} {{\n");
    let body = source.split_once(&start).expect("the struct").1;
    let body = body.split_once("\n}").unwrap().0;
    let (mut all, mut required) = (BTreeSet::new(), BTreeSet::new());
    let mut default = false;
    for line in body.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        if line.starts_with('#') {
            default |= line.contains("default");
            continue;
        }
        let (field, kind) = line.split_once(": ").unwrap();
        all.insert(field.to_owned());
        if !std::mem::take(&mut default) && !kind.starts_with("Option<") {
            required.insert(field.to_owned());
        }
    }
    (all, required)
}

#[test]
fn schemas_of_bodies_have_the_fields_that_are_read() {
    let workspaces = include_str!("../src/workspaces.rs");
    let provider_keys = include_str!("../src/provider_keys.rs");
    let gateway_keys = include_str!("../src/gateway_keys.rs");
    let roles = include_str!("../src/roles.rs");
    let agents = include_str!("../src/agents.rs");
    let simulate = include_str!("../src/simulate.rs");
    let gateways = include_str!("../src/gateways.rs");
    let configurations = include_str!("../src/configurations.rs");
    let admin_tokens = include_str!("../src/admin_tokens.rs");
    let limits = include_str!("../src/limits.rs");
    let prices = include_str!("../src/prices.rs");
    let wallet = include_str!("../src/wallet.rs");
    let vault = include_str!("../src/vault.rs");
    let document = document();
    for (schema, source, name) in [
        ("WorkspaceCreate", workspaces, "Create"),
        ("WorkspacePatch", workspaces, "Patch"),
        ("ProviderKeyCreate", provider_keys, "Create"),
        ("ProviderKeyPatch", provider_keys, "Patch"),
        ("Rotation", provider_keys, "Rotate"),
        ("GatewayKeyCreate", gateway_keys, "Create"),
        ("GatewayKeyPatch", gateway_keys, "Patch"),
        ("RoleCreate", roles, "Create"),
        ("RolePatch", roles, "Patch"),
        ("AgentCreate", agents, "Create"),
        ("AgentPatch", agents, "Patch"),
        ("PinGiven", agents, "PinField"),
        ("Simulate", simulate, "Imagined"),
        ("GatewayCreate", gateways, "Create"),
        ("GatewayPatch", gateways, "Patch"),
        ("ConfigurationCreate", configurations, "Create"),
        ("ConfigurationPatch", configurations, "Patch"),
        ("ConfigurationDraft", configurations, "Document"),
        ("ConfigurationApply", configurations, "Apply"),
        ("ConfigurationRollback", configurations, "Rollback"),
        ("AdminTokenCreate", admin_tokens, "Create"),
        ("Limits", limits, "LimitsField"),
        ("Budget", limits, "BudgetField"),
        ("PriceGiven", prices, "Given"),
        ("Credit", wallet, "Credit"),
        ("VaultRewrap", vault, "Rewrap"),
    ] {
        assert_eq!(fields(&document, schema), read(source, name), "{schema}");
        let open = &document["components"]["schemas"][schema]["additionalProperties"];
        assert_eq!(open, false, "{schema} takes unknown fields");
    }
}

/// Every code, with its status.
fn codes() -> BTreeMap<String, u16> {
    let tags = [
        TagError::LimitExceeded(51),
        TagError::KeyEmpty,
        TagError::KeyTooLong(String::new(), 129),
        TagError::ValueTooLong(String::new(), 257),
        TagError::KeyReserved(String::new()),
        TagError::KeyRepeated(String::new()),
        TagError::ValueInvalid(String::new()),
    ];
    let codes = Code::ALL
        .iter()
        .map(|code| (code.text.to_owned(), code.status));
    codes
        .chain(tags.iter().map(|error| (error.code().to_owned(), 400)))
        .collect()
}

#[test]
fn every_code_is_in_the_document() {
    let document = document();
    let listed = document["components"]["schemas"]["ErrorCode"]["enum"].as_array();
    let listed = listed.unwrap().iter().map(|code| code.as_str().unwrap());
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert_eq!(listed, codes().into_keys().collect());
}

/// `docs/errors.md` has a section per code, under the heading that errors link to, which begins with the status.
#[test]
fn every_code_is_explained() {
    let mut explained = BTreeMap::new();
    for section in ERRORS.split("\n### ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        let status = text.trim().strip_prefix("Status ").unwrap_or_default();
        let status = status.split('.').next().unwrap().parse();
        let status = status.unwrap_or_else(|_| panic!("{heading} does not begin with its status"));
        assert!(
            explained.insert(heading.to_owned(), status).is_none(),
            "{heading} stands twice"
        );
    }
    assert_eq!(explained, codes());
}
