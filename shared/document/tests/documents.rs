//! Documents and what is wrong with them, at which line and column.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/problems.rs"]
mod problems;

use lockgate_document::{MAX_BYTES, MAX_PROBLEMS, Read, Severity, read};
use lockgate_workspace::plan::{Cause, CredentialKind, Fallback, KeysTried, Plan};
use problems::problems;

/// The document of API.md.
const EXAMPLE: &str = include_str!("support/example.yaml");

/// The plan of a document without errors.
fn plan(text: &str) -> Plan {
    let Read { plan, problems, .. } = read(text);
    plan.unwrap_or_else(|| panic!("{problems:#?}"))
}

#[test]
fn the_example_of_the_contract_is_valid() {
    let read = read(EXAMPLE);
    let plan = read.plan.unwrap();
    let names: Vec<_> = plan.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["chat", "policy-review"]);
    assert_eq!(plan.routes[0].models, ["gpt-4o", "chat-*"]);
    assert_eq!(plan.routes[1].task.as_deref(), Some("policy-review"));
    assert_eq!(
        plan.routes[1].allow_providers.as_deref(),
        Some(&["anthropic".to_owned()][..])
    );
    let order: Vec<_> = plan.routes[0]
        .targets
        .iter()
        .map(|target| {
            (
                &*plan.targets[target.target].id,
                target.priority,
                target.weight,
            )
        })
        .collect();
    assert_eq!(
        order,
        [("openai-main", 0, 9), ("claude", 0, 1), ("azure", 1, 1)]
    );
    let main = &plan.targets[0];
    assert_eq!(
        (&*main.provider, main.model.as_deref()),
        ("openai", Some("gpt-4o"))
    );
    assert_eq!(
        (main.credential, main.provider_key.as_deref()),
        (CredentialKind::Byok, Some("prod-us"))
    );
    assert_eq!(plan.targets[2].credential, CredentialKind::Any);
    assert!(!plan.direct_models);
    assert_eq!(
        plan.unenforced,
        ["policies.chain", "policy", "gateway.websocket"]
    );
    assert_eq!(
        plan.routes[0].fallback,
        Fallback {
            on: vec![
                Cause::Timeout,
                Cause::RateLimit,
                Cause::ServerError,
                Cause::KeyMissing,
                Cause::KeyRejected
            ],
            keys: KeysTried::One,
            attempts: Some(3),
            deadline_ms: Some(60_000),
        }
    );
    assert_eq!(plan.routes[1].fallback, Fallback::default());
    assert!(
        read.problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning)
    );
    let warned: Vec<_> = read.problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(
        warned,
        ["policies.chain", "policy.redact", "gateway.websocket"]
    );
}

#[test]
fn unknown_fields_are_named_with_what_was_probably_meant() {
    assert_eq!(
        problems("routs: []\npack: { nme: x, enabled: true }\nzzz: 1\n"),
        [
            "1:1 routs: there is no field `routs` here; did you mean `routes`? (fields: pack, providers, routes, policies, policy, gateway, resources)",
            "2:9 pack.nme: there is no field `nme` here; did you mean `name`? (fields: name, version, enabled)",
            "3:1 zzz: there is no field `zzz` here (fields: pack, providers, routes, policies, policy, gateway, resources)",
        ]
    );
}

#[test]
fn a_route_needs_a_name_a_match_and_targets() {
    let text = "\
providers:
  targets:
    - { id: a, provider: openai, model: m }
routes:
  - {}
  - name: b
    match: {}
    targets: []
  - name: c
    match: { models: [] }
    targets: [{ priority: 1 }]
  - name: d
    match:
    targets: [{ target: a }]
";
    assert_eq!(
        problems(text),
        [
            "5:5 routes[0]: the field `name` is missing",
            "5:5 routes[0]: the field `match` is missing",
            "5:5 routes[0]: the field `targets` is missing",
            "7:12 routes[1].match: the route matches nothing; write `models`, a list of globs, or `task`",
            "8:14 routes[1].targets: the list is empty; at least one item is wanted",
            "10:22 routes[2].match.models: the list is empty; at least one item is wanted",
            "11:15 routes[2].targets[0]: the field `target` is missing",
            "13:5 routes[3].match: nothing stands here; a mapping is wanted, or leave the key out",
            "13:5 routes[3].match: the route matches nothing; write `models`, a list of globs, or `task`",
        ]
    );
}

