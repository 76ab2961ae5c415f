//! Any surface over any provider, plain: what reaches the provider, what the client gets (FEATURES E3, E4, D2, D3).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::dialects::{
    ARGUMENTS, HELLO, PNG, SURFACES, Surface, Test, World, each_provider, parameters,
};

pub(crate) fn cases() -> Vec<Case> {
    let tests: [Test; 12] = [
        ("text", text),
        ("tools", tools),
        ("parallel_results_in_one_turn", parallel_results),
        ("one_call_at_a_time", one_call),
        ("tool_schemas", tool_schemas),
        ("numbers", numbers),
        ("json_schema", json_schema),
        ("images", images),
        ("reasoning", reasoning),
        ("finish", finish),
        ("usage", usage),
        ("errors", errors),
    ];
    let mut all: Vec<Case> = each_provider("translation", &tests).collect();
    all.extend(cases!["translation":
        several_choices,
        nothing_in_silence,
        signed_calls,
        thoughts_come_back,
        no_system_prompt_is_lost,
        wrong_requests_are_the_clients,
    ]);
    all
}

fn text(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.question();
        if surface != Surface::Responses {
            body["temperature"] = json!(0.5);
            body["stop_sequences"] = json!(["END"]);
        }
        if surface == Surface::Chat {
            body["stop"] = body["stop_sequences"].take();
            body.as_object_mut().unwrap().remove("stop_sequences");
        }
        let answer = world.answered(surface, "mock-model", &body);
        assert_eq!(surface.text(&answer), HELLO, "{surface:?}: {answer}");
        let expected = match surface {
            Surface::Chat => "stop",
            Surface::Responses => "completed",
            Surface::Messages => "end_turn",
        };
        assert_eq!(surface.finish(&answer), expected, "{surface:?}: {answer}");
        let (_, sent) = world.sent();
        for said in [
            "Be brief.",
            "What is one and one?",
            "Two, I think.",
            "Grüße, are you sure?",
        ] {
            assert_eq!(
                sent.matches(said).count(),
                1,
                "{surface:?}: {said} in {sent}"
            );
        }
        if surface != Surface::Responses {
            assert!(
                sent.contains("END") && sent.contains("0.5"),
                "{surface:?}: {sent}"
            );
        }
        // Nothing of the gateway reaches the provider.
        let recorded = world.last();
        assert!(
            !format!("{:?}", recorded.headers).contains("lgk_"),
            "{:?}",
            recorded.headers
        );
        assert!(!sent.contains("lockgate"), "{sent}");
    }
}

/// Call, result, answer.
fn tools(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.with_tools();
        let answer = world.answered(surface, "mock-tool", &body);
        let calls = surface.calls(&answer);
        assert_eq!(calls.len(), 1, "{surface:?}: {answer}");
        assert_eq!(calls[0].name, "get_weather");
        assert_eq!(calls[0].arguments, ARGUMENTS, "{surface:?}");
        let expected = match surface {
            Surface::Chat => "tool_calls",
            Surface::Responses => "completed",
            Surface::Messages => "tool_use",
        };
        assert_eq!(surface.finish(&answer), expected, "{surface:?}: {answer}");
        surface.add_results(&mut body, &answer, r#"{"sky":"blue \"very\""}"#);
        let answer = world.answered(surface, "mock-tool", &body);
        assert_eq!(surface.text(&answer), HELLO, "{surface:?}: {answer}");
        // The result is what the client said, once: no more quotes than a text in JSON has, or the object itself.
        let (_, sent) = world.sent();
        let quoted = r#"{\"sky\":\"blue \\\"very\\\"\"}"#;
        let plain = r#""sky":"blue \"very\"""#;
        assert!(
            sent.contains(quoted) || sent.contains(plain),
            "{surface:?}: {sent}"
        );
        assert!(!sent.contains(r#"\\\"sky"#), "quoted twice: {sent}");
    }
}

fn parallel_results(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.with_tools();
        let answer = world.answered(surface, "mock-tools-2", &body);
        let calls = surface.calls(&answer);
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["get_weather", "get_time"], "{surface:?}: {answer}");
        assert_ne!(calls[0].id, calls[1].id);
        surface.add_results(&mut body, &answer, "sunny");
        // A provider that wants the results in one turn refuses them otherwise.
        let answer = world.answered(surface, "mock-tools-2", &body);
        assert_eq!(surface.text(&answer), HELLO, "{surface:?}: {answer}");
        let (_, sent) = world.sent();
        assert_eq!(sent.matches("sunny").count(), 2, "{sent}");
    }
}

