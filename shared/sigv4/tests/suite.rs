//! AWS's Signature Version 4 Test Suite in its first edition, whole: `aws4_testsuite` has its requests and the `authorization`
//! of each as AWS publishes them, unaltered, with their licence (Apache 2.0) and notice; taken from the source package of
//! botocore 1.44.5. `published.rs` has the cases of the later edition.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_host::Secret;
use lockgate_sigv4::{Credentials, Request, authorization};

/// 2015-08-30T12:36:00Z, which every request bears.
const NOW: u64 = 1_440_938_160_000;

/// The cases whose path is to be resolved before it is signed, and what it comes to. No URL that the gateway makes has steps or
/// empty segments, so resolving them is left to whoever signs such a path.
const RESOLVED: [(&str, &str); 6] = [
    ("get-relative", "/"),
    ("get-relative-relative", "/"),
    ("get-slash", "/"),
    ("get-slash-dot-slash", "/"),
    ("get-slash-pointless-dot", "/example"),
    ("get-slashes", "/example/"),
];

/// The token of the case whose request has none yet: it is among the signed headers of what comes out.
const TOKEN: (&str, &str) = (
    "get-vanilla-with-session-token",
    "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
);

fn requests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            requests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "req") {
            found.push(path);
        }
    }
}

/// Signs the request in a file, which must be as HTTP has it.
fn signed(name: &str, text: &str) -> String {
    let (head, payload) = text.split_once("\n\n").unwrap_or((text, ""));
    // A line that begins with white space goes on with the one before.
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(before) if line.starts_with(' ') => {
                before.push('\n');
                before.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let (request_line, lines) = lines.split_first().unwrap();
    let (method, target) = request_line.split_once(' ').unwrap();
    let target = target.strip_suffix(" HTTP/1.1").unwrap();
    let resolved = RESOLVED.into_iter().find(|(case, _)| *case == name);
    let target = resolved.map_or(target, |(_, target)| target);

    let token = Some(TOKEN.1.to_owned()).filter(|_| name == TOKEN.0);
    let (mut headers, mut session_token) = (Vec::new(), token.map(Secret::from));
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase() {
            name if name == "host" => assert_eq!(value, "example.amazonaws.com"),
            name if name == "x-amz-date" => assert_eq!(value, "20150830T123600Z"),
            name if name == "x-amz-security-token" => {
                session_token = Some(Secret::from(value.to_owned()));
            }
            name => headers.push((name, value)),
        }
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token,
    };
    let request = Request {
        method,
        url: &format!("https://example.amazonaws.com{target}"),
        headers: &headers,
        payload: payload.as_bytes(),
    };
    authorization(&credentials, "us-east-1", "service", &request, NOW)
}

#[test]
fn every_request_of_the_suite_is_signed_as_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws4_testsuite");
    let mut found = Vec::new();
    requests(&folder, &mut found);
    assert_eq!(found.len(), 34);
    for path in found {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let published = fs::read_to_string(path.with_extension("authz")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(signed(name, &text), published.trim_end(), "{name}");
    }
}
