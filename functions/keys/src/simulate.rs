//! `POST /api/agents/{id}/simulate`: what a request would be answered, without sending anything (FEATURES B4).
//!
//! The decision is the data plane's own (`lockgate_routing::course` and `ready`), on what the authority knows now. What
//! the data plane refuses before it looks for a key, such as a model that nothing serves, is refused here in the same
//! words.

use std::rc::Rc;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::{Caller, Names, Target, Wanted, course, ready};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::resource::Health;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::respond::{self, value};

/// The request to be imagined.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Imagined {
    model: Option<String>,
    /// Without a model and a route, it is a call that names none.
    provider: Option<String>,
    route: Option<String>,
    gateway: Option<String>,
    configuration: Option<String>,
}

pub(crate) async fn simulate<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let imagined: Imagined = call.body.read()?;
    let wanted = wanted(&imagined)?;
    let question = Question::Impersonate {
        agent: id.to_owned(),
        gateway: imagined.gateway.clone(),
        configuration: imagined.configuration.clone(),
    };
    let Reply::Caller(identity, snapshot) = call.ask(question).await? else {
        return Err(AskError::Mismatch.into());
    };
    let caller = Caller::new(*identity, Rc::new(*snapshot));
    Ok(value(200, decided(&caller, &wanted)?))
}

fn wanted(imagined: &Imagined) -> Result<Wanted<'_>, Refusal> {
    let given = |field: &'_ Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
    let names = if given(&imagined.model) || given(&imagined.route) {
        Names::Always
    } else if given(&imagined.provider) {
        Names::Never
    } else {
        return Err(
            Refusal::new(Code::INVALID_REQUEST, "There is nothing to simulate.")
                .param("model")
                .remedy("Send a `model`, a `provider` or a `route`."),
        );
    };
    Ok(Wanted {
        model: imagined.model.as_deref(),
        route: imagined.route.as_deref(),
        provider: imagined.provider.as_deref(),
        names,
        surface: None,
    })
}

fn nothing() -> Refusal {
    Refusal::new(Code::ROUTE_NOT_FOUND, "The route has no target.")
}

fn decided(caller: &Caller, wanted: &Wanted<'_>) -> Result<Value, Refusal> {
    let course = course(caller, wanted).map_err(|mut refusal| {
        // Here the provider is a field, not a header.
        if refusal.param.as_deref() == Some("lockgate-provider") {
            refusal.param = Some("provider".to_owned());
        }
        refusal
    })?;
    let mut choices = course.choices();
    let target = choices
        .next()
        .map(|choice| choice.target)
        .ok_or_else(nothing)?;
    let Target {
        manifest,
        model,
        route,
        ..
    } = target;
    // What an isolate of the data plane has seen rejected a moment ago is not known here, but what its label says.
    let chosen = ready(caller, &target, |key| key.health == Health::Invalid);
    let about = match &chosen {
        Ok(ready) => Some(&**ready.key),
        Err(not_ready) => not_ready.key,
    };
    let explanation = caller.explain(target.judged(), manifest.slug, about);
    let mut answer = json!({
        "decision": "ready",
        "allowed": true,
        "status": 200,
        "code": null,
        "route": route,
        "provider": manifest.slug,
        "model": Some(model).filter(|model| !model.is_empty()),
        "provider_key": null,
        "provider_key_id": null,
        "credential": null,
        "statements": explanation.statements,
        "tags": explanation.tags,
        "explanation": null,
        "next_step": null,
        "warnings": [],
    });
    match chosen {
        Ok(ready) => {
            let (sentence, next_step) = lockgate_routing::readiness(caller, &target, &ready);
            answer["provider_key"] = ready.key.name.as_str().into();
            answer["provider_key_id"] = ready.key.id.as_str().into();
            answer["credential"] = "byok".into();
            answer["explanation"] = sentence.into();
            answer["next_step"] = next_step.into();
            answer["warnings"] = lockgate_routing::warnings(caller, &ready).into();
        }
        Err(not_ready) => {
            let refusal = lockgate_routing::refusal(caller, &target, &not_ready);
            answer["decision"] = not_ready.reason.word().into();
            answer["allowed"] = false.into();
            answer["status"] = refusal.code.status.into();
            answer["code"] = refusal.code.text.into();
            answer["explanation"] = refusal.message.as_str().into();
            answer["next_step"] = refusal.remedy.as_ref().into();
        }
    }
    Ok(answer)
}
