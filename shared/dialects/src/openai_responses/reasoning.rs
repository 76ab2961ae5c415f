//! Reasoning items: <https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items>.
//!
//! What other providers prove of their thoughts goes into reasoning items as `encrypted_content`, so that clients that send
//! all items back (as they must for OpenAI) send those proofs back too. Which is which, the gateway's ids of these items
//! say: [`SEALED`] for thoughts without words, [`PROOF`] for the proof of the call before it.

use std::borrow::Cow;

use crate::json::{Object, Problem};
use crate::request::{Content, Part};

/// What the id of a reasoning item begins with that is a thought sealed by another provider.
pub(super) const SEALED: &str = "rs_sealed_";
/// What the id of a reasoning item begins with that is the proof of the call before it.
pub(super) const PROOF: &str = "rs_proof_";

/// What a reasoning item is.
pub(super) enum Thought<'a> {
    /// A thought, in words or sealed.
    Content(Content<'a>),
    /// The proof of the call before it.
    Proof(Cow<'a, str>),
    /// Nothing but that there was one.
    Nothing,
}

/// Takes what a reasoning item says.
///
/// # Errors
/// It is none.
pub(super) fn take<'a>(item: &mut Object<'a>) -> Result<Thought<'a>, Problem> {
    let id = item.text("id")?;
    let seal = item
        .text("encrypted_content")?
        .filter(|seal| !seal.is_empty());
    let text = words(item)?;
    Ok(match (id, seal) {
        (Some(id), Some(data)) if id.starts_with(SEALED) => {
            Thought::Content(Content::Redacted { data })
        }
        (Some(id), Some(proof)) if id.starts_with(PROOF) => Thought::Proof(proof),
        (_, None) if text.is_empty() => Thought::Nothing,
        (id, signature) => Thought::Content(Content::Reasoning {
            text,
            signature,
            id,
        }),
    })
}

/// Gives the call that was made last its proof; whether there is one.
pub(super) fn prove<'a>(parts: &mut [Part<'a>], proof: Cow<'a, str>) -> bool {
    match parts.last_mut().map(|part| &mut part.content) {
        Some(Content::ToolCall { signature, .. }) => {
            *signature = Some(proof);
            true
        }
        _ => false,
    }
}

/// The thought in words: its summary, else the thought itself. A paragraph for each part.
fn words<'a>(item: &mut Object<'a>) -> Result<Cow<'a, str>, Problem> {
    let summary = paragraphs(item, "summary")?;
    let content = paragraphs(item, "content")?;
    Ok(if summary.is_empty() { content } else { summary })
}

fn paragraphs<'a>(item: &mut Object<'a>, field: &str) -> Result<Cow<'a, str>, Problem> {
    let list = item.array(field)?.unwrap_or_default();
    let mut all = Cow::Borrowed("");
    for (index, raw) in list.into_iter().enumerate() {
        let read = Object::of(raw).and_then(|mut object| object.required_text("text"));
        let text = read.map_err(|problem| problem.at_index(index).at(field))?;
        if all.is_empty() {
            all = text;
        } else if !text.is_empty() {
            let whole = all.to_mut();
            whole.push_str("\n\n");
            whole.push_str(&text);
        }
    }
    Ok(all)
}
