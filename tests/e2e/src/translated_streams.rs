//! Streams over providers of another dialect: the events of the client's own, when they come, and an end that tells the truth
//! (FEATURES E4, E6, D2).

use std::time::{Duration, Instant};

use mock_provider::Outcome;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::dialects::{ARGUMENTS, HELLO, SURFACES, Surface, Test, World, each_provider};
use crate::streamed::Streamed;
use crate::tenant::eventually;

pub(crate) fn cases() -> Vec<Case> {
    let tests: [Test; 9] = [
        ("text", text),
        ("tools", tools),
        ("split", split),
        ("ends", ends),
        ("breaks", breaks),
        ("usage", usage),
        ("same_as_plain", same_as_plain),
        ("event_by_event", event_by_event),
        ("client_leaves", client_leaves),
    ];
    let mut all: Vec<Case> = each_provider("translated_streams", &tests).collect();
    all.extend(cases!["translated_streams": stalls [process], bursts]);
    all
}

fn text(world: &World<'_>) {
    for surface in SURFACES {
        let streamed = world.streamed(surface, "mock-model", &surface.question());
        assert_eq!(streamed.text, HELLO, "{surface:?}: {streamed:?}");
        assert!(
            streamed.complete && streamed.error.is_none(),
            "{surface:?}: {streamed:?}"
        );
        let finish = match surface {
            Surface::Chat => "stop",
            Surface::Responses => "completed",
            Surface::Messages => "end_turn",
        };
        assert_eq!(streamed.finish, finish);
        let numbered = world.streamed(surface, "mock-events-20-0", &surface.question());
        let expected: String = (0..20).map(|number| format!("{number} ")).collect();
        assert_eq!(numbered.text, expected, "{surface:?}");
    }
}

fn tools(world: &World<'_>) {
    for surface in SURFACES {
        for (model, count) in [("mock-tool", 1), ("mock-tools-2", 2)] {
            let streamed = world.streamed(surface, model, &surface.with_tools());
            assert_eq!(streamed.calls.len(), count, "{surface:?}: {streamed:?}");
            for (call, name) in streamed.calls.iter().zip(["get_weather", "get_time"]) {
                assert_eq!(
                    (call.name.as_str(), call.arguments.as_str()),
                    (name, ARGUMENTS),
                    "{surface:?}"
                );
                assert!(!call.id.is_empty());
            }
            assert!(streamed.complete, "{streamed:?}");
        }
    }
}

/// Pieces of a few bytes, cut inside characters and fields.
fn split(world: &World<'_>) {
    for surface in SURFACES {
        let streamed = world.streamed(surface, "mock-split", &surface.question());
        assert_eq!(
            streamed.text, "Grüße aus 東京 🌍🚀 — naïve ✓",
            "{surface:?}"
        );
        assert!(streamed.complete, "{surface:?}: {streamed:?}");
    }
}

fn ends(world: &World<'_>) {
    for surface in SURFACES {
        let length = match surface {
            Surface::Chat => "length",
            Surface::Responses => "max_output_tokens",
            Surface::Messages => "max_tokens",
        };
        let streamed = world.streamed(surface, "mock-length", &surface.question());
        assert_eq!(streamed.finish, length, "{surface:?}: {streamed:?}");
        assert_eq!(streamed.text, HELLO);
    }
}

/// What the provider breaks off, ends early or says to have failed, ends with the surface's error event.
fn breaks(world: &World<'_>) {
    for surface in SURFACES {
        for model in [
            "mock-break-3",
            "mock-cut-3",
            "mock-error-mid-3",
            "mock-invalid-json",
        ] {
            let passes = passes(world, surface);
            if passes && model == "mock-invalid-json" {
                // Bytes pass as they are, also such.
                continue;
            }
            let streamed = world.streamed(surface, model, &surface.question());
            let said = if model == "mock-invalid-json" {
                "Hello"
            } else {
                "0 1 2 "
            };
            assert!(
                streamed.text.starts_with(said),
                "{surface:?} {model}: {streamed:?}"
            );
            // An error that the provider tells in the client's own dialect passes as it is.
            if model == "mock-error-mid-3" && passes {
                assert!(
                    !streamed.complete && streamed.error.is_some() || has_failed(&streamed),
                    "{surface:?}: {streamed:?}"
                );
                continue;
            }
            let code = match (model, world.provider) {
                ("mock-error-mid-3", "anthropic" | "google") => "provider_overloaded",
                _ => "provider_error",
            };
            streamed.failed(code);
        }
    }
}

fn has_failed(streamed: &Streamed) -> bool {
    !streamed.complete
        && streamed
            .events
            .iter()
            .any(|event| event["type"] == "response.failed" || event["type"] == "error")
}

/// Whether the provider has this surface itself, so that bytes pass untouched.
fn passes(world: &World<'_>, surface: Surface) -> bool {
    match surface {
        Surface::Chat | Surface::Responses => ["openai", "azure-openai"].contains(&world.provider),
        Surface::Messages => world.provider == "anthropic",
    }
}

