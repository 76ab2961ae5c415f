//! The field `model` of a form with files (RFC 7578), found without building anything.
//!
//! What is judged here is read again by the provider, and readers of forms differ. So a form that two of them could read
//! differently is refused, instead of guessing which one the provider has.

use std::fmt;
use std::ops::Range;

use memchr::memmem;

use crate::skim::reads_as;

/// Bytes of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Why nobody can say which model a form names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// It has more than one field `model`.
    Repeated,
    /// The `content-type` does not say plainly what separates the parts.
    Boundary(&'static str),
    /// The parts are not plain.
    Part(&'static str),
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated => f.write_str("The form has more than one field `model`."),
            Self::Boundary(why) => write!(f, "The form's `content-type` {why}."),
            Self::Part(why) => write!(f, "The form {why}."),
        }
    }
}

impl Unclear {
    /// What of the request is wrong.
    pub(crate) fn param(self) -> &'static str {
        match self {
            Self::Boundary(_) => "content-type",
            Self::Repeated | Self::Part(_) => "model",
        }
    }

    /// What the client can do about it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Repeated => "Send one.",
            Self::Boundary(_) => {
                "Send `content-type: multipart/form-data; boundary=…` with one boundary of at most 70 characters."
            }
            Self::Part(_) => {
                "Send parts as RFC 7578 has them: each after a boundary on a line of its own, with a head of whole lines and a plain `name`."
            }
        }
    }
}

/// Where the value of the field `model` stands in a body whose `content-type` is given; `None` where it has none.
///
/// # Errors
/// Policy could be asked for one model and the provider take another.
pub(crate) fn model(content_type: &str, body: &[u8]) -> Result<Option<Range<usize>>, Unclear> {
    let Some(boundary) = boundary(content_type)? else {
        return Ok(None);
    };
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut starts = finder.find_iter(body).peekable();
    let mut found = None;
    while let Some(start) = starts.next() {
        let before = body.get(..start).unwrap_or_default();
        let from = start + delimiter.len();
        let rest = body.get(from..).unwrap_or_default();
        let closing = rest == b"--" || rest.starts_with(b"--\r\n");
        if !(before.is_empty() || before.ends_with(b"\r\n"))
            || !(closing || rest.starts_with(b"\r\n"))
        {
            return Err(Unclear::Part(
                "has its boundary where it is no line of its own",
            ));
        }
        let Some(end) = starts.peek().copied() else {
            if closing {
                return Ok(found);
            }
            return Err(Unclear::Part("has no end"));
        };
        if closing {
            return Err(Unclear::Part("goes on after its end"));
        }
        let part = body.get(from + 2..end).unwrap_or_default();
        let (head, value) = if part.starts_with(b"\r\n") {
            (&[][..], from + 4)
        } else {
            let length = memmem::find(part, b"\r\n\r\n")
                .ok_or(Unclear::Part("has a part whose head has no end"))?;
            let head = part.get(..length).unwrap_or_default();
            (head, from + 2 + length + 4)
        };
        if !names_model(head)? {
            continue;
        }
        // The line break before the next boundary is the boundary's; an empty value may leave none of its own.
        let Some(last) = end.checked_sub(2).filter(|last| *last >= value) else {
            return Err(Unclear::Part("has a field `model` without a value"));
        };
        if found.replace(value..last).is_some() {
            return Err(Unclear::Repeated);
        }
    }
    Ok(found)
}

