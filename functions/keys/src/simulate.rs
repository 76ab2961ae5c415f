//! `POST /api/agents/{id}/simulate`: what a request would be answered, without sending anything (FEATURES B4).
//!
//! The decision is the data plane's own (`lockgate_routing::course`, `Tries` and `pays`), on what the authority knows now.
//! What the data plane refuses before it looks for a key, such as a model that nothing serves, is refused here in the same
//! words. Among several targets of one priority the heaviest is taken for the first.

use std::rc::Rc;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::{
    Caller, Choice, Course, Failed, Names, Next, Pays, Rate, Ready, Step, Target, Tries, Wanted,
    course, pays,
};
use lockgate_workspace::question::{DataQuestion, Question, Reply};
use lockgate_workspace::resource::Health;
use lockgate_workspace::snapshot::{KeyPointer, Snapshot};
use lockgate_workspace::{AskError, PLATFORM_WORKSPACE, ask};
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
    Ok(value(200, decided(call, &caller, &wanted).await?))
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

/// A target of the course, and whether it would serve.
struct Looked<'a> {
    choice: &'a Choice<'a>,
    priority: u32,
    decision: &'static str,
    /// The key that pays; `None` where it would be refused.
    key: Option<Ready<'a>>,
    refusal: Option<Refusal>,
    /// What roles say of it.
    statements: Value,
    tags: Value,
}

/// The platform's keys and prices, where one of the targets comes down to them.
async fn platform<H: Host>(
    call: &Call<'_, H>,
    caller: &Caller,
    course: &Course<'_>,
) -> Result<Option<Snapshot>, Refusal> {
    let asks = |choice: &Choice<'_>| {
        matches!(
            pays(caller, None, &choice.target, rejected),
            Pays::AskPlatform
        )
    };
    if !course.choices().any(asks) {
        return Ok(None);
    }
    let question = DataQuestion::Platform { known: None };
    let (host, settings) = (call.host, &call.settings);
    let reply = ask(host, settings, PLATFORM_WORKSPACE, question)
        .await?
        .reply;
    match reply {
        Reply::Platform {
            snapshot: Some(snapshot),
            ..
        } => Ok(Some(*snapshot)),
        _ => Err(AskError::Mismatch.into()),
    }
}

/// What an isolate of the data plane has seen rejected a moment ago is not known here, but what its label says.
fn rejected(key: &KeyPointer) -> bool {
    key.health == Health::Invalid
}

impl<'a> Looked<'a> {
    /// The targets of a step.
    fn of(
        caller: &'a Caller,
        platform: Option<&'a Snapshot>,
    ) -> impl Fn(&'a Step<'a>) -> Result<Vec<Self>, Refusal> {
        move |step| {
            let choices = step.choices.iter();
            let looked = choices.map(|choice| Self::at(caller, platform, step.priority, choice));
            looked.collect()
        }
    }

    fn at(
        caller: &'a Caller,
        platform: Option<&'a Snapshot>,
        priority: u32,
        choice: &'a Choice<'a>,
    ) -> Result<Self, Refusal> {
        let target = &choice.target;
        let (decision, key, refusal, explanation) = match pays(caller, platform, target, rejected) {
            Pays::Ready(ready) => {
                let explanation = ready.explain(caller, target);
                let prices = platform.map_or(&[][..], |platform| &platform.prices);
                if ready.managed && Rate::of(prices, target.manifest, target.model).is_none() {
                    let refusal = lockgate_routing::unpriced(target);
                    (refusal.code.text, None, Some(refusal), explanation)
                } else {
                    ("ready", Some(ready), None, explanation)
                }
            }
            Pays::NotReady(not_ready) => (
                not_ready.reason.word(),
                None,
                Some(lockgate_routing::refusal(caller, target, &not_ready)),
                not_ready.explain(caller, target),
            ),
            Pays::AskPlatform => return Err(AskError::Mismatch.into()),
        };
        Ok(Self {
            choice,
            priority,
            decision,
            key,
            refusal,
            statements: json!(explanation.statements),
            tags: json!(explanation.tags),
        })
    }

