//! Where a request goes, and whether it can go there as it is.

use std::ops::Deref;

use lockgate_providers::{Dialect, Manifest, Surface};
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::{Caller, Choice, Wanted};

/// Where a request goes, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    to: lockgate_routing::Target<'a>,
    pub(crate) way: Way,
}

impl<'a> Deref for Target<'a> {
    type Target = lockgate_routing::Target<'a>;

    fn deref(&self) -> &Self::Target {
        &self.to
    }
}

/// How a request gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is: the provider has this surface itself.
    Through,
    /// From the client's dialect to the provider's and back.
    Translate(Dialect),
    /// Embeddings, from OpenAI's form to the provider's and back.
    Embed,
    /// Not at all: tokens are counted here.
    Count,
}

impl Way {
    fn of(surface: Surface, manifest: &Manifest, model: &str) -> Option<Self> {
        if manifest.serves(surface) {
            return Some(Self::Through);
        }
        // What names no model is nothing that could be put in other words.
        if model.is_empty() {
            return None;
        }
        match surface {
            Surface::Chat if manifest.chats() => Some(Self::Translate(Dialect::OpenAiChat)),
            Surface::Responses if manifest.chats() => {
                Some(Self::Translate(Dialect::OpenAiResponses))
            }
            Surface::Messages if manifest.chats() => Some(Self::Translate(Dialect::Anthropic)),
            Surface::CountTokens if manifest.chats() => Some(Self::Count),
            Surface::Embeddings if manifest.embeds() => Some(Self::Embed),
            _ => None,
        }
    }
}

/// Where a request may go.
pub(crate) struct Course<'a> {
    pub(crate) of: lockgate_routing::Course<'a>,
    further_models: bool,
    surface: Surface,
}

/// The providers and models that are meant (API.md, “Which target a request gets”): those that have what is called. Where
/// none has, it is the first that is said to lack it.
pub(crate) fn course<'a>(
    caller: &'a Caller,
    surface: Surface,
    wanted: &Wanted<'a>,
    further_models: bool,
) -> Result<Course<'a>, Refusal> {
    let mut of = lockgate_routing::course(caller, wanted)?;
    let has = |to: &lockgate_routing::Target<'_>| Way::of(surface, to.manifest, to.model).is_some();
    if !of.choices().all(|choice| has(&choice.target)) {
        let first = of
            .choices()
            .next()
            .map(|choice| lacks(surface, &choice.target));
        for step in &mut of.steps {
            step.choices.retain(|choice| has(&choice.target));
        }
        of.steps.retain(|step| !step.choices.is_empty());
        if of.steps.is_empty() {
            return Err(
                first.unwrap_or_else(|| Refusal::new(Code::NOT_FOUND, "There is no target."))
            );
        }
    }
    let course = Course {
        of,
        further_models,
        surface,
    };
    // What is translated takes the one model with it.
    if further_models {
        for choice in course.of.choices() {
            if let Some(target) = course.target(choice)
                && target.way == Way::Through
            {
                lockgate_routing::further_models(caller, &target)?;
            }
        }
    }
    Ok(course)
}

impl Target<'_> {
    /// The same on the platform's account, which all workspaces share: what providers keep for later requests
    /// (Responses) goes there in a dialect that keeps nothing.
    pub(crate) fn on_platform(self, surface: Surface) -> Self {
        match (surface, self.way) {
            (Surface::Responses, Way::Through)
                if self.manifest.chats() && !self.model.is_empty() =>
            {
                let way = Way::Translate(Dialect::OpenAiResponses);
                Self { way, ..self }
            }
            _ => self,
        }
    }
}

impl<'a> Course<'a> {
    /// How many choices each step has.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.of
            .steps
            .iter()
            .map(|step| step.choices.len())
            .collect()
    }

    /// Every target.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Target<'a>> {
        self.of.choices().filter_map(|choice| self.target(choice))
    }

    /// A choice as a target.
    pub(crate) fn at(&self, step: usize, place: usize) -> Option<Target<'a>> {
        let choice = self.of.steps.get(step)?.choices.get(place)?;
        self.target(choice)
    }

    fn target(&self, choice: &Choice<'a>) -> Option<Target<'a>> {
        let mut to = choice.target;
        to.further_models = self.further_models;
        let way = Way::of(self.surface, to.manifest, to.model)?;
        Some(Target { to, way })
    }
}

fn lacks(surface: Surface, to: &lockgate_routing::Target<'_>) -> Refusal {
    let manifest = to.manifest;
    let message = format!("{} has no {}.", manifest.title, surface.title());
    let refusal = Refusal::new(Code::UNSUPPORTED_FEATURE, message).provider(manifest.slug);
    match to.route {
        Some(route) => refusal
            .route(route)
            .param("lockgate-route")
            .remedy("Name a route to another provider."),
        None if to.model.is_empty() => refusal.param("lockgate-provider"),
        None => refusal
            .param("model")
            .remedy("Name a model of another provider."),
    }
}