/// The boundary; `None` where this is no form.
fn boundary(content_type: &str) -> Result<Option<&str>, Unclear> {
    let Some((kind, parameters)) = content_type.split_once(';') else {
        return Ok(None);
    };
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    let mut found = None;
    for parameter in parameters.split(';') {
        if parameter.matches('"').count() % 2 == 1 {
            return Err(Unclear::Boundary("has a quoted value with `;` in it"));
        }
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        if name.starts_with("boundary*") {
            return Err(Unclear::Boundary("has a parameter `boundary*`"));
        }
        if name != "boundary" {
            continue;
        }
        let value = value.trim();
        let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let value = inner.unwrap_or(value);
        if !(1..=MAX_BOUNDARY).contains(&value.len()) {
            return Err(Unclear::Boundary(
                "has a boundary that is not of 1 to 70 characters",
            ));
        }
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',');
        if !value.bytes().all(plain) {
            return Err(Unclear::Boundary(
                "has a boundary with characters that no boundary has",
            ));
        }
        if found.replace(value).is_some() {
            return Err(Unclear::Boundary("has more than one boundary"));
        }
    }
    Ok(found)
}

/// Whether a part's head gives it the name `model`; an error where some readers would take it so and others not.
fn names_model(head: &[u8]) -> Result<bool, Unclear> {
    let head = String::from_utf8_lossy(head);
    let (mut is_model, mut encoded) = (false, false);
    for line in head.split("\r\n").filter(|_| !head.is_empty()) {
        if line.starts_with([' ', '\t']) {
            return Err(Unclear::Part("has a part with a folded line in its head"));
        }
        if line.contains(['\r', '\n', '\0']) {
            return Err(Unclear::Part(
                "has a part with a control character in its head",
            ));
        }
        let (header, value) = line
            .split_once(':')
            .ok_or(Unclear::Part("has a part with a line that is no header"))?;
        let header = header.trim();
        encoded |= header.eq_ignore_ascii_case("content-transfer-encoding");
        if !header.eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        for (name, value) in value.split(';').filter_map(|one| one.split_once('=')) {
            let name = name.trim().to_ascii_lowercase();
            if name.starts_with("name*") {
                return Err(Unclear::Part("has a part with a parameter `name*`"));
            }
            if name == "name" {
                if matches!(value.trim(), "model" | "\"model\"") {
                    is_model = true;
                    continue;
                }
                let bare = value.replace(['"', '\\'], "");
                if bare.contains("=?") || reads_as(bare.trim(), "model") {
                    return Err(Unclear::Part(
                        "has a field that only some readers would take for `model`",
                    ));
                }
            }
        }
    }
    if is_model && encoded {
        return Err(Unclear::Part(
            "has a `content-transfer-encoding` for its field `model`",
        ));
    }
    Ok(is_model)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        let body = b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n\x00model\r\n\
            --X\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--X--\r\n";
        let at = model("multipart/form-data; boundary=X", body)
            .unwrap()
            .unwrap();
        assert_eq!(&body[at], b"whisper-1");
        let at = model("Multipart/Form-Data; charset=x; boundary=\"X\"", body)
            .unwrap()
            .unwrap();
        assert_eq!(&body[at], b"whisper-1");
        assert_eq!(model("multipart/form-data; boundary=Y", body), Ok(None));
        assert_eq!(model("application/json", body), Ok(None));
        let cut = model("multipart/form-data; boundary=X", &body[..90]);
        assert_eq!(cut, Err(Unclear::Part("has no end")));
        let empty = b"--X\r\n\r\nno head\r\n--X\r\nContent-Disposition: form-data; name=model\r\n\r\n\r\n--X--";
        let at = model("multipart/form-data; boundary=X", empty)
            .unwrap()
            .unwrap();
        assert!(at.is_empty());
    }

    /// A form with a model and one more part, as it is written.
    fn with(part: &str) -> String {
        format!(
            "--X\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--X\r\n{part}\r\n--X--\r\n"
        )
    }

    #[test]
    fn a_second_model_is_found_however_it_is_written() {
        for second in [
            "name=\"model\"",
            "NAME = model",
            "filename=\"a\"; name=\"model\"",
        ] {
            let body = with(&format!(
                "Content-Disposition: form-data; {second}\r\n\r\nother"
            ));
            let found = model("multipart/form-data; boundary=X", body.as_bytes());
            assert_eq!(found, Err(Unclear::Repeated), "{second}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_refused() {
        let head = "Content-Disposition: form-data;";
        for part in [
            format!("{head} name=\" model \"\r\n\r\nother"),
            format!("{head} name=\"mod\\el\"\r\n\r\nother"),
            format!("{head} name=\"Model\"\r\n\r\nother"),
            format!("{head} name=\"=?utf-8?q?model?=\"\r\n\r\nother"),
            format!("{head} name*=UTF-8''model\r\n\r\nother"),
            format!("{head} name*0=mod; name*1=el\r\n\r\nother"),
            format!("{head}\r\n name=\"model\"\r\n\r\nother"),
            format!("{head}\r\n\tname=\"model\"\r\n\r\nother"),
            format!("{head} name=\"model\"\n\nother\r\n\r\nfake"),
            format!("{head} name=\"model\"\rX: y\r\n\r\nother"),
            // A boundary amid a line, which hides the part's head from whoever takes it for one.
            format!("{head} x=\"--X\"; name=\"model\"\r\n\r\nother"),
            format!("{head} name=\"file\"\r\n\r\na --X\r\n{head} name=\"b\"\r\n\r\nc"),
            format!("{head} name=\"file\"\r\n\r\na\n--X\r\n{head} name=\"b\"\r\n\r\nc"),
            format!("{head} name=\"a\"\r\n\r\nb\r\n--X-- \r\n{head} name=\"c\"\r\n\r\nd"),
            format!("{head} name=\"a\"\r\n\r\nb\r\n--X--\r\n--X\r\n{head} name=\"c\"\r\n\r\nd"),
            format!("{head} name=\"a\""),
            "no header\r\n\r\na".to_owned(),
        ] {
            let found = model("multipart/form-data; boundary=X", with(&part).as_bytes());
            assert!(matches!(found, Err(Unclear::Part(_))), "{part}: {found:?}");
        }
        let quoted = "--X\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt=2D4o\r\n--X--";
        let found = model("multipart/form-data; boundary=X", quoted.as_bytes());
        assert!(matches!(found, Err(Unclear::Part(_))), "{found:?}");
        let plain = with(&format!(
            "{head} name=\"file\"; filename=\"model; a=b.txt\"; filename*=UTF-8''model\r\nContent-Transfer-Encoding: binary\r\n\r\n-- model"
        ));
        let at = model("multipart/form-data; boundary=X", plain.as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(&plain[at], "whisper-1");
    }

    #[test]
    fn one_plain_boundary_is_taken() {
        let body = with("Content-Disposition: form-data; name=\"a\"\r\n\r\nb");
        for parameters in [
            "boundary=X; boundary=Y",
            "boundary=Y; Boundary=X",
            "boundary=X; boundary*=utf-8''Y",
            "boundary*0=Y; boundary=X",
            "x=\"; boundary=Y; \"; boundary=X",
            "boundary=X, multipart/form-data",
            "boundary=\"X\"Y",
            "boundary=\"\\X\"",
            "boundary=X Y",
            "boundary=",
            &format!("boundary={}", "X".repeat(71)),
        ] {
            let found = model(
                &format!("multipart/form-data; {parameters}"),
                body.as_bytes(),
            );
            assert!(
                matches!(found, Err(Unclear::Boundary(_))),
                "{parameters}: {found:?}"
            );
        }
        let long = "X".repeat(70);
        let body = body.replace("--X", &format!("--{long}"));
        let found = model(
            &format!("multipart/form-data; charset=\"utf-8\"; boundary=\"{long}\""),
            body.as_bytes(),
        );
        assert!(matches!(found, Ok(Some(_))), "{found:?}");
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>, text in "(--X|--X\r\n|\r\n|name=\"model\"|content-disposition:|[a-z ;])*") {
            let _ = model("multipart/form-data; boundary=X", &body);
            if let Ok(Some(at)) = model("multipart/form-data; boundary=X", text.as_bytes()) {
                prop_assert!(text.as_bytes().get(at).is_some());
            }
        }
    }
}