#[test]
fn references_are_resolved() {
    let text = "\
providers:
  targets:
    - { id: openai-main, provider: openia }
    - { id: claude, provider: anthropic, model: claude-sonnet-4-5 }
    - { id: claude, provider: openai }
routes:
  - name: chat
    match: { models: [\"*\"] }
    allow_providers: [openai, antropic]
    targets: [{ target: claud }, { target: claude }, { target: openai-main }]
  - name: chat
    match: { task: t }
    targets: [{ target: nothing-like-it }]
";
    assert_eq!(
        problems(text),
        [
            "3:36 providers.targets[0].provider: there is no provider “openia”; did you mean `openai`?",
            "5:13 providers.targets[2].id: there is a target “claude” already, in line 4",
            "9:31 routes[0].allow_providers[1]: there is no provider “antropic”; did you mean `anthropic`?",
            "10:25 routes[0].targets[0].target: there is no target “claud” under providers.targets; did you mean `claude`?",
            "10:44 routes[0].targets[1].target: the target “claude” is at anthropic, which is not among this route's `allow_providers`",
            "11:11 routes[1].name: there is a route “chat” already, in line 7",
            "13:25 routes[1].targets[0].target: there is no target “nothing-like-it” under providers.targets",
        ]
    );
}

#[test]
fn values_of_another_kind_or_out_of_range() {
    let text = "\
pack: { version: 1.2, enabled: yes }
providers:
  targets:
    - { id: a/b, provider: openai, model: 4, credential: byokk, provider_key: [x] }
    - { id: b, provider: openai, model: \"gpt-*\", credential: managed }
    - c
routes:
  - name: r
    match: { models: [\"\", 5] }
    targets:
      - { target: b, priority: 1001, weight: 0 }
      - { target: b, priority: -1, weight: 1.5 }
    fallback: { on: [timeuot], deadline: 60, attempts: 21, keys: both }
  - name: s
    match: { task: t }
    targets: [{ target: b, weight: 1000, priority: 1000 }]
    fallback: { on: [], deadline: 61m }
gateway: { direct_models: maybe, websocket: { enabled: false, idle_timeout_seconds: 0 } }
";
    assert_eq!(
        problems(text),
        [
            "1:32 pack.enabled: “yes” is a string; true or false is wanted",
            "4:13 providers.targets[0].id: “a/b” cannot be a name: it has a slash, which separates a provider from a name",
            "4:43 providers.targets[0].model: 4 is a number; a string is wanted; put it in quotes",
            "4:58 providers.targets[0].credential: “byokk” is not `byok`, `managed` or `any`; did you mean `byok`?",
            "4:79 providers.targets[0].provider_key: this is a list; a string is wanted",
            "5:41 providers.targets[1].model: a target has one model; `*` stands in a route's `match.models`",
            "6:7 providers.targets[2]: “c” is a string; a mapping is wanted",
            "9:23 routes[0].match.models[0]: the string is empty",
            "9:27 routes[0].match.models[1]: 5 is a number; a string is wanted; put it in quotes",
            "11:32 routes[0].targets[0].priority: 1001 is not a whole number from 0 to 1000",
            "11:46 routes[0].targets[0].weight: 0 is not a whole number from 1 to 1000",
            "12:32 routes[0].targets[1].priority: -1 is not a whole number from 0 to 1000",
            "12:44 routes[0].targets[1].weight: 1.5 is not a whole number from 1 to 1000",
            "13:22 routes[0].fallback.on[0]: “timeuot” is not `timeout`, `rate_limit`, `server_error`, `key_missing`, `key_rejected` or `quota_exhausted`; did you mean `timeout`?",
            "13:42 routes[0].fallback.deadline: 60 is a number; a string is wanted; put it in quotes",
            "13:56 routes[0].fallback.attempts: 21 is not a whole number from 1 to 20",
            "13:66 routes[0].fallback.keys: “both” is not `one` or `all`",
            "17:35 routes[1].fallback.deadline: “61m” is not a time from 1ms to 1h such as `60s` or `1m 30s`",
            "18:27 gateway.direct_models: “maybe” is not `allow` or `deny`",
            "18:85 gateway.websocket.idle_timeout_seconds: 0 is not a whole number from 1 to 86400",
        ]
    );
}

#[test]
fn where_a_key_goes_is_not_for_documents_to_say() {
    let text = "providers:\n  targets:\n    - { id: a, provider: openai, model: m, secret_key_ref: { env: X }, base_url: \"https://x\" }\n";
    let found = problems(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("3:44 providers.targets[0].secret_key_ref: `secret_key_ref` is for the local gateway's own file only"));
    assert!(found[1].starts_with(
        "3:72 providers.targets[0].base_url: `base_url` is for the local gateway's own file only"
    ));
}

#[test]
fn keys_stand_once() {
    assert_eq!(
        problems("routes: []\n\"routes\": []\npack: { name: a, name: b }\n"),
        [
            "2:1 routes: the key `routes` stands twice; the first is in line 1",
            "3:18 pack.name: the key `name` stands twice; the first is in line 3",
        ]
    );
}

#[test]
fn what_cannot_be_read_says_where() {
    let first = |text: &str| problems(text).first().cloned().unwrap_or_default();
    assert!(
        first("a: [1, 2\nb: 3\n").starts_with("2:2 "),
        "{}",
        first("a: [1, 2\nb: 3\n")
    );
    assert!(
        first("{\"pack\": \"\\q\"}").starts_with("1:10 : this cannot be read as YAML or JSON: ")
    );
    assert_eq!(
        first(""),
        "1:1 : the document is empty; {} is a document without routes"
    );
    assert_eq!(
        first("# nothing\n---\n"),
        "2:4 : nothing stands here; a mapping is wanted"
    );
    assert_eq!(first("[1]"), "1:1 : this is a list; a mapping is wanted");
    assert_eq!(
        first("{}\n---\n{}\n"),
        "3:1 : a second document begins here; a text is one document"
    );
    assert_eq!(
        problems("a: &x [1]\nb: *x\n").len(),
        3,
        "the alias, and both keys"
    );
    assert_eq!(
        first("pack: &a { name: x }\npolicy: *a\n"),
        "2:9 policy: aliases (`*name`) are not read here; write the value out"
    );
    assert_eq!(
        first("pack: { name: !!str x }\n"),
        "1:21 pack.name: tags such as `!x` are not read here; for a string use quotes"
    );
    assert_eq!(first("? [a]\n: b\n"), "1:3 : a key is a string");
    assert_eq!(
        first(&format!("{}{}", "[".repeat(40), "]".repeat(40))),
        format!(
            "1:34 {}: lists and mappings stand in each other more than 32 deep",
            "[0]".repeat(33)
        )
    );
    assert!(
        first(&format!("[{}]", "1,".repeat(60_000)))
            .ends_with("the document has more than 50000 values")
    );
    let large = format!("#{}\n{{}}", "x".repeat(MAX_BYTES));
    assert_eq!(
        first(&large),
        format!(
            "1:1 : the document has {} bytes; at most {MAX_BYTES} are read",
            large.len()
        )
    );
    assert!(
        read(&format!("#{}\n{{}}", "x".repeat(MAX_BYTES - 4)))
            .plan
            .is_some()
    );
}

#[test]
fn there_are_at_most_so_many_problems_and_errors_go_first() {
    let many: String = (0..150).map(|n| format!("x{n}: 1\n")).collect();
    let found = read(&many).problems;
    assert_eq!((found.len(), found[99].line), (MAX_PROBLEMS, 100));
    let routes: String = (0..150)
        .map(|n| {
            format!(
                "  - {{ name: r{n}, match: {{ task: t{n} }}, targets: [{{ target: a }}], fallback: {{}} }}\n"
            )
        })
        .collect();
    let warned =
        format!("providers: {{ targets: [{{ id: a, provider: openai }}] }}\nroutes:\n{routes}");
    assert!(read(&warned).plan.is_some());
    let read = read(&format!("{warned}zz: 1\n"));
    assert!(read.plan.is_none());
    assert_eq!(read.problems.len(), MAX_PROBLEMS);
    assert_eq!(read.problems[99].path, "zz");
}

#[test]
fn lists_have_limits() {
    let items = |count: usize, item: &str| vec![item; count].join(", ");
    let of = |targets: usize, globs: usize| {
        format!(
            "{{providers: {{targets: [{{id: a, provider: openai}}]}}, routes: [{{name: r, match: {{models: [{}]}}, targets: [{}]}}]}}",
            items(globs, "m"),
            items(targets, "{target: a}")
        )
    };
    assert!(read(&of(20, 200)).plan.is_some());
    assert!(
        problems(&of(21, 1))[0]
            .ends_with("routes[0].targets[20]: the list has 21 items; at most 20 are read")
    );
    assert!(
        problems(&of(1, 201))[0]
            .ends_with("routes[0].match.models[200]: the list has 201 items; at most 200 are read")
    );
    let glob = |length: usize| {
        format!(
            "{{routes: [{{name: r, match: {{models: [{}]}}, targets: []}}]}}",
            "é".repeat(length)
        )
    };
    assert_eq!(problems(&glob(256)).len(), 1);
    assert!(problems(&glob(257))[0].ends_with("has 257 characters; at most 256"));
}

#[test]
fn without_routes_each_target_serves_its_own_model() {
    let text = "\
providers:
  targets:
    - { id: a, provider: openai, model: gpt-4o }
    - { id: b, provider: openai }
    - { id: c, provider: azure-openai, model: gpt-4o }
    - { id: d, provider: anthropic, model: claude-sonnet-4-5 }
";
    let served = plan(text);
    let routes: Vec<_> = served
        .routes
        .iter()
        .map(|route| (&*route.name, &*route.models[0], route.targets[0].target))
        .collect();
    assert_eq!(routes, [("a", "gpt-4o", 0), ("d", "claude-sonnet-4-5", 3)]);
    assert!(served.direct_models);
    assert_eq!(
        problems(text),
        [
            "? 4:7 providers.targets[1]: no request reaches the target “b”: it has no model, and there are no routes",
            "? 5:7 providers.targets[2]: no request reaches the target “c”: a target before it has the model gpt-4o too, and there are no routes",
        ]
    );
    assert!(!plan(&format!("{text}gateway: {{ direct_models: deny }}\n")).direct_models);
}

#[test]
fn a_pack_that_is_switched_off_routes_nothing_and_keeps_what_it_declares() {
    let off = EXAMPLE.replace("enabled: true }\nproviders", "enabled: false }\nproviders");
    let read = read(&format!(
        "{off}resources: {{ gateways: [{{ name: web }}] }}\n"
    ));
    let plan = read.plan.unwrap();
    assert_eq!(
        plan,
        Plan {
            direct_models: true,
            ..Plan::default()
        }
    );
    assert_eq!(read.declared.gateways[0].name, "web");
    assert!(
        problems(&off.replace("provider: openai,", "provider: openia,"))
            .iter()
            .any(|p| p.contains("openia"))
    );
}

#[test]
fn direct_models_are_denied_as_soon_as_there_are_routes() {
    let routes = "providers: { targets: [{ id: a, provider: openai }] }\nroutes: [{ name: r, match: { task: t }, targets: [{ target: a }] }]\n";
    assert!(!plan(routes).direct_models);
    assert!(plan(&format!("{routes}gateway: {{ direct_models: allow }}\n")).direct_models);
    assert!(plan("{}").direct_models);
    assert!(plan("routes: []").direct_models);
}

#[test]
fn json_and_marks_of_byte_order_are_read() {
    let json = "\u{feff}{\n\t\"providers\": {\"targets\": [{\"id\": \"\\ud83d\\ude00\", \"provider\": \"openai\", \"model\": \"a\\/b\"}]}\n}";
    let plan = plan(json);
    assert_eq!(
        (&*plan.targets[0].id, plan.targets[0].model.as_deref()),
        ("😀", Some("a/b"))
    );
    let crlf = EXAMPLE.replace('\n', "\r\n");
    assert_eq!(read(&crlf).plan, read(EXAMPLE).plan);
    assert_eq!(read(&crlf).problems, read(EXAMPLE).problems);
}
