//! Where an answer comes from: <https://ai.google.dev/api/generate-content#GroundingMetadata>,
//! <https://ai.google.dev/api/generate-content#citationmetadata>. Google counts positions in bytes, the model in characters.

use serde::Deserialize;

use super::wire::Text;
use crate::answer::Citation;
use crate::json::{Problem, Raw, Writer};

/// A citation whose positions are still bytes of a part.
#[derive(Debug)]
pub(super) struct Cited<'a> {
    /// The part, where that is said.
    pub(super) part: Option<usize>,
    citation: Citation<'a>,
}

impl<'a> Cited<'a> {
    /// The citation, for the text that its positions belong to; the part that Google means begins at byte `base`.
    pub(super) fn of(self, places: &Places<'_>, base: usize) -> Citation<'a> {
        let place = |byte: Option<u64>| {
            let byte = base.saturating_add(usize::try_from(byte?).unwrap_or(usize::MAX));
            Some(places.character(byte))
        };
        Citation {
            start: place(self.citation.start),
            end: place(self.citation.end),
            ..self.citation
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding<'a> {
    #[serde(borrow, alias = "grounding_chunks")]
    grounding_chunks: Option<Vec<Chunk<'a>>>,
    #[serde(alias = "grounding_supports")]
    grounding_supports: Option<Vec<Support>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    web: Option<Page<'a>>,
    #[serde(borrow)]
    maps: Option<Page<'a>>,
    #[serde(borrow, alias = "retrieved_context")]
    retrieved_context: Option<Page<'a>>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support {
    segment: Option<Segment>,
    #[serde(alias = "grounding_chunk_indices")]
    grounding_chunk_indices: Option<Vec<usize>>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Segment {
    #[serde(alias = "part_index")]
    part_index: Option<usize>,
    #[serde(alias = "start_index")]
    start_index: Option<u64>,
    #[serde(alias = "end_index")]
    end_index: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Citations<'a> {
    #[serde(borrow, alias = "citations", alias = "citation_sources")]
    citation_sources: Option<Vec<Cite<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cite<'a> {
    #[serde(alias = "start_index")]
    start_index: Option<u64>,
    #[serde(alias = "end_index")]
    end_index: Option<u64>,
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

/// Reads both kinds of metadata: the supported pages in the order of the text, then the pages that support nothing in
/// particular.
pub(super) fn read<'a>(
    grounding: Option<Raw<'a>>,
    citations: Option<Raw<'a>>,
) -> Result<Vec<Cited<'a>>, Problem> {
    let mut all = Vec::new();
    if let Some(raw) = grounding {
        let grounding: Grounding<'a> = serde_json::from_str(raw.get())
            .map_err(|_| Problem::new("cannot be read").at("groundingMetadata"))?;
        pages(&grounding, &mut all);
    }
    if let Some(raw) = citations {
        let citations: Citations<'a> = serde_json::from_str(raw.get())
            .map_err(|_| Problem::new("cannot be read").at("citationMetadata"))?;
        for cite in citations.citation_sources.unwrap_or_default() {
            all.push(Cited {
                part: None,
                citation: Citation {
                    url: cite.uri.map(|uri| uri.0),
                    title: cite.title.map(|title| title.0),
                    start: cite.start_index.or(cite.end_index.map(|_| 0)),
                    end: cite.end_index,
                    ..Citation::default()
                },
            });
        }
    }
    Ok(all)
}

fn pages<'a>(grounding: &Grounding<'a>, all: &mut Vec<Cited<'a>>) {
    let chunks = grounding.grounding_chunks.as_deref().unwrap_or_default();
    let mut used = vec![false; chunks.len()];
    for support in grounding.grounding_supports.as_deref().unwrap_or_default() {
        let segment = support.segment.unwrap_or_default();
        for index in support
            .grounding_chunk_indices
            .as_deref()
            .unwrap_or_default()
        {
            let (Some(chunk), Some(used)) = (chunks.get(*index), used.get_mut(*index)) else {
                continue;
            };
            *used = true;
            let Some(mut citation) = chunk.citation() else {
                continue;
            };
            // Google leaves zeros out.
            citation.start = segment.start_index.or(segment.end_index.map(|_| 0));
            citation.end = segment.end_index;
            all.push(Cited {
                part: Some(segment.part_index.unwrap_or(0)),
                citation,
            });
        }
    }
    for (chunk, used) in chunks.iter().zip(used) {
        if let Some(citation) = chunk.citation().filter(|_| !used) {
            all.push(Cited {
                part: None,
                citation,
            });
        }
    }
}

impl<'a> Chunk<'a> {
    fn citation(&self) -> Option<Citation<'a>> {
        let page = self
            .web
            .as_ref()
            .or(self.maps.as_ref())
            .or(self.retrieved_context.as_ref())?;
        let words = |text: &Option<Text<'a>>| text.as_ref().map(|text| text.0.clone());
        Some(Citation {
            url: words(&page.uri),
            title: words(&page.title),
            quote: words(&page.text),
            ..Citation::default()
        })
    }
}

/// Writes the metadata of an answer's texts: each with the number of its part, itself and its citations. Writes nothing
/// where there are none.
pub(super) fn write(writer: &mut Writer<'_>, texts: &[(usize, &str, &[Citation<'_>])]) {
    let cited = |citation: &&Citation<'_>| {
        citation.url.is_some() || citation.title.is_some() || citation.quote.is_some()
    };
    let all = || {
        texts.iter().flat_map(|(part, text, citations)| {
            citations
                .iter()
                .filter(cited)
                .map(move |citation| (*part, *text, citation))
        })
    };
    if all().next().is_none() {
        return;
    }
    writer
        .key("groundingMetadata")
        .open()
        .key("groundingChunks")
        .open_array();
    for (_, _, citation) in all() {
        let kind = if citation.quote.is_some() {
            "retrievedContext"
        } else {
            "web"
        };
        writer
            .open()
            .key(kind)
            .open()
            .text_field_if("uri", citation.url.as_deref())
            .text_field_if("title", citation.title.as_deref())
            .text_field_if("text", citation.quote.as_deref())
            .close()
            .close();
    }
    writer.close_array().key("groundingSupports").open_array();
    let mut places: Option<(usize, Places<'_>)> = None;
    for (index, (part, text, citation)) in (0..).zip(all()) {
        if citation.start.is_none() && citation.end.is_none() {
            continue;
        }
        let here = match places.take() {
            Some((of, places)) if of == part => places,
            _ => Places::of(text),
        };
        let start = citation.start.map(|at| here.byte(at));
        let end = citation.end.map(|at| here.byte(at));
        let quoted = text.get(start.unwrap_or(0)..end.unwrap_or(text.len()));
        let number = |at: Option<usize>| at.and_then(|at| u64::try_from(at).ok());
        writer
            .open()
            .key("segment")
            .open()
            .integer_field_if("partIndex", number(Some(part)).filter(|part| *part > 0))
            .integer_field_if("startIndex", number(start))
            .integer_field_if("endIndex", number(end))
            .text_field_if("text", quoted)
            .close()
            .key("groundingChunkIndices")
            .open_array()
            .integer(index)
            .close_array()
            .close();
        places = Some((part, here));
    }
    writer.close_array().close();
}

