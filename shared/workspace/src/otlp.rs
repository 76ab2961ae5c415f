//! Where traces go, by the standard settings of OpenTelemetry's exporters: off unless an endpoint is set.
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use lockgate_host::{Host, Misconfigured, Secret};
use percent_encoding::percent_decode_str;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE: &str = "OTEL_SERVICE_NAME";

/// A collector of traces.
pub struct Otlp {
    /// Where spans are posted, as OTLP/HTTP in JSON.
    pub url: String,
    /// Headers that go with them; their values may be secret.
    pub headers: Vec<(String, Secret)>,
    /// What the spans say they come from.
    pub service: String,
}

impl Otlp {
    /// Reads the settings; `None` where there is no endpoint.
    pub(crate) async fn read<H: Host>(host: &H) -> Result<Option<Self>, Misconfigured> {
        let (setting, url) = match (host.variable(TRACES).await?, host.variable(ENDPOINT).await?) {
            (Some(url), _) => (TRACES, url.trim().to_owned()),
            (None, Some(base)) => {
                let base = base.trim().trim_end_matches('/');
                (ENDPOINT, format!("{base}/v1/traces"))
            }
            (None, None) => return Ok(None),
        };
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(Misconfigured {
                setting,
                problem: "it is no http or https address such as http://127.0.0.1:4318".into(),
            });
        }
        let headers = host.variable(HEADERS).await?.unwrap_or_default();
        Ok(Some(Self {
            url,
            headers: headers_of(&headers).ok_or_else(|| Misconfigured {
                setting: HEADERS,
                problem: "it is no list such as name=value,other=value".into(),
            })?,
            service: host
                .variable(SERVICE)
                .await?
                .unwrap_or_else(|| "lockgate".into()),
        }))
    }
}

/// Reads `name=value,name=value`, the values percent-encoded.
fn headers_of(text: &str) -> Option<Vec<(String, Secret)>> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let fits = !name.is_empty()
                && name.bytes().all(token)
                && !value.bytes().any(|b| b.is_ascii_control());
            fits.then(|| (name, Secret::from(value.into_owned())))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::headers_of;

    #[test]
    fn headers_are_read_as_the_specification_says() {
        let read = |text: &str| {
            let pairs = headers_of(text)?.into_iter();
            let plain = |(name, value): (String, lockgate_host::Secret)| {
                (name, value.expose_str().unwrap().to_owned())
            };
            Some(pairs.map(plain).collect::<Vec<_>>())
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), Some(vec![]));
        assert_eq!(
            read("Authorization=Bearer%20x, x-team = a=b "),
            Some(vec![
                pair("authorization", "Bearer x"),
                pair("x-team", "a=b")
            ])
        );
        assert_eq!(read("name"), None);
        assert_eq!(read("a b=c"), None);
        assert_eq!(read("a=%0d%0ab"), None);
    }
}