/// `parallel_tool_calls: false` arrives, or the client is told.
fn one_call(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.with_tools();
        surface.one_call(&mut body);
        let reply = world.ask(surface, "mock-tools-2", &body);
        if reply.status == 400 {
            surface.refused(&reply, 400, "unsupported_feature");
            continue;
        }
        assert_eq!(reply.status, 200, "{surface:?}: {}", reply.text());
        if surface.calls(&reply.json()).len() == 1 {
            continue;
        }
        let warning = reply.header("lockgate-warning").unwrap_or_default();
        assert!(
            warning.contains("parallel"),
            "dropped in silence: {warning}"
        );
    }
}

/// Wherever the schema of a tool stands, it is what the client wrote: nothing required that was not, nothing added.
fn tool_schemas(world: &World<'_>) {
    fn find(value: &Value, wanted: &Value, found: &mut usize) {
        if value == wanted {
            *found += 1;
            return;
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| find(value, wanted, found)),
            Value::Array(list) => list.iter().for_each(|value| find(value, wanted, found)),
            _ => {}
        }
    }
    for surface in SURFACES {
        world.answered(surface, "mock-model", &surface.with_tools());
        let (sent, text) = world.sent();
        let mut found = 0;
        find(&sent, &parameters(), &mut found);
        assert_eq!(found, 2, "{surface:?}: {text}");
        for added in ["$defs", "\"required\":[]"] {
            assert!(!text.contains(added), "{surface:?}: {text}");
        }
    }
}

/// An integer that no double holds and a decimal that no double is, there and back, as text.
fn numbers(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.with_tools();
        let answer = world.ask(surface, "mock-tool", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        assert!(text.contains("9007199254740993"), "{surface:?}: {text}");
        let (_, sent) = world.sent();
        assert_eq!(
            sent.matches("9007199254740993").count(),
            2,
            "{surface:?}: {sent}"
        );
        assert!(sent.contains(":0.1"), "{surface:?}: {sent}");
        surface.add_results(&mut body, &answer.json(), "3.10 and 9007199254740993");
        world.answered(surface, "mock-tool", &body);
        let (_, sent) = world.sent();
        // In two schemas, in the arguments and in the result.
        assert_eq!(
            sent.matches("9007199254740993").count(),
            4,
            "{surface:?}: {sent}"
        );
        assert!(sent.contains("3.10 and"), "{sent}");
    }
}

fn json_schema(world: &World<'_>) {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["city", "n"],
        "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    });
    for surface in SURFACES {
        let mut body = surface.question();
        surface.want(&mut body, &schema);
        let answer = world.answered(surface, "mock-json", &body);
        assert_eq!(
            surface.text(&answer),
            r#"{"city":"Zürich","n":9007199254740993}"#,
            "{surface:?}"
        );
    }
}

fn images(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.question();
        surface.add_image(&mut body, &format!("data:image/png;base64,{PNG}"));
        let answer = world.answered(surface, "mock-model", &body);
        assert_eq!(surface.text(&answer), HELLO, "{surface:?}: {answer}");
        let (_, sent) = world.sent();
        assert_eq!(sent.matches(PNG).count(), 1, "{surface:?}: {sent}");
        // By its address: passed on, or refused where a provider takes none; never left out.
        let mut body = surface.question();
        surface.add_image(&mut body, "https://example.com/cat.png");
        let reply = world.ask(surface, "mock-model", &body);
        if reply.status == 400 {
            assert_eq!(world.provider, "bedrock", "{}", reply.text());
            surface.refused(&reply, 400, "unsupported_feature");
        } else {
            assert_eq!(reply.status, 200, "{surface:?}: {}", reply.text());
            assert!(world.sent().1.contains("https://example.com/cat.png"));
        }
    }
}

