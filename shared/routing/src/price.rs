//! What tokens cost. Money is whole micro-USD, rounded up: what is charged is never less than what was used.

use lockgate_providers::{Manifest, ModelKind};
use lockgate_workspace::resource::{Price, Tokens};

const MILLION: u128 = 1_000_000;

/// A model's prices, micro-USD for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Input.
    pub input: u64,
    /// Input that the provider had cached.
    pub cached_input: u64,
    /// Output.
    pub output: u64,
}

impl Rate {
    /// What a model costs: a workspace's own price, else the manifest's; `None` where neither is known.
    #[must_use]
    pub fn of(prices: &[Price], manifest: &Manifest, model: &str) -> Option<Self> {
        let mut own = prices.iter();
        let own = own.find(|price| price.provider == manifest.slug && price.model == model);
        if let Some(price) = own {
            return Some(Self {
                input: price.input,
                cached_input: price.cached_input.unwrap_or(price.input),
                output: price.output,
            });
        }
        let model = manifest.model(model)?;
        let input = model.input_microusd_per_mtok?;
        let output = match (model.output_microusd_per_mtok, model.kind) {
            (Some(price), _) => price,
            // These have no output.
            (None, ModelKind::Embedding | ModelKind::Moderation) => 0,
            (None, _) => return None,
        };
        Some(Self {
            input,
            cached_input: model.cached_input_microusd_per_mtok.unwrap_or(input),
            output,
        })
    }

    /// What these tokens cost.
    #[must_use]
    pub fn cost(&self, tokens: &Tokens) -> u64 {
        let cached = tokens.cached_input.unwrap_or(0).min(tokens.input);
        let fresh = tokens.input - cached;
        let part = |count: u64, price: u64| u128::from(count) * u128::from(price);
        let sum = part(fresh, self.input)
            .saturating_add(part(cached, self.cached_input))
            .saturating_add(part(tokens.output, self.output));
        u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }
}
