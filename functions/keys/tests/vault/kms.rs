//! A key of AWS KMS in memory, for where no real answer matters but that each blob opens with its own context only. The
//! adapter itself is held against moto's server in its own crate.
//! <https://docs.aws.amazon.com/kms/latest/APIReference/Welcome.html>

use data_encoding::BASE64;
use mock_vault::{Answer, Ask, Service};
use serde_json::{Value, json};

pub(crate) const ARN: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// One key, and what it has wrapped: a blob is a place in the list.
#[derive(Default)]
pub(crate) struct Kms {
    wrapped: Vec<(Value, String)>,
}

impl Kms {
    fn wrap(&mut self, context: &Value, plain: &str) -> String {
        let place = self.wrapped.len();
        self.wrapped.push((context.clone(), plain.to_owned()));
        BASE64.encode(format!("blob {place}").as_bytes())
    }

    fn unwrap(&self, context: &Value, blob: &Value) -> Option<String> {
        let blob = BASE64.decode(blob.as_str()?.as_bytes()).ok()?;
        let place = String::from_utf8(blob).ok()?;
        let place: usize = place.strip_prefix("blob ")?.parse().ok()?;
        let (bound, plain) = self.wrapped.get(place)?;
        (bound == context).then(|| plain.clone())
    }
}

fn refuse(kind: &str) -> Answer {
    Answer::new(400, json!({"__type": kind, "message": "no"}))
}

impl Service for Kms {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let target = ask.header("x-amz-target").unwrap_or_default();
        let body = ask.json().unwrap_or_default();
        let signed = ask.header("authorization").is_some();
        if !signed {
            return refuse("MissingAuthenticationToken");
        }
        let context = &body["EncryptionContext"];
        match target {
            "TrentService.DescribeKey" => Answer::new(
                200,
                json!({"KeyMetadata": {"Arn": ARN, "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT"}}),
            ),
            "TrentService.GenerateDataKey" => {
                // Another one each time: the data keys are numbered.
                let mut dek = [7; 32];
                dek[0] = u8::try_from(self.wrapped.len()).unwrap();
                let plain = BASE64.encode(&dek);
                let blob = self.wrap(context, &plain);
                Answer::new(
                    200,
                    json!({"KeyId": ARN, "Plaintext": plain, "CiphertextBlob": blob}),
                )
            }
            "TrentService.Encrypt" => {
                let blob = self.wrap(context, body["Plaintext"].as_str().unwrap());
                Answer::new(200, json!({"KeyId": ARN, "CiphertextBlob": blob}))
            }
            "TrentService.Decrypt" => match self.unwrap(context, &body["CiphertextBlob"]) {
                Some(plain) => Answer::new(200, json!({"KeyId": ARN, "Plaintext": plain})),
                None => refuse("InvalidCiphertextException"),
            },
            _ => refuse("UnsupportedOperationException"),
        }
    }
}