/// A chat's usage is sent if it was asked for, and else not; the other surfaces always have it.
fn usage(world: &World<'_>) {
    let mut body = Surface::Chat.question();
    let silent = world.streamed(Surface::Chat, "mock-cached", &body);
    assert!(
        silent
            .events
            .iter()
            .all(|event| event.get("usage").is_none_or(Value::is_null)),
        "{silent:?}"
    );
    assert!(
        silent
            .events
            .iter()
            .all(|event| event["choices"] != json!([])
                || event.get("prompt_filter_results").is_some()),
        "{silent:?}"
    );
    body["stream_options"] = json!({"include_usage": true});
    let told = world.streamed(Surface::Chat, "mock-cached", &body);
    let last = told.events.last().expect("events");
    assert_eq!(last["choices"], json!([]), "{told:?}");
    assert_eq!(Surface::Chat.usage(last), [100, 64, 30], "{last}");
    let response = world.streamed(
        Surface::Responses,
        "mock-cached",
        &Surface::Responses.question(),
    );
    let last = &response.events.last().expect("events")["response"];
    assert_eq!(Surface::Responses.usage(last), [100, 64, 30], "{last}");
    let message = world.streamed(
        Surface::Messages,
        "mock-cached",
        &Surface::Messages.question(),
    );
    let delta = message
        .events
        .iter()
        .find(|event| event["type"] == "message_delta")
        .expect("a delta");
    assert_eq!(Surface::Messages.usage(delta), [100, 64, 30], "{delta}");
}

/// A stream put together is the plain answer.
fn same_as_plain(world: &World<'_>) {
    for surface in SURFACES {
        let body = surface.with_tools();
        for model in [
            "mock-model",
            "mock-tools-2",
            "mock-reasoning",
            "mock-length",
        ] {
            let plain = world.answered(surface, model, &body);
            let streamed = world.streamed(surface, model, &body);
            assert_eq!(streamed.text, surface.text(&plain), "{surface:?} {model}");
            assert_eq!(
                streamed.finish,
                surface.finish(&plain),
                "{surface:?} {model}"
            );
            let calls = |calls: &[crate::dialects::ToolCall]| -> Vec<(String, String)> {
                calls
                    .iter()
                    .map(|call| (call.name.clone(), call.arguments.clone()))
                    .collect()
            };
            assert_eq!(
                calls(&streamed.calls),
                calls(&surface.calls(&plain)),
                "{surface:?} {model}"
            );
        }
    }
}

/// The first event comes long before the last one is sent.
fn event_by_event(world: &World<'_>) {
    for surface in SURFACES {
        let start = Instant::now();
        let mut stream = world.stream(surface, "mock-events-5-300", &surface.question());
        let mut text = String::new();
        let mut first = None;
        while let Some((at, piece)) = stream.piece().expect("a piece") {
            text += &String::from_utf8_lossy(&piece);
            if first.is_none() && text.contains("\"0 \"") {
                first = Some(at);
            }
        }
        let first = first.expect("the first event").duration_since(start);
        assert!(
            first < Duration::from_millis(1100),
            "{surface:?}: the first event came after {first:?}"
        );
        assert!(start.elapsed() >= Duration::from_millis(1200));
    }
}

fn client_leaves(world: &World<'_>) {
    for surface in SURFACES {
        let before = world.mock.requests().len();
        let mut stream = world.stream(surface, "mock-events-1000-50", &surface.question());
        stream.piece().expect("a piece");
        stream.leave();
        let ended = eventually("the provider's request ends", || {
            let recorded = world.mock.requests().into_iter().nth(before)?;
            recorded.outcome
        });
        assert_eq!(ended, Outcome::ClientLeft, "{surface:?}");
    }
}

fn stalls(env: &Env) {
    for provider in ["anthropic", "google", "cohere", "bedrock"] {
        let world = World::new(env.gateway(), provider);
        for surface in SURFACES {
            let streamed = world.streamed(surface, "mock-stall-3", &surface.question());
            if provider == "anthropic" && surface == Surface::Messages {
                assert!(
                    !streamed.complete && streamed.error.is_some(),
                    "{streamed:?}"
                );
                continue;
            }
            assert_eq!(streamed.text, "0 1 2 ", "{provider} {surface:?}");
            streamed.failed("provider_timeout");
        }
    }
}

/// Many events in one write are all there, in order.
fn bursts(env: &Env) {
    const COUNT: usize = 3000;
    let expected: String = (0..COUNT).map(|number| format!("{number} ")).collect();
    for provider in ["anthropic", "google", "bedrock"] {
        let world = World::new(env.gateway(), provider);
        for surface in SURFACES {
            let streamed =
                world.streamed(surface, &format!("mock-burst-{COUNT}"), &surface.question());
            assert!(
                streamed.text == expected,
                "{provider} {surface:?}: {} bytes",
                streamed.text.len()
            );
            assert!(streamed.complete);
        }
    }
}
