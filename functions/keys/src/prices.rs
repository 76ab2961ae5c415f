//! What models cost: the manifests' prices, and a workspace's own, which go before them.
//!
//! Budgets and the cost in the log follow the prices of the workspace; managed traffic follows those of the workspace
//! `platform`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use lockgate_host::Host;
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::resource::Price;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::body::whole;
use crate::provider_keys::manifest;
use crate::respond::{self, only, removed, value};

/// Micro-USD for a million tokens.
const PRICES: RangeInclusive<u64> = 0..=1_000_000_000_000;
/// Characters of a model's name.
const MAX_MODEL: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    input_microusd_per_mtok: Value,
    cached_input_microusd_per_mtok: Option<Value>,
    output_microusd_per_mtok: Value,
}

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    only(call.query, &["provider"])?;
    let mut wanted = None;
    for (_, slug) in form_urlencoded::parse(call.query.unwrap_or_default().as_bytes()) {
        wanted = Some(manifest(&slug)?);
    }
    let Reply::Prices(own) = call.ask(Question::ListPrices).await? else {
        return Err(AskError::Mismatch.into());
    };
    let items = match wanted {
        Some(manifest) => effective(std::slice::from_ref(manifest), own),
        None => effective(lockgate_providers::all(), own),
    };
    Ok(value(200, json!({"items": items, "next_cursor": null})))
}

/// The prices in force at these providers, by provider and model.
fn effective(manifests: &[Manifest], own: Vec<Price>) -> Vec<Value> {
    let mut prices = BTreeMap::new();
    for manifest in manifests {
        for model in manifest.models {
            let Some(input) = model.input_microusd_per_mtok else {
                continue;
            };
            let price = Price {
                provider: manifest.slug.into(),
                model: model.id.into(),
                input,
                cached_input: model.cached_input_microusd_per_mtok,
                // What has no output, such as an embedding, has no price for it.
                output: model.output_microusd_per_mtok.unwrap_or(0),
            };
            prices.insert(
                (manifest.slug.to_owned(), model.id.to_owned()),
                shown(&price, "manifest"),
            );
        }
    }
    for price in own {
        if manifests.iter().any(|m| m.slug == price.provider) {
            let item = shown(&price, "workspace");
            prices.insert((price.provider, price.model), item);
        }
    }
    prices.into_values().collect()
}

fn shown(price: &Price, source: &str) -> Value {
    json!({
        "provider": price.provider,
        "model": price.model,
        "input_microusd_per_mtok": price.input,
        "cached_input_microusd_per_mtok": price.cached_input,
        "output_microusd_per_mtok": price.output,
        "source": source,
    })
}

pub(crate) async fn put<H: Host>(
    call: &Call<'_, H>,
    provider: &str,
    model: &str,
) -> Result<respond::Reply, Refusal> {
    let provider = manifest(provider)?.slug;
    check(model)?;
    let given: Given = call.body.read()?;
    let price = |field, value: &Value| whole(field, value, PRICES);
    let cached = given.cached_input_microusd_per_mtok.as_ref();
    let price = Price {
        provider: provider.to_owned(),
        model: model.to_owned(),
        input: price("input_microusd_per_mtok", &given.input_microusd_per_mtok)?,
        cached_input: cached
            .map(|value| price("cached_input_microusd_per_mtok", value))
            .transpose()?,
        output: price("output_microusd_per_mtok", &given.output_microusd_per_mtok)?,
    };
    let answer = shown(&price, "workspace");
    call.ask(Question::PutPrice(price)).await?;
    Ok(value(200, answer))
}

pub(crate) async fn delete<H: Host>(
    call: &Call<'_, H>,
    provider: &str,
    model: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::DeletePrice {
        provider: manifest(provider)?.slug.to_owned(),
        model: model.to_owned(),
    };
    call.ask(question).await?;
    Ok(removed())
}

fn check(model: &str) -> Result<(), Refusal> {
    let length = model.chars().count();
    if (1..=MAX_MODEL).contains(&length) && !model.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!(
        "The model in the path has from 1 to {MAX_MODEL} characters and no control characters; this one has {length}."
    );
    Err(Refusal::new(Code::INVALID_REQUEST, message).param("model"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn own(provider: &str, model: &str, input: u64) -> Price {
        Price {
            provider: provider.into(),
            model: model.into(),
            input,
            cached_input: None,
            output: 2,
        }
    }

    fn find<'a>(items: &'a [Value], model: &str) -> &'a Value {
        let mut items = items.iter().filter(|item| item["model"] == model);
        let found = items.next().unwrap();
        assert!(items.next().is_none(), "{model} stands twice");
        found
    }

    #[test]
    fn the_workspaces_own_price_goes_before_the_manifests() {
        let openai = lockgate_providers::find("openai").unwrap();
        let model = openai
            .models
            .iter()
            .find(|m| m.input_microusd_per_mtok.is_some());
        let model = model.unwrap();
        let manifests = std::slice::from_ref(openai);
        let before = effective(manifests, Vec::new());
        let listed = find(&before, model.id);
        assert_eq!(listed["source"], "manifest");
        assert_eq!(
            listed["input_microusd_per_mtok"],
            model.input_microusd_per_mtok.unwrap()
        );
        let after = effective(
            manifests,
            vec![
                own("openai", model.id, 1),
                own("openai", "org/new model", 7),
                own("mistral", "elsewhere", 7),
            ],
        );
        let changed = find(&after, model.id);
        assert_eq!(changed["source"], "workspace");
        assert_eq!(changed["input_microusd_per_mtok"], 1);
        assert_eq!(changed["cached_input_microusd_per_mtok"], Value::Null);
        assert_eq!(find(&after, "org/new model")["output_microusd_per_mtok"], 2);
        assert_eq!(after.len(), before.len() + 1);
    }

    #[test]
    fn a_models_name_is_checked() {
        assert!(check("meta-llama/llama-3.3").is_ok());
        for bad in ["", "a\u{7}", &"x".repeat(257)] {
            assert_eq!(check(bad).unwrap_err().param.as_deref(), Some("model"));
        }
    }
}
