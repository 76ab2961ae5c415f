//! What questions are made of.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::resource::{Agent, Gateway, Role, Timestamp};

/// Requests that policy denied, or that a soft pin was passed over for, counted together for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// `access.deny` or `pin.fallback`.
    pub action: String,
    /// The gateway key's id.
    pub gateway_key: String,
    /// The agent's name.
    pub agent: String,
    /// The provider's slug.
    pub provider: String,
    /// The provider key's name, where one was looked at.
    pub provider_key: Option<String>,
    /// The model asked for; `None` where there was none, or where many were.
    pub model: Option<String>,
    /// The route, where one decided.
    pub route: Option<String>,
    /// A word of FEATURES B4.
    pub reason: String,
    /// How often since the last report.
    pub count: u64,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last of them.
    pub last_at: Timestamp,
}

/// What applying a document makes of roles, agents, gateways and provider keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Gateways with their tags.
    pub gateways: Vec<Gateway>,
    /// Agents with their tags and roles; `roles` may be names.
    pub agents: Vec<Agent>,
    /// Roles with their statements.
    pub roles: Vec<Role>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// At most so many items.
    pub limit: u32,
    /// Where the last page ended: creation time and id of its last item.
    pub after: Option<(u64, String)>,
}

/// A sealed secret on its way to the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVersion {
    /// The number that it was sealed for; refused if another version came between.
    pub version: u64,
    /// The name of its KV entry.
    pub entry: String,
    /// The wrapped data key, base64; empty where a vault holds the secret itself.
    pub wrapped: String,
    /// A copy of the ciphertext, base64; empty likewise.
    pub ciphertext: String,
    /// Which KEK wrapped it.
    pub kek: String,
    /// `sk-…wxyz`
    pub masked: String,
}

/// Filters of the request log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFilter {
    /// Gateway key id.
    pub gateway_key: Option<String>,
    /// Agent name.
    pub agent: Option<String>,
    /// Route name.
    pub route: Option<String>,
    /// Provider slug.
    pub provider: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// `byok` or `managed`.
    pub credential: Option<String>,
    /// Status.
    pub status: Option<u16>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl RequestFilter {
    /// The filters that are texts, with their columns; the request log and the sums of usage have them all.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [
            ("gateway_key", &self.gateway_key),
            ("agent", &self.agent),
            ("route", &self.route),
            ("provider", &self.provider),
            ("model", &self.model),
            ("credential", &self.credential),
        ];
        let given = texts.into_iter();
        given.filter_map(|(column, text)| Some((column, text.as_deref()?)))
    }
}

/// A JSON array of [`RequestRecord`](crate::resource::RequestRecord)s, kept as text: written once, and read where it
/// is stored. Inside an [`Envelope`](super::Envelope) that travels it stands as the array that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(String);

impl Records {
    /// Wraps the text of a JSON array; whether it is one is seen when it is stored.
    #[must_use]
    pub fn new(json: String) -> Self {
        Self(json)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let array: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        array.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let array = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Box::<str>::from(array).into_string()))
    }
}

/// A request for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// SHA-256 of the gateway key, hex.
    pub hash: String,
    /// The snapshot version the isolate has.
    pub known: Option<u64>,
}
