//! Where a request goes, and whether it can go there as it is.

use lockgate_providers::{Dialect, Manifest, Surface};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::snapshot::Snapshot;

use crate::surface::Ask;

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) manifest: &'static Manifest,
    /// The model, as the provider knows it; empty where the call has none.
    pub(crate) model: &'a str,
    pub(crate) way: Way,
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
    fn of(surface: Surface, manifest: &Manifest) -> Option<Self> {
        if manifest.serves(surface) {
            return Some(Self::Through);
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

impl Ask<'_> {
    /// The provider and model that are meant (API.md, “Which target a request gets”). A call that names no model goes to the
    /// provider that the header `lockgate-provider` names, else to the only one that can take it.
    pub(crate) fn target(
        &self,
        surface: Surface,
        provider: Option<&str>,
        snapshot: &Snapshot,
    ) -> Result<Target<'_>, Refusal> {
        let enabled = snapshot.providers();
        let Some(model) = self.model.as_deref() else {
            return without_model(surface, provider, &enabled);
        };
        let resolved = lockgate_routing::resolve(model, &enabled).map_err(|unresolved| {
            Refusal::new(Code::MODEL_NOT_FOUND, format!("{unresolved}")).param("model")
        })?;
        let way = Way::of(surface, resolved.manifest).ok_or_else(|| {
            lacks(surface, resolved.manifest)
                .param("model")
                .remedy("Name a model of another provider.")
        })?;
        Ok(Target {
            manifest: resolved.manifest,
            model: resolved.model,
            way,
        })
    }
}

fn without_model(
    surface: Surface,
    provider: Option<&str>,
    enabled: &[&str],
) -> Result<Target<'static>, Refusal> {
    let through = |manifest| Target {
        manifest,
        model: "",
        way: Way::Through,
    };
    if let Some(slug) = provider {
        let manifest = lockgate_providers::find(slug).ok_or_else(|| {
            Refusal::new(
                Code::INVALID_REQUEST,
                format!(
                    "The header `lockgate-provider` names `{}`, which is no provider.",
                    slug.chars().take(100).collect::<String>()
                ),
            )
            .param("lockgate-provider")
        })?;
        return if manifest.serves(surface) {
            Ok(through(manifest))
        } else {
            Err(lacks(surface, manifest).param("lockgate-provider"))
        };
    }
    let able: Vec<&'static Manifest> = enabled
        .iter()
        .filter_map(|slug| lockgate_providers::find(slug))
        .filter(|manifest| manifest.serves(surface))
        .collect();
    match able.as_slice() {
        [only] => Ok(through(only)),
        [] => Err(Refusal::new(
            Code::PROVIDER_NOT_READY,
            format!(
                "No provider with a key in this workspace has {}.",
                surface.title()
            ),
        )
        .reason("missing_provider_key")
        .remedy("Add a key of a provider that has, such as OpenAI.")),
        several => {
            let slugs: Vec<&str> = several.iter().map(|manifest| manifest.slug).collect();
            Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!(
                    "The call names no model, and several providers have {}: {}.",
                    surface.title(),
                    slugs.join(", ")
                ),
            )
            .param("lockgate-provider")
            .remedy("Name one in the header `lockgate-provider`."))
        }
    }
}

fn lacks(surface: Surface, manifest: &Manifest) -> Refusal {
    Refusal::new(
        Code::UNSUPPORTED_FEATURE,
        format!("{} has no {}.", manifest.title, surface.title()),
    )
    .provider(manifest.slug)
}