    /// As one of the course's targets.
    fn listed(&self) -> Value {
        let target = &self.choice.target;
        json!({
            "target": target.id(),
            "priority": self.priority,
            "weight": self.choice.weight,
            "provider": target.manifest.slug,
            "model": named(target),
            "provider_key": self.key.map(|ready| ready.key.name.as_str()),
            "credential": self.key.map(paid_by),
            "decision": self.decision,
        })
    }
}

fn paid_by(ready: Ready<'_>) -> &'static str {
    if ready.managed { "managed" } else { "byok" }
}

fn named<'a>(target: &Target<'a>) -> Option<&'a str> {
    Some(target.model).filter(|model| !model.is_empty())
}

/// The target that the request comes to, as the data plane goes along the course: one that is ready, else the one that the
/// route does not leave, else the last.
fn reached<'a, 'l>(course: &Course<'_>, looked: &'l [Vec<Looked<'a>>]) -> Option<&'l Looked<'a>> {
    let sizes = looked.iter().map(Vec::len).collect();
    let mut tries = Tries::new(course.route, sizes, 0);
    let mut last = None;
    loop {
        match tries.next(0) {
            Next::Arrange(step) => tries.arranged(0..looked.get(step)?.len(), |_| None),
            Next::Try { step, place, .. } => {
                let at = looked.get(step)?.get(place)?;
                last = Some(at);
                if at.key.is_some() || at.decision == Code::PRICE_UNKNOWN.text {
                    return last;
                }
                tries.failed(Failed::UNREADY, 0, 0);
            }
            Next::Pause(_) | Next::Stop => return last,
        }
    }
}

fn nothing() -> Refusal {
    Refusal::new(Code::ROUTE_NOT_FOUND, "The route has no target.")
}

async fn decided<H: Host>(
    call: &Call<'_, H>,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<Value, Refusal> {
    let course = course(caller, wanted).map_err(|mut refusal| {
        // Here the provider is a field, not a header.
        if refusal.param.as_deref() == Some("lockgate-provider") {
            refusal.param = Some("provider".to_owned());
        }
        refusal
    })?;
    let platform = platform(call, caller, &course).await?;
    answered(caller, &course, platform.as_ref())
}

fn answered(
    caller: &Caller,
    course: &Course<'_>,
    platform: Option<&Snapshot>,
) -> Result<Value, Refusal> {
    let look = Looked::of(caller, platform);
    let looked: Vec<Vec<Looked<'_>>> = course.steps.iter().map(look).collect::<Result<_, _>>()?;
    let chosen = reached(course, &looked).ok_or_else(nothing)?;
    let target = &chosen.choice.target;
    let targets: Vec<Value> = looked.iter().flatten().map(Looked::listed).collect();
    let mut answer = json!({
        "decision": chosen.decision,
        "allowed": chosen.key.is_some(),
        "status": 200,
        "code": null,
        "route": target.route,
        "provider": target.manifest.slug,
        "model": named(target),
        "provider_key": null,
        "provider_key_id": null,
        "credential": null,
        "statements": chosen.statements,
        "tags": chosen.tags,
        "explanation": null,
        "next_step": null,
        "warnings": [],
        "targets": targets,
    });
    if let Some(ready) = &chosen.key {
        let (sentence, next_step) = lockgate_routing::readiness(caller, target, ready);
        answer["provider_key"] = ready.key.name.as_str().into();
        if !ready.managed {
            answer["provider_key_id"] = ready.key.id.as_str().into();
        }
        answer["credential"] = paid_by(*ready).into();
        answer["explanation"] = sentence.into();
        answer["next_step"] = next_step.into();
        answer["warnings"] = lockgate_routing::warnings(caller, ready).into();
    }
    if let Some(refusal) = &chosen.refusal {
        answer["status"] = refusal.code.status.into();
        answer["code"] = refusal.code.text.into();
        answer["explanation"] = refusal.message.as_str().into();
        answer["next_step"] = refusal.remedy.as_ref().into();
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
