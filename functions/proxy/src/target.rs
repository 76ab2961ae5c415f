//! Where a request goes, and whether it can go there as it is.

use std::ops::Deref;

use lockgate_providers::{Dialect, Manifest, Surface};
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::{Caller, Wanted};

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

/// The provider and model that are meant (API.md, “Which target a request gets”), and the way there.
pub(crate) fn target<'a>(
    caller: &'a Caller,
    surface: Surface,
    wanted: &Wanted<'a>,
    further_models: bool,
) -> Result<Target<'a>, Refusal> {
    let mut to = lockgate_routing::target(caller, wanted)?;
    to.further_models = further_models;
    let way = Way::of(surface, to.manifest, to.model).ok_or_else(|| lacks(surface, &to))?;
    // What is translated takes the one model with it.
    if way == Way::Through {
        lockgate_routing::further_models(caller, &to)?;
    }
    Ok(Target { to, way })
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
