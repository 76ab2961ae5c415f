//! Headers, by as few host calls as their use asks for: a call costs about 0.25 µs, and copying all of a map about
//! 0.2 µs a header in each direction.
//!
//! A request's are copied at once, since the functions look at about ten. An answer's stay with the host: two or three
//! are looked at, and the client's are made from a clone of them.

use std::borrow::Cow;
use std::cell::Cell;

use lockgate_host::Headers;
use spin_sdk::wasip3::http::types::Fields;

use crate::plain::names;

/// Names and values as the host gives them, in their order.
pub(crate) type Entries = Vec<(String, Vec<u8>)>;

thread_local! {
    /// Whether the host shows the headers of the connection to its guests; some do, and then refuse them in an answer.
    static SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// Headers of a request or of an answer.
pub struct SpinHeaders(Place);

enum Place {
    Here(Entries),
    Host(Fields),
}

impl SpinHeaders {
    /// A request's headers.
    pub(crate) fn of_request(fields: &Fields) -> Self {
        let entries = fields.copy_all();
        // Every HTTP/1.1 request has one; over HTTP/2 the host's own server drops what must not be answered.
        if entries
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            SHOWN.set(true);
        }
        Self(Place::Here(entries))
    }

    /// A provider's headers.
    pub(crate) fn of_response(fields: Fields) -> Self {
        Self(Place::Host(fields))
    }

    /// All of them; fetched where they are with the host.
    pub(crate) fn entries(&self) -> Cow<'_, Entries> {
        match &self.0 {
            Place::Here(entries) => Cow::Borrowed(entries),
            Place::Host(fields) => Cow::Owned(fields.copy_all()),
        }
    }
}

impl Headers for SpinHeaders {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match &self.0 {
            Place::Here(entries) => std::str::from_utf8(value(entries, name)?)
                .ok()
                .map(Cow::Borrowed),
            Place::Host(fields) => first(fields, name).map(Cow::Owned),
        }
    }
}

fn value<'a>(entries: &'a Entries, name: &str) -> Option<&'a [u8]> {
    entries
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

fn first(fields: &Fields, name: &str) -> Option<String> {
    let value = fields.get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

/// The length that `headers` announce for a body.
pub(crate) fn announced(headers: &Fields) -> Option<u64> {
    parse(&first(headers, "content-length")?)
}

/// As [`announced`], of headers already here.
pub(crate) fn length(headers: &SpinHeaders) -> Option<u64> {
    parse(&headers.get("content-length")?)
}

fn parse(length: &str) -> Option<u64> {
    length.trim().parse().ok()
}

/// The headers of an answer: `from` less what is withheld, and `set` in place of what `from` has under the same name.
/// A resized body has another length than the provider announced.
pub(crate) fn answer(
    from: Option<SpinHeaders>,
    resized: bool,
    set: &[(&'static str, Cow<'static, str>)],
) -> Fields {
    match from.map(|from| from.0) {
        Some(Place::Host(fields)) if !SHOWN.get() => changed(&fields, resized, set),
        Some(Place::Host(fields)) => listed(fields.copy_all(), resized, set),
        Some(Place::Here(entries)) => listed(entries, resized, set),
        None => listed(Vec::new(), resized, set),
    }
}

/// Changes a clone of the host's.
fn changed(from: &Fields, resized: bool, set: &[(&'static str, Cow<'static, str>)]) -> Fields {
    let fields = from.clone();
    // What cannot be deleted the host has taken away itself; what cannot be set is left out.
    for name in names::NOT_OF_THE_CONNECTION {
        let _forbidden = fields.delete(name);
    }
    if resized {
        let _forbidden = fields.delete("content-length");
    }
    for (at, (name, value)) in set.iter().enumerate() {
        let again = set.iter().take(at).any(|(other, _)| other == name);
        let _refused = if again {
            fields.append(name, value.as_bytes())
        } else {
            fields.set(name, &[value.as_bytes().to_vec()])
        };
    }
    fields
}

/// Makes them from a list.
fn listed(
    mut entries: Entries,
    resized: bool,
    set: &[(&'static str, Cow<'static, str>)],
) -> Fields {
    let connection = value(&entries, "connection").unwrap_or_default().to_vec();
    entries.retain(|(name, _)| {
        let resized = resized && name.eq_ignore_ascii_case("content-length");
        let replaced = set
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name));
        !resized && !replaced && !names::withheld(name, &connection)
    });
    entries.extend(
        set.iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())),
    );
    Fields::from_list(&entries).unwrap_or_else(|_| {
        let fields = Fields::new();
        for (name, value) in &entries {
            // Refused ones are what this loop is for; the others are unaffected.
            let _refused = fields.append(name, value);
        }
        fields
    })
}
