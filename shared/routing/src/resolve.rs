//! From a model's name to a provider, where no route of a configuration has taken the request: the order of API.md,
//! "Which target a request gets", from "an exact model id of a manifest" on.
//!
//! What API.md leaves open is decided so:
//! - **Several manifests list the id.** One with an enabled key comes first; among equals the one whose own name pattern
//!   fits the id (it makes the model, the others host it); then the first by slug.
//! - **The id begins with a slug** (`openai/gpt-4o` is OpenRouter's id, and `gpt-4o` at OpenAI). The exact id comes first
//!   if a provider that lists it has an enabled key. Where the slug's own provider has none, a provider with a key whose
//!   name pattern fits the whole comes next (`anthropic/*` is OpenRouter's). Otherwise the slug counts. So without an
//!   OpenRouter key the name means OpenAI, and a workspace that has only an OpenRouter key is served by it.
//! - **Several patterns fit.** A provider with an enabled key comes first, then the pattern with more characters other
//!   than `*`, then the first by slug.

use std::fmt;

use lockgate_providers::{Manifest, all, find};
use lockgate_refusal::shown;
use thiserror::Error;

use lockgate_glob::glob;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'m> {
    /// The provider.
    pub manifest: &'static Manifest,
    /// The model's name as the provider is to see it: all of what was asked for, or its end.
    pub model: &'m str,
    /// Whether `model` differs from what was asked for, so that its value in the body changes.
    pub rewritten: bool,
}

/// No provider is known for the model (404 `model_not_found`). It displays as a sentence for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", Sentence(self))]
pub struct Unresolved {
    /// What was asked for, shortened, without control characters.
    pub model: String,
    /// Slugs of the providers with an enabled key, sorted.
    pub enabled: Vec<&'static str>,
    /// Slugs of the others, sorted.
    pub others: Vec<&'static str>,
}

/// Finds the provider for `model`. `enabled` are the slugs of the providers that have an enabled key in the workspace,
/// in any order, repeated or not; slugs without a manifest are ignored. Nothing is allocated where a provider is found.
///
/// Access is not judged here, and a provider without a key may be the answer: what then is missing is said later.
///
/// # Errors
/// [`Unresolved`] where no rule gives a provider, and for an empty name.
pub fn resolve<'m>(model: &'m str, enabled: &[&str]) -> Result<Resolved<'m>, Unresolved> {
    if model.is_empty() {
        return Err(unresolved(model, enabled));
    }
    let whole = |manifest| Resolved {
        manifest,
        model,
        rewritten: false,
    };
    let exact = exact(model, enabled);
    if let Some(manifest) = exact
        && has_key(manifest, enabled)
    {
        return Ok(whole(manifest));
    }
    if let Some((slug, rest)) = model.split_once('/')
        && !rest.is_empty()
        && let Some(manifest) = find(slug)
    {
        if !has_key(manifest, enabled)
            && let Some(host) = by_pattern(model, enabled)
            && has_key(host, enabled)
        {
            return Ok(whole(host));
        }
        return Ok(Resolved {
            manifest,
            model: rest,
            rewritten: true,
        });
    }
    exact
        .or_else(|| by_pattern(model, enabled))
        .or_else(|| only(enabled))
        .map(whole)
        .ok_or_else(|| unresolved(model, enabled))
}

fn has_key(manifest: &Manifest, enabled: &[&str]) -> bool {
    enabled.contains(&manifest.slug)
}

/// The best manifest that lists the id. `max_by_key` takes the last of equals, so the search runs from the end.
fn exact(model: &str, enabled: &[&str]) -> Option<&'static Manifest> {
    all()
        .iter()
        .rev()
        .filter(|manifest| manifest.model(model).is_some())
        .max_by_key(|manifest| {
            (
                has_key(manifest, enabled),
                specificity(manifest, model).is_some(),
            )
        })
}

fn by_pattern(model: &str, enabled: &[&str]) -> Option<&'static Manifest> {
    all()
        .iter()
        .rev()
        .filter_map(|manifest| Some((specificity(manifest, model)?, manifest)))
        .max_by_key(|(length, manifest)| (has_key(manifest, enabled), *length))
        .map(|(_, manifest)| manifest)
}

/// How many characters other than `*` the manifest's most specific pattern for the name has; `None` where none fits.
fn specificity(manifest: &Manifest, model: &str) -> Option<usize> {
    manifest
        .model_patterns
        .iter()
        .filter(|pattern| glob(pattern, model))
        .map(|pattern| pattern.bytes().filter(|byte| *byte != b'*').count())
        .max()
}

/// The provider that has an enabled key, where there is just one.
fn only(enabled: &[&str]) -> Option<&'static Manifest> {
    let mut known = enabled.iter().filter_map(|slug| find(slug));
    let first = known.next()?;
    known
        .all(|manifest| manifest.slug == first.slug)
        .then_some(first)
}

fn unresolved(model: &str, enabled: &[&str]) -> Unresolved {
    let (with_key, without): (Vec<_>, Vec<_>) = all()
        .iter()
        .partition(|manifest| has_key(manifest, enabled));
    let slugs = |manifests: Vec<&'static Manifest>| manifests.iter().map(|m| m.slug).collect();
    Unresolved {
        model: shown(model),
        enabled: slugs(with_key),
        others: slugs(without),
    }
}

struct Sentence<'a>(&'a Unresolved);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unresolved {
            model,
            enabled,
            others,
        } = self.0;
        if model.is_empty() {
            f.write_str("The request names no model. ")?;
        } else {
            write!(f, "No provider is known for the model `{model}`. ")?;
        }
        f.write_str("Write `provider/model`, such as `openai/gpt-4o`. ")?;
        if enabled.is_empty() {
            f.write_str("No provider has an enabled key in this workspace; add one for ")?;
        } else {
            f.write_str("Providers with an enabled key: ")?;
            list(f, enabled)?;
            f.write_str("; without one: ")?;
        }
        list(f, others)?;
        f.write_str(".")
    }
}

fn list(f: &mut fmt::Formatter<'_>, slugs: &[&str]) -> fmt::Result {
    for (at, slug) in slugs.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        f.write_str(slug)?;
    }
    Ok(())
}