fn reasoning(world: &World<'_>) {
    for surface in SURFACES {
        let mut body = surface.question();
        match surface {
            Surface::Chat => body["reasoning_effort"] = json!("low"),
            Surface::Responses => body["reasoning"] = json!({"effort": "low", "summary": "auto"}),
            Surface::Messages => {
                body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048})
            }
        }
        let reply = world.ask(surface, "mock-reasoning", &body);
        assert_eq!(
            reply.status,
            200,
            "{surface:?} over {}: {}",
            world.provider,
            reply.text()
        );
        assert_eq!(
            surface.text(&reply.json()),
            HELLO,
            "{surface:?}: {}",
            reply.text()
        );
        // OpenAI's chat completions do not tell thoughts; who has them passes them on.
        let told = reply.text().contains("The user wants a greeting.");
        let tells = match world.provider {
            "openai" => surface == Surface::Responses,
            "azure-openai" => surface == Surface::Responses,
            _ => true,
        };
        assert_eq!(
            told,
            tells,
            "{surface:?} over {}: {}",
            world.provider,
            reply.text()
        );
    }
}

fn finish(world: &World<'_>) {
    for surface in SURFACES {
        let body = surface.question();
        let length = match surface {
            Surface::Chat => "length",
            Surface::Responses => "max_output_tokens",
            Surface::Messages => "max_tokens",
        };
        let answer = world.answered(surface, "mock-length", &body);
        assert_eq!(surface.finish(&answer), length, "{surface:?}: {answer}");
        assert_eq!(surface.text(&answer), HELLO);
        let filter = match surface {
            Surface::Chat | Surface::Responses => "content_filter",
            Surface::Messages => "refusal",
        };
        let answer = world.answered(surface, "mock-filter", &body);
        let found = surface.finish(&answer);
        // Anthropic has one word for both.
        let refused = world.provider == "anthropic" && answer.to_string().contains("refus");
        assert!(found == filter || refused, "{surface:?}: {answer}");
        // A refusal is never an ordinary answer without words.
        let reply = world.ask(surface, "mock-refusal", &body);
        if reply.status == 200 {
            let answer = reply.json();
            let said = answer.to_string();
            let told = ["refusal", "content_filter", "I can't assist"]
                .iter()
                .any(|word| said.contains(word));
            assert!(told, "{surface:?} over {}: {said}", world.provider);
        } else {
            assert_eq!(reply.status, 400, "{}", reply.text());
        }
    }
}

fn usage(world: &World<'_>) {
    for surface in SURFACES {
        let answer = world.answered(surface, "mock-cached", &surface.question());
        let [input, cached, output] = surface.usage(&answer);
        assert_eq!(
            (input, cached, output),
            (100, 64, 30),
            "{surface:?} over {}: {answer}",
            world.provider
        );
    }
}

fn errors(world: &World<'_>) {
    for surface in SURFACES {
        let body = surface.question();
        for (model, status, code) in [
            ("mock-status-400", 400, "invalid_request"),
            ("mock-status-401", 424, "provider_key_rejected"),
            ("mock-status-403", 424, "provider_key_rejected"),
            ("mock-status-404", 404, "model_not_found"),
            ("mock-status-413", 413, "request_too_large"),
            ("mock-status-429", 429, "provider_rate_limited"),
            ("mock-status-500", 502, "provider_error"),
            ("mock-status-503", 503, "provider_overloaded"),
            ("mock-status-504", 504, "provider_timeout"),
            ("mock-html-502", 502, "provider_error"),
        ] {
            let reply = world.ask(surface, model, &body);
            let error = surface.refused(&reply, status, code);
            assert_eq!(error["lockgate"]["provider"], world.provider, "{error}");
            let retry = reply.header("retry-after");
            assert_eq!(retry.is_some(), status == 429, "{model}: {retry:?}");
            if status == 400 {
                assert!(
                    error["message"]
                        .as_str()
                        .unwrap()
                        .contains("asked for the status 400"),
                    "{error}"
                );
            }
            // Before its first byte a stream fails like any request.
            let stream = world.stream(surface, model, &body);
            assert_eq!(stream.status, status, "{surface:?} {model}");
        }
    }
}

