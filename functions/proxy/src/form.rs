//! The field `model` of a form with files (RFC 7578), found without building anything.

use std::ops::Range;

use memchr::memmem;

/// Where the value of the field `model` stands in a body whose `content-type` is given; `None` where it has none.
pub(crate) fn model(content_type: &str, body: &[u8]) -> Option<Range<usize>> {
    let boundary = boundary(content_type)?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut starts = finder.find_iter(body).peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().copied().unwrap_or(body.len());
        let from = start + delimiter.len();
        let part = body.get(from..end)?;
        let Some(head_end) = memmem::find(part, b"\r\n\r\n") else {
            continue;
        };
        let head = part.get(..head_end).unwrap_or_default();
        if !names_model(head) {
            continue;
        }
        let value = from + head_end + 4;
        let last = end.checked_sub(2).filter(|last| *last >= value)?;
        return (body.get(last..end) == Some(b"\r\n")).then_some(value..last);
    }
    None
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

fn names_model(head: &[u8]) -> bool {
    let Ok(head) = std::str::from_utf8(head) else {
        return false;
    };
    head.split("\r\n").any(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value
                .split(';')
                .any(|parameter| matches!(parameter.trim(), "name=\"model\"" | "name=model"))
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
        let at = model("multipart/form-data; boundary=X", body).unwrap();
        assert_eq!(&body[at], b"whisper-1");
        let at = model("Multipart/Form-Data; charset=x; boundary=\"X\"", body).unwrap();
        assert_eq!(&body[at], b"whisper-1");
        assert_eq!(model("multipart/form-data; boundary=Y", body), None);
        assert_eq!(model("application/json", body), None);
        assert_eq!(model("multipart/form-data; boundary=X", &body[..90]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>, text in "(--X|\r\n|name=\"model\"|content-disposition:|[a-z ;])*") {
            let _ = model("multipart/form-data; boundary=X", &body);
            if let Some(at) = model("multipart/form-data; boundary=X", text.as_bytes()) {
                prop_assert!(text.as_bytes().get(at).is_some());
            }
        }
    }
}
