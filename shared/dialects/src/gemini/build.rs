//! The parts of a whole candidate. What a stream brings in pieces is put together by the same rules, so that both tell the
//! same: texts that follow each other are one, and so are thoughts; a signature on a text comes after it.

use std::borrow::Cow;

use super::grounding::{Cited, Places};
use super::{grounding, logprobs, media, wire};
use crate::answer::{Choice, Finish, Reason};
use crate::json::Problem;
use crate::request::{Content, Part};

/// Reads a candidate.
pub(super) fn choice<'a>(
    candidate: wire::Candidate<'a>,
    number: usize,
    response: Option<&str>,
) -> Result<Choice<'a>, Problem> {
    let mut build = Build::default();
    let parts = candidate.content.and_then(|content| content.parts);
    for part in parts.unwrap_or_default() {
        build.take(part, |call| wire::call_id(response, number, call));
    }
    build.cite(grounding::read(
        candidate.grounding_metadata,
        candidate.citation_metadata,
    )?);
    let reason = match &candidate.finish_reason {
        Some(word) => wire::reason(&word.0, build.calls > 0),
        None => Reason::Other,
    };
    Ok(Choice {
        parts: build.parts,
        finish: Finish::from(reason),
        logprobs: candidate.logprobs_result.map(logprobs::read).transpose()?,
    })
}

#[derive(Default)]
struct Build<'a> {
    parts: Vec<Part<'a>>,
    /// For each of Google's parts: which of ours its text went to, and at which byte.
    texts: Vec<Option<(usize, usize)>>,
    calls: usize,
}

impl<'a> Build<'a> {
    fn take(&mut self, part: wire::Part<'a>, id: impl FnOnce(usize) -> String) {
        let proof = part.thought_signature.map(|proof| proof.0);
        let proof = proof.filter(|proof| !proof.is_empty());
        let mut place = None;
        if let Some(call) = part.function_call {
            let given = call.id.map(|id| id.0).filter(|id| !id.is_empty());
            let id = given.unwrap_or_else(|| id(self.calls).into());
            self.calls += 1;
            self.push(Content::ToolCall {
                id,
                name: call.name.0,
                arguments: call.args.map_or("{}".into(), |args| args.get().into()),
                signature: proof,
            });
        } else if let Some(blob) = part.inline_data {
            self.push(media::inline(blob.mime_type.0, blob.data.0));
            self.prove(proof);
        } else if let Some(text) = part.text {
            if part.thought == Some(true) {
                self.think(text.0, proof);
            } else {
                place = self.say(text.0);
                self.prove(proof);
            }
        }
        self.texts.push(place);
    }

    fn push(&mut self, content: Content<'a>) {
        self.parts.push(content.into());
    }

    fn prove(&mut self, proof: Option<Cow<'a, str>>) {
        if proof.is_some() {
            self.push(Content::Reasoning {
                text: "".into(),
                signature: proof,
                id: None,
            });
        }
    }

    fn say(&mut self, more: Cow<'a, str>) -> Option<(usize, usize)> {
        let last = self.parts.len().checked_sub(1);
        if let Some(last) = last
            && let Some(Part {
                content: Content::Text { text, .. },
                ..
            }) = self.parts.get_mut(last)
        {
            let base = text.len();
            text.to_mut().push_str(&more);
            return Some((last, base));
        }
        if more.is_empty() {
            return None;
        }
        self.push(Content::text(more));
        Some((self.parts.len() - 1, 0))
    }

    fn think(&mut self, more: Cow<'a, str>, proof: Option<Cow<'a, str>>) {
        match self.parts.last_mut().map(|part| &mut part.content) {
            Some(Content::Reasoning {
                text,
                signature: signature @ None,
                ..
            }) => {
                text.to_mut().push_str(&more);
                *signature = proof;
            }
            _ if more.is_empty() && proof.is_none() => {}
            _ => self.push(Content::Reasoning {
                text: more,
                signature: proof,
                id: None,
            }),
        }
    }

    /// Puts citations to the text they name, else to the last one.
    fn cite(&mut self, all: Vec<Cited<'a>>) {
        let is_text = |part: &Part<'_>| matches!(part.content, Content::Text { .. });
        let Some(last) = self.parts.iter().rposition(is_text) else {
            return;
        };
        // What each text is given, before its places are looked up in one go.
        let mut sorted: Vec<(usize, usize, Cited<'a>)> = Vec::with_capacity(all.len());
        for cited in all {
            let named = cited.part.and_then(|part| self.texts.get(part).copied());
            let (part, base) = named.flatten().unwrap_or((last, 0));
            sorted.push((part, base, cited));
        }
        sorted.sort_by_key(|(part, ..)| *part);
        let mut sorted = sorted.into_iter().peekable();
        while let Some((at, ..)) = sorted.peek() {
            let at = *at;
            let Some(Content::Text { text, citations }) =
                self.parts.get_mut(at).map(|part| &mut part.content)
            else {
                return;
            };
            let places = Places::of(text);
            while let Some((_, base, cited)) = sorted.next_if(|(part, ..)| *part == at) {
                citations.push(cited.of(&places, base));
            }
        }
    }
}