fn several_choices(env: &Env) {
    let mut body = Surface::Chat.question();
    body["n"] = json!(2);
    let world = World::new(env.gateway(), "anthropic");
    let error = Surface::Chat.refused(
        &world.ask(Surface::Chat, "mock-model", &body),
        400,
        "unsupported_feature",
    );
    assert_eq!(error["param"], "n", "{error}");
    assert!(world.mock.requests().is_empty(), "nothing was sent");
    let world = World::new(env.gateway(), "google");
    let answer = world.answered(Surface::Chat, "mock-model", &body);
    assert_eq!(
        answer["choices"].as_array().map(Vec::len),
        Some(2),
        "{answer}"
    );
    assert_eq!(answer["choices"][1]["message"]["content"], HELLO);
}

/// What a provider cannot do and what nobody knows is told in a header, never dropped in silence.
fn nothing_in_silence(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    for (field, value) in [
        ("seed", json!(7)),
        ("logit_bias", json!({"1": 1})),
        ("metadata", json!({"a": "b"})),
        ("a_field_of_tomorrow", json!(true)),
        ("frequency_penalty", json!(0.5)),
    ] {
        let mut body = Surface::Chat.question();
        body[field] = value;
        let reply = world.ask(Surface::Chat, "mock-model", &body);
        if reply.status == 400 {
            Surface::Chat.refused(&reply, 400, "unsupported_feature");
            continue;
        }
        assert_eq!(reply.status, 200, "{field}: {}", reply.text());
        let warnings: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "lockgate-warning")
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(
            warnings.iter().any(|warning| warning.contains(field)),
            "{field}: {warnings:?}"
        );
    }
    // Anthropic must be told a limit: one that is made up is told.
    let reply = world.ask(Surface::Chat, "mock-model", &Surface::Chat.question());
    let warning = reply.header("lockgate-warning").unwrap_or_default();
    assert!(warning.contains("max_tokens"), "{warning}");
    // Without anything to warn of there is no warning.
    let mut body = Surface::Chat.question();
    body["max_tokens"] = json!(100);
    let reply = world.ask(Surface::Chat, "mock-model", &body);
    assert_eq!(
        reply.header("lockgate-warning"),
        None,
        "{:?}",
        reply.headers
    );
}

/// From Gemini 3 on, a call that comes back without the signature it had is refused.
fn signed_calls(env: &Env) {
    let world = World::new(env.gateway(), "google");
    for surface in SURFACES {
        let mut body = surface.with_tools();
        let answer = world.answered(surface, "mock-signed-tool", &body);
        surface.add_results(&mut body, &answer, "sunny");
        let answer = world.answered(surface, "mock-signed-tool", &body);
        assert_eq!(surface.text(&answer), HELLO, "{surface:?}: {answer}");
    }
}

/// Thoughts that a client sends back with their signature reach the provider with it.
fn thoughts_come_back(env: &Env) {
    for provider in ["anthropic", "google", "bedrock"] {
        let world = World::new(env.gateway(), provider);
        let mut body = Surface::Messages.question();
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
        let answer = world.answered(Surface::Messages, "mock-reasoning", &body);
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": answer["content"]}));
        turns.push(json!({"role": "user", "content": "And?"}));
        world.answered(Surface::Messages, "mock-reasoning", &body);
        let (_, sent) = world.sent();
        assert!(
            sent.contains(mock_provider::THOUGHT_SIGNATURE),
            "{provider}: {sent}"
        );
    }
}

fn no_system_prompt_is_lost(env: &Env) {
    for provider in ["anthropic", "google", "cohere", "bedrock"] {
        let world = World::new(env.gateway(), provider);
        let body = json!({"messages": [
            {"role": "system", "content": "First rule."},
            {"role": "developer", "content": "Second rule."},
            {"role": "user", "content": "hi"},
        ]});
        world.answered(Surface::Chat, "mock-model", &body);
        let (_, sent) = world.sent();
        let places = ["First rule.", "Second rule.", "hi"].map(|said| sent.find(said));
        assert!(places.iter().all(Option::is_some), "{provider}: {sent}");
    }
}

fn wrong_requests_are_the_clients(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    for (surface, body) in [
        (Surface::Chat, json!({"messages": "hi"})),
        (
            Surface::Chat,
            json!({"messages": [{"role": "user", "content": 7}]}),
        ),
        (Surface::Responses, json!({"input": 7})),
    ] {
        let reply = world.ask(surface, "mock-model", &body);
        surface.refused(&reply, 400, "invalid_request");
    }
    assert!(world.mock.requests().is_empty(), "nothing was sent");
}