/// How many bytes lie between two places that are remembered.
const STEP: usize = 256;

/// Bytes and characters of a text, each found from the other without reading it all.
#[derive(Debug)]
pub(super) struct Places<'t> {
    text: &'t str,
    /// How many characters begin before each multiple of [`STEP`]; none where each byte is a character.
    before: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut before = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for piece in text.as_bytes().chunks(STEP) {
                before.push(count);
                count += beginnings(piece);
            }
            before.push(count);
        }
        Self { text, before }
    }

    /// How many characters begin before a byte.
    fn character(&self, byte: usize) -> u64 {
        let byte = byte.min(self.text.len());
        let count = match self.before.get(byte / STEP) {
            None => byte,
            Some(count) => {
                let rest = self.text.as_bytes().get(byte / STEP * STEP..byte);
                count + rest.map_or(0, beginnings)
            }
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Where a character begins.
    fn byte(&self, character: u64) -> usize {
        let character = usize::try_from(character).unwrap_or(usize::MAX);
        if self.before.is_empty() {
            return character.min(self.text.len());
        }
        let step = self
            .before
            .partition_point(|count| *count <= character)
            .saturating_sub(1);
        let mut left = character - self.before.get(step).copied().unwrap_or(0).min(character);
        let mut byte = step * STEP;
        while byte < self.text.len() {
            if self.text.is_char_boundary(byte) {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            byte += 1;
        }
        byte.min(self.text.len())
    }
}

/// How many characters begin in a piece of UTF-8.
fn beginnings(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}
