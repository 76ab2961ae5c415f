//! `providers.targets`: a provider and a model under a name that routes use.

use std::collections::HashMap;

use lockgate_workspace::plan::{CredentialKind, PlanTarget};

use crate::fields::Spot;
use crate::options::{MAX_LIST, MAX_MODEL, MAX_NAME, Seen, name};
use crate::problem::{Position, Problems, echo};

/// The targets by place, and by name where the name can be used.
#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) all: Vec<PlanTarget>,
    /// Where each begins, and the way to it.
    pub(crate) written: Vec<(Position, String)>,
    places: HashMap<String, usize>,
}

impl Targets {
    /// The place of a target by its name.
    pub(crate) fn find(&self, id: &str) -> Option<(usize, &PlanTarget)> {
        let place = *self.places.get(id)?;
        self.all.get(place).map(|target| (place, target))
    }

    /// The names.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|target| target.id.as_str())
    }
}

/// Reads `providers`.
pub(crate) fn read(spot: &Spot<'_>, problems: &mut Problems) -> Targets {
    let (mut targets, mut seen) = (Targets::default(), Seen::default());
    let [list] = spot.fields(problems, ["targets"]);
    let Some(list) = list else {
        return targets;
    };
    for item in list.items(problems, MAX_LIST) {
        let (id, target) = target(&item, problems);
        if let Some((id, text)) = id
            && seen.first(&id, text, "target", problems)
        {
            targets.places.insert(text.to_owned(), targets.all.len());
        }
        targets.all.push(target);
        targets.written.push((item.at(), item.place.to_string()));
    }
    targets
}

/// One target, and its name with where it stands. What cannot be read is left empty, since it is an error anyway.
fn target<'s>(
    spot: &'s Spot<'s>,
    problems: &mut Problems,
) -> (Option<(Spot<'s>, &'s str)>, PlanTarget) {
    let [id, slug, model, credential, provider_key, secret, base_url] = spot.fields(
        problems,
        [
            "id",
            "provider",
            "model",
            "credential",
            "provider_key",
            "secret_key_ref",
            "base_url",
        ],
    );
    let id = spot
        .required(problems, id, "id")
        .and_then(|id| Some((id, name(&id, problems, None)?)));
    let slug = spot
        .required(problems, slug, "provider")
        .and_then(|slug| provider(&slug, problems));
    let model = model.and_then(|spot| {
        let model = spot.text(problems, MAX_MODEL)?;
        if model.contains('*') {
            let message = "a target has one model; `*` stands in a route's `match.models`";
            spot.error(problems, message);
            return None;
        }
        Some(model)
    });
    let kinds = [
        ("byok", CredentialKind::Byok),
        ("managed", CredentialKind::Managed),
        ("any", CredentialKind::Any),
    ];
    let kind = credential.and_then(|spot| spot.word(problems, &kinds));
    for field in [secret, base_url].into_iter().flatten() {
        let message = format!(
            "`{}` is for the local gateway's own file only: a stored key goes nowhere but to its own `base_url`; \
             save the key under Provider keys and name it here as `provider_key`",
            field.key_text()
        );
        problems.error(field.key_at(), field.place.to_string(), message);
    }
    let target = PlanTarget {
        id: id.map(|(_, text)| text.to_owned()).unwrap_or_default(),
        provider: slug.unwrap_or_default().to_owned(),
        model: model.map(str::to_owned),
        credential: kind.unwrap_or(CredentialKind::Any),
        provider_key: provider_key
            .and_then(|spot| spot.text(problems, MAX_NAME))
            .map(str::to_owned),
    };
    (id, target)
}

/// The slug of a provider that there is.
pub(crate) fn provider(spot: &Spot<'_>, problems: &mut Problems) -> Option<&'static str> {
    let text = spot.text(problems, MAX_NAME)?;
    let found = lockgate_providers::find(text);
    if found.is_none() {
        let slugs = lockgate_providers::all().iter().map(|known| known.slug);
        let message = format!(
            "there is no provider “{}”{}",
            echo(text),
            problems.meant(text, slugs)
        );
        spot.error(problems, message);
    }
    found.map(|manifest| manifest.slug)
}
