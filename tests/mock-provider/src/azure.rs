//! Azure OpenAI's deployments: the model is in the path, the version of the API in the query, the key in `api-key`.
//!
//! <https://learn.microsoft.com/azure/ai-foundry/openai/reference>

use serde_json::json;

use crate::answer::Answer;
use crate::ask::{Ask, Refusal};
use crate::openai::{self, Surface};
use crate::passthrough;

/// The answer to what is asked of a deployment.
pub(crate) fn answer(ask: &Ask<'_>, deployment: &str, rest: &str) -> Result<Answer, Refusal> {
    let not_found = || Refusal::new(404, "Resource not found");
    let version = ask.parameter("api-version").ok_or_else(not_found)?;
    // A date, with or without `-preview`.
    let date = version.strip_suffix("-preview").unwrap_or(version);
    if date.len() != 10 || !date.chars().all(|c| c.is_ascii_digit() || c == '-') {
        return Err(not_found());
    }
    let bearer = ask
        .header("authorization")
        .is_some_and(|value| value.starts_with("Bearer "));
    if !ask.headers.contains_key("api-key") && !bearer {
        return Err(Refusal::new(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.",
        ));
    }
    if deployment.is_empty() || deployment.contains('%') {
        return Err(Refusal::new(404, "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.").code("DeploymentNotFound"));
    }
    let path = format!("/{rest}");
    match (ask.method, Surface::of(&path)) {
        ("POST", Some(surface)) => openai::answer(ask, surface, Some(deployment)),
        _ => passthrough::answer(ask).ok_or_else(not_found),
    }
}

/// A refusal in Azure's form: its gateway has codes that are numbers, its models have OpenAI's.
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    match (refusal.status, refusal.code) {
        (401 | 403 | 404 | 429, None) | (404, Some(_)) => {
            let status = refusal.status.to_string();
            let code = refusal.code.unwrap_or(&status);
            let body = json!({"error": {"code": code, "message": refusal.message}});
            Answer::json(refusal.status, body.to_string().into())
        }
        _ => openai::refuse(refusal),
    }
}
