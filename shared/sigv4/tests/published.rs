//! The signatures that AWS publishes: its test suite (<https://github.com/awslabs/aws-c-auth>,
//! `tests/aws-signing-test-suite/v4`) and the example of its documentation.
//!
//! Left out are the cases whose paths are to be resolved first (`get-relative-normalized` and its like): the gateway makes
//! no such paths, and signs those that it is given as they are.
#![allow(clippy::unwrap_used)]

use lockgate_host::Secret;
use lockgate_sigv4::{Credentials, Request, authorization, sign};

/// 2015-08-30T12:36:00Z.
const NOW: u64 = 1_440_938_160_000;

const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

fn credentials(token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: token.map(|token| Secret::from(token.to_owned())),
    }
}

fn expected(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

struct Case<'a> {
    name: &'a str,
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    token: Option<&'a str>,
    signed: &'a str,
    signature: &'a str,
}

impl Case<'_> {
    fn holds(&self) {
        let request = Request {
            method: self.method,
            url: &format!("https://example.amazonaws.com{}", self.target),
            headers: self.headers,
            payload: b"",
        };
        let credentials = credentials(self.token);
        assert_eq!(
            authorization(&credentials, "us-east-1", "service", &request, NOW),
            expected(self.signed, self.signature),
            "{}",
            self.name
        );
    }
}

fn plain<'a>(name: &'a str, target: &'a str, signature: &'a str) -> Case<'a> {
    let method = if name.starts_with("post-") {
        "POST"
    } else {
        "GET"
    };
    Case {
        name,
        method,
        target,
        headers: &[],
        token: None,
        signed: "host;x-amz-date",
        signature,
    }
}

#[test]
fn paths_and_queries() {
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let posted = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    let with_query = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11";
    for (name, target, signature) in [
        ("get-vanilla", "/", vanilla),
        ("get-vanilla-query", "/", vanilla),
        ("post-vanilla", "/", posted),
        ("post-header-key-case", "/", posted),
        ("post-sts-header-after", "/", posted),
        ("post-vanilla-query", "/?Param1=value1", with_query),
        (
            "post-vanilla-empty-query-value",
            "/?Param1=value1",
            with_query,
        ),
        (
            "get-vanilla-empty-query-key",
            "/?Param1=value1",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "get-vanilla-query-order-encoded",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "get-vanilla-query-order-key-case",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-query-order-value",
            "/?Param1=value2&Param1=value1",
            "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
        ),
        (
            "get-vanilla-query-unreserved",
            &format!("/?{UNRESERVED}={UNRESERVED}"),
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "get-vanilla-utf8-query",
            "/?\u{1234}=bar",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "get-unreserved",
            &format!("/{UNRESERVED}"),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "get-utf8",
            "/\u{1234}",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "get-space-unnormalized",
            "/example space/",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "get-slash-unnormalized",
            "//",
            "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e",
        ),
        (
            "get-slashes-unnormalized",
            "//example//",
            "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
        ),
        (
            "get-slash-dot-slash-unnormalized",
            "/./",
            "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
        ),
        (
            "get-slash-pointless-dot-unnormalized",
            "/./example",
            "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff",
        ),
        (
            "get-relative-unnormalized",
            "/example/..",
            "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282",
        ),
        (
            "get-relative-relative-unnormalized",
            "/example1/example2/../..",
            "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
        ),
    ] {
        plain(name, target, signature).holds();
    }
}

#[test]
fn headers() {
    let name = "my-header1";
    let one = "host;my-header1;x-amz-date";
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Headers<'_>, &str, &str); 6] = [
        (
            "get-header-key-duplicate",
            &[(name, "value2"), (name, "value2"), (name, "value1")],
            one,
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "get-header-value-multiline",
            &[(name, "value1\n  value2\n     value3")],
            one,
            "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
        ),
        (
            "get-header-value-order",
            &[
                (name, "value4"),
                (name, "value1"),
                (name, "value3"),
                (name, "value2"),
            ],
            one,
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        (
            "get-header-value-trim",
            &[(name, " value1"), ("my-header2", " \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "post-header-key-sort",
            &[(name, "value1")],
            one,
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "post-header-value-case",
            &[(name, "VALUE1")],
            one,
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
    ];
    for (name, headers, signed, signature) in cases {
        Case {
            headers,
            signed,
            ..plain(name, "/", signature)
        }
        .holds();
    }
}

#[test]
fn session_tokens() {
    for (name, token, signature) in [
        (
            "get-vanilla-with-session-token",
            "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        ),
        (
            "post-sts-header-before",
            TOKEN,
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ] {
        Case {
            token: Some(token),
            signed: "host;x-amz-date;x-amz-security-token",
            ..plain(name, "/", signature)
        }
        .holds();
    }
}

/// These two are signed with the hash of their payload, as every request of the gateway's is.
#[test]
fn payloads() {
    for (name, media_type, signature) in [
        (
            "post-x-www-form-urlencoded",
            "application/x-www-form-urlencoded",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ),
        (
            "post-x-www-form-urlencoded-parameters",
            "application/x-www-form-urlencoded; charset=utf-8",
            "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        ),
    ] {
        let request = Request {
            method: "POST",
            url: "https://example.amazonaws.com/",
            headers: &[("content-type", media_type), ("content-length", "13")],
            payload: b"Param1=value1",
        };
        let signed = "content-length;content-type;host;x-amz-content-sha256;x-amz-date";
        assert_eq!(
            sign(&credentials(None), "us-east-1", "service", &request, NOW),
            [
                ("authorization", expected(signed, signature)),
                ("x-amz-date", "20150830T123600Z".to_owned()),
                (
                    "x-amz-content-sha256",
                    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e".to_owned()
                ),
            ],
            "{name}"
        );
    }
}

/// The example of <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> in its
/// first edition: ListUsers of IAM.
#[test]
fn the_documentations_example() {
    let request = Request {
        method: "GET",
        url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        headers: &[(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )],
        payload: b"",
    };
    assert_eq!(
        authorization(&credentials(None), "us-east-1", "iam", &request, NOW),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn the_secret_is_not_told() {
    let request = Request {
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse",
        headers: &[],
        payload: b"{}",
    };
    let headers = sign(
        &credentials(Some(TOKEN)),
        "us-east-1",
        "bedrock",
        &request,
        NOW,
    );
    for (name, value) in headers {
        assert!(
            !value.contains("wJalrXUtnFEMI") && !value.contains(TOKEN),
            "{name}"
        );
    }
}

#[test]
fn keys_are_read() {
    let read = |text: &str| Credentials::parse(&Secret::from(text.to_owned()));
    let pair = read("AKIAIOSFODNN7EXAMPLE:wJalr/+=").unwrap();
    assert_eq!(pair.access_key_id, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(pair.secret.expose(), b"wJalr/+=");
    assert!(pair.session_token.is_none());
    let temporary = read("ASIAIOSFODNN7EXAMPLE:secret:token:with:colons").unwrap();
    assert_eq!(
        temporary.session_token.unwrap().expose(),
        b"token:with:colons"
    );
    assert!(
        read("AKIAIOSFODNN7EXAMPLE:secret:")
            .unwrap()
            .session_token
            .is_none()
    );
    for wrong in [
        "",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLE:",
        "short:secret",
        "AKIA/OSFODNN7EXAMPLE:secret",
        ":secret",
    ] {
        assert!(read(wrong).is_none(), "{wrong}");
    }
}
