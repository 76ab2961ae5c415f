//! Headers in hyper's own form.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use lockgate_host::Headers;

/// A header map; cloning a value of it copies no text.
#[derive(Debug, Clone, Default)]
pub struct NativeHeaders(pub(crate) HeaderMap);

impl NativeHeaders {
    /// Headers of a request made in this process. Pairs that are no valid header are left out.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value.as_bytes()),
            ) {
                map.append(name, value);
            }
        }
        Self(map)
    }

    /// The headers as hyper has them.
    #[must_use]
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }
}

impl From<HeaderMap> for NativeHeaders {
    fn from(map: HeaderMap) -> Self {
        Self(map)
    }
}

impl Headers for NativeHeaders {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.0.get(name)?;
        std::str::from_utf8(value.as_bytes())
            .ok()
            .map(Cow::Borrowed)
    }
}
