//! Headers: fetched whole, once. Every look-up is a host call of its own, and the functions make about ten.

use std::borrow::Cow;

use lockgate_host::Headers;
use spin_sdk::wasip3::http::types::Fields;

use crate::plain::names;

/// Names and values as the host gives them, in their order.
pub(crate) type Entries = Vec<(String, Vec<u8>)>;

/// Headers of a request or of an answer.
pub struct SpinHeaders(pub(crate) Entries);

impl SpinHeaders {
    /// Fetches what `fields` holds.
    pub(crate) fn fetch(fields: &Fields) -> Self {
        Self(fields.copy_all())
    }

    /// The first value of `name`.
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// What `content-length` says.
    pub(crate) fn length(&self) -> Option<u64> {
        std::str::from_utf8(self.value("content-length")?)
            .ok()?
            .trim_ascii()
            .parse()
            .ok()
    }

    /// What may be passed on to a client; `pumped` where the body's length may change on the way.
    pub(crate) fn passable(mut self, pumped: bool) -> Entries {
        let connection = self.value("connection").unwrap_or_default().to_vec();
        self.0.retain(|(name, _)| {
            let resized = pumped && name.eq_ignore_ascii_case("content-length");
            !resized && !names::withheld(name, &connection)
        });
        self.0
    }
}

impl Headers for SpinHeaders {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        std::str::from_utf8(self.value(name)?)
            .ok()
            .map(Cow::Borrowed)
    }
}

/// Makes the host's fields of `entries`; one the host refuses is left out.
pub(crate) fn lenient(entries: &Entries) -> Fields {
    Fields::from_list(entries).unwrap_or_else(|_| {
        let fields = Fields::new();
        for (name, value) in entries {
            // Refused ones are what this loop is for; the others are unaffected.
            let _refused = fields.append(name, value);
        }
        fields
    })
}
