//! The field `model` of a form with files (RFC 7578), found without building anything.

use std::ops::Range;

use memchr::memmem;

/// The form has more than one field `model`, and only its reader knows which one it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeated;

/// Where the value of the field `model` stands in a body whose `content-type` is given; `None` where it has none.
///
/// # Errors
/// [`Repeated`]: policy would be asked for one model and the provider take another.
pub(crate) fn model(content_type: &str, body: &[u8]) -> Result<Option<Range<usize>>, Repeated> {
    let Some(boundary) = boundary(content_type) else {
        return Ok(None);
    };
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut starts = finder.find_iter(body).peekable();
    let mut found = None;
    while let Some(start) = starts.next() {
        let end = starts.peek().copied().unwrap_or(body.len());
        let from = start + delimiter.len();
        let part = body.get(from..end).unwrap_or_default();
        let Some(head_end) = memmem::find(part, b"\r\n\r\n") else {
            continue;
        };
        if !names_model(part.get(..head_end).unwrap_or_default()) {
            continue;
        }
        if found.is_some() {
            return Err(Repeated);
        }
        let value = from + head_end + 4;
        let last = end.checked_sub(2).filter(|last| *last >= value);
        found = last
            .filter(|last| body.get(*last..end) == Some(b"\r\n"))
            .map(|last| value..last);
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty() && value.len() <= 200)
            .then_some(value)
    })
}

/// Whether a part's head gives it the name `model`, as any reader of forms may take it: names in any letter case, white
/// space around them, quoted pairs, the extended form `name*`.
fn names_model(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let dispositions = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is = name.trim().eq_ignore_ascii_case("content-disposition");
        is.then_some(value)
    });
    let mut parameters = dispositions
        .flat_map(|value| value.split(';'))
        .filter_map(|parameter| parameter.split_once('='));
    parameters.any(|(name, value)| {
        let value = value.replace(['"', '\\'], "");
        match name.trim().to_ascii_lowercase().as_str() {
            "name" => value.trim() == "model",
            "name*" => value.trim().ends_with("'model"),
            _ => false,
        }
    })
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
        assert_eq!(
            model("multipart/form-data; boundary=X", &body[..90]),
            Ok(None)
        );
    }

    #[test]
    fn a_second_model_is_found_however_it_is_written() {
        for second in [
            "name=\"model\"",
            "NAME = model",
            "name=\" model \"",
            "name=\"mod\\el\"",
            "name*=UTF-8''model",
            "filename=\"a\"; name=\"model\"",
        ] {
            let body = format!(
                "--X\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
                 --X\r\nContent-Disposition: form-data; {second}\r\n\r\nother\r\n--X--\r\n"
            );
            let found = model("multipart/form-data; boundary=X", body.as_bytes());
            assert_eq!(found, Err(Repeated), "{second}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>, text in "(--X|\r\n|name=\"model\"|content-disposition:|[a-z ;])*") {
            let _ = model("multipart/form-data; boundary=X", &body);
            if let Ok(Some(at)) = model("multipart/form-data; boundary=X", text.as_bytes()) {
                prop_assert!(text.as_bytes().get(at).is_some());
            }
        }
    }
}
