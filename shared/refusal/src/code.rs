//! The stable codes of API.md, each with its HTTP status.

/// A code that programs rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As it stands in the error.
    pub text: &'static str,
    /// The HTTP status it goes with.
    pub status: u16,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self { text: $text, status: $status };)*

            /// Every code but those of tags, for the documentation's check.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// The body is not JSON.
    INVALID_JSON = "invalid_json", 400;
    /// The request makes no sense, or the provider says so.
    INVALID_REQUEST = "invalid_request", 400;
    /// A field that `/api` does not know.
    UNKNOWN_FIELD = "unknown_field", 400;
    /// Understood, but this version or provider cannot do it.
    UNSUPPORTED_FEATURE = "unsupported_feature", 400;
    /// The admin token is missing or wrong.
    ADMIN_TOKEN_INVALID = "admin_token_invalid", 401;
    /// No gateway key was sent.
    GATEWAY_KEY_MISSING = "gateway_key_missing", 401;
    /// The text is no gateway key, or mistyped.
    GATEWAY_KEY_MALFORMED = "gateway_key_malformed", 401;
    /// A gateway key that this installation does not know.
    GATEWAY_KEY_UNKNOWN = "gateway_key_unknown", 401;
    /// A gateway key that was revoked.
    GATEWAY_KEY_REVOKED = "gateway_key_revoked", 401;
    /// A gateway key whose time has passed.
    GATEWAY_KEY_EXPIRED = "gateway_key_expired", 401;
    /// The workspace's wallet has less than the request may cost.
    WALLET_INSUFFICIENT = "wallet_insufficient", 402;
    /// The gateway key's budget is used up.
    BUDGET_EXCEEDED = "budget_exceeded", 402;
    /// Policy says no.
    ACCESS_DENIED = "access_denied", 403;
    /// No provider serves a model of this name.
    MODEL_NOT_FOUND = "model_not_found", 404;
    /// No route of this name.
    ROUTE_NOT_FOUND = "route_not_found", 404;
    /// No such path or resource.
    NOT_FOUND = "not_found", 404;
    /// The path exists, the method does not.
    METHOD_NOT_ALLOWED = "method_not_allowed", 405;
    /// The name is taken.
    ALREADY_EXISTS = "already_exists", 409;
    /// Something still needs it.
    IN_USE = "in_use", 409;
    /// A live edit of what a document manages.
    MANAGED_DECLARATIVELY = "managed_declaratively", 409;
    /// `If-Match` names another state.
    STALE_ETAG = "stale_etag", 412;
    /// The body is over the limit.
    REQUEST_TOO_LARGE = "request_too_large", 413;
    /// No usable key for the provider.
    PROVIDER_NOT_READY = "provider_not_ready", 424;
    /// The one provider key that an agent is pinned to is gone.
    PROVIDER_KEY_PINNED_MISSING = "provider_key_pinned_missing", 424;
    /// The provider said 401 or 403.
    PROVIDER_KEY_REJECTED = "provider_key_rejected", 424;
    /// Nobody knows what the model costs, where that has to be known.
    PRICE_UNKNOWN = "price_unknown", 424;
    /// The provider's account is out of credit or quota.
    PROVIDER_QUOTA_EXHAUSTED = "provider_quota_exhausted", 424;
    /// The gateway key's own limit.
    RATE_LIMITED = "rate_limited", 429;
    /// The provider's rate limit.
    PROVIDER_RATE_LIMITED = "provider_rate_limited", 429;
    /// Our fault.
    INTERNAL_ERROR = "internal_error", 500;
    /// The provider failed, or its answer made no sense.
    PROVIDER_ERROR = "provider_error", 502;
    /// The provider could not be reached.
    PROVIDER_UNREACHABLE = "provider_unreachable", 502;
    /// A setting is missing or wrong.
    MISCONFIGURED = "misconfigured", 503;
    /// A secret cannot be unsealed.
    VAULT_UNAVAILABLE = "vault_unavailable", 503;
    /// The authority cannot be asked.
    STORE_UNAVAILABLE = "store_unavailable", 503;
    /// The provider has too much to do.
    PROVIDER_OVERLOADED = "provider_overloaded", 503;
    /// The provider did not answer in time.
    PROVIDER_TIMEOUT = "provider_timeout", 504;
}

impl Code {
    /// The way out where nothing more particular is known.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::INVALID_JSON => "Send one JSON object, in UTF-8.",
            Self::METHOD_NOT_ALLOWED => "Use the method that the path takes.",
            Self::MODEL_NOT_FOUND => "GET /v1/models lists what this gateway key can use.",
            Self::WALLET_INSUFFICIENT => {
                "Add a provider key of the workspace's own, or have the wallet topped up."
            }
            Self::NOT_FOUND => "List what there is, and check the spelling and the workspace.",
            Self::ALREADY_EXISTS => "Choose another name, or change the one there is.",
            Self::IN_USE => "Change what needs it first.",
            Self::MANAGED_DECLARATIVELY => {
                "`lockgate config apply` writes the draft and applies it in one step."
            }
            Self::STALE_ETAG => "Read it again and repeat the change on what it is now.",
            Self::REQUEST_TOO_LARGE => "Send less at once.",
            Self::INTERNAL_ERROR | Self::PROVIDER_ERROR | Self::STORE_UNAVAILABLE => {
                "Try again; if it stays so, whoever runs this gateway has to look into it."
            }
            _ if self.status < 500 => "Correct the request.",
            _ => "Try again.",
        }
    }

    /// `error.type` on OpenAI surfaces.
    #[must_use]
    pub fn openai_type(self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// `error.type` on the Anthropic surface (their “Errors” page).
    #[must_use]
    pub fn anthropic_type(self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }
}
