//! Reading Stripe's JSON: every member may be missing, `null`, of another type, or an object where an id was expected.

use serde_json::Value;

/// Stripe's ids are at most this long (<https://docs.stripe.com/upgrades>); what is longer is none.
const LONGEST_ID: usize = 255;

/// An object of the JSON, or nothing.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) Option<&'a Value>);

impl<'a> Node<'a> {
    /// The member of that name.
    pub(super) fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|value| value.get(name)))
    }

    pub(super) fn text(self) -> Option<&'a str> {
        self.0?.as_str().filter(|text| !text.is_empty())
    }

    /// A text of ours, kept only as long as an id may be.
    pub(super) fn label(self) -> Option<String> {
        self.text()
            .filter(|text| text.len() <= LONGEST_ID)
            .map(str::to_owned)
    }

    /// An id, which stands for itself or in the object that Stripe expanded it to.
    pub(super) fn id(self) -> Option<String> {
        self.label().or_else(|| self.at("id").label())
    }

    pub(super) fn int(self) -> Option<i64> {
        self.0?.as_i64()
    }

    pub(super) fn flag(self) -> bool {
        self.0.and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of an array, also of one in a list object's `data`.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        self.0
            .and_then(Value::as_array)
            .or_else(|| self.at("data").0.and_then(Value::as_array))
            .into_iter()
            .flatten()
            .map(|value| Self(Some(value)))
    }

    pub(super) fn is_object(self) -> bool {
        self.0.is_some_and(Value::is_object)
    }
}
