//! Signatures and permissions as moto checks them: botocore's own code works the signature out, and the policies are those of
//! `docs/vault/aws-kms.md`.

use lockgate_vault::{Stored, VaultError};
use mock_vault::Moto;
use serde_json::{Value, json};

use crate::common::{BINDING, SECRET, opened, place, secret, with_vaults};
use crate::moto::sealed;
use crate::{REGION, at, with};

const PAGE: &str = include_str!("../../../../docs/vault/aws-kms.md");

/// The policy of the page. moto knows no resources.
fn policy() -> Value {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    for statement in policy.get_mut("Statement").unwrap().as_array_mut().unwrap() {
        statement["Resource"] = json!("*");
    }
    policy
}

/// The actions that it allows.
fn actions(policy: &Value) -> Vec<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in &mut *statements {
        let actions = statement["Action"].as_array_mut().unwrap();
        actions.retain(|known| known != action);
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    policy
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Credentials {
    fn read(xml: &str, token: bool) -> Self {
        Self {
            id: element(xml, "AccessKeyId"),
            secret: element(xml, "SecretAccessKey"),
            token: token.then(|| element(xml, "SessionToken")),
        }
    }

    /// Of a new user with this policy.
    fn user(moto: &Moto, name: &str, policy: &Value) -> Self {
        let iam = |form: String| moto.query("iam", &format!("{form}&Version=2010-05-08"));
        iam(format!("Action=CreateUser&UserName={name}"));
        iam(format!(
            "Action=PutUserPolicy&UserName={name}&PolicyName=lockgate&PolicyDocument={}",
            encoded(&policy.to_string())
        ));
        Self::read(
            &iam(format!("Action=CreateAccessKey&UserName={name}")),
            false,
        )
    }

    /// Temporary ones, of a new role with this policy.
    fn session(moto: &Moto, name: &str, policy: &Value) -> Self {
        let iam = |form: String| moto.query("iam", &format!("{form}&Version=2010-05-08"));
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" },
        ] });
        iam(format!(
            "Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}",
            encoded(&trust.to_string())
        ));
        iam(format!(
            "Action=PutRolePolicy&RoleName={name}&PolicyName=lockgate&PolicyDocument={}",
            encoded(&policy.to_string())
        ));
        let role = encoded(&format!("arn:aws:iam::123456789012:role/{name}"));
        let form =
            format!("Action=AssumeRole&RoleArn={role}&RoleSessionName=lockgate&Version=2011-06-15");
        Self::read(&moto.query("sts", &form), true)
    }

    fn settings<'a>(&'a self, at: Vec<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let mut settings = with(
            at,
            &[
                ("LOCKGATE_VAULT_AWS_ACCESS_KEY_ID", &self.id),
                ("LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY", &self.secret),
            ],
        );
        if let Some(token) = &self.token {
            settings.push(("LOCKGATE_VAULT_AWS_SESSION_TOKEN", token));
        }
        settings
    }
}

/// Everything that is asked of KMS, and the action of each.
fn everything(
    settings: &[(&str, &str)],
    local: &Stored,
) -> Vec<(&'static str, Result<(), VaultError>)> {
    let settings = with(settings.to_vec(), &[("LOCKGATE_VAULT_PREVIOUS", "local")]);
    with_vaults(&settings, |host, vaults| async move {
        let ciphertext = local.ciphertext.clone().unwrap();
        let mut done = vec![
            ("kms:DescribeKey", vaults.current(&host).await.map(drop)),
            ("kms:RotateKeyOnDemand", vaults.rotate(&host).await),
            (
                "kms:GenerateDataKey",
                vaults.seal(&host, &BINDING, &secret(), "u").await.map(drop),
            ),
        ];
        let wrapped = vaults
            .rewrap(&host, &BINDING, place(local), &ciphertext, "u")
            .await;
        let stored = wrapped.as_ref().ok().map(|stored| Stored {
            ciphertext: Some(ciphertext.clone()),
            ..stored.clone()
        });
        done.push(("kms:Encrypt", wrapped.map(drop)));
        if let Some(stored) = stored {
            let text = opened(&host, &vaults, &BINDING, &stored).await;
            done.push(("kms:Decrypt", text.map(|text| assert_eq!(text, SECRET))));
            let moved = vaults
                .rewrap(&host, &BINDING, place(&stored), &ciphertext, "v")
                .await;
            done.push(("kms:ReEncrypt*", moved.map(drop)));
        }
        done
    })
}

#[test]
fn botocore_takes_the_signatures_and_the_policy_is_what_is_needed() {
    let moto = Moto::start();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let local = sealed(&[]);
    let policy = policy();
    let actions = actions(&policy);
    let user = Credentials::user(&moto, "lockgate", &policy);
    let session = Credentials::session(&moto, "lockgate", &policy);
    let lacking: Vec<(&String, Credentials)> = actions
        .iter()
        .enumerate()
        .map(|(number, action)| {
            let name = format!("lacking-{number}");
            (
                action,
                Credentials::user(&moto, &name, &without(&policy, action)),
            )
        })
        .collect();
    moto.check_signatures();
    let at = || at(&url, &arn, REGION);

    for credentials in [&user, &session] {
        let done = everything(&credentials.settings(at()), &local);
        assert_eq!(done.len(), actions.len(), "each action is used");
        for (action, outcome) in done {
            assert_eq!(outcome, Ok(()), "{action}");
        }
    }

    // What lacks an action of the policy cannot do what that is for, and everything else. A rotation looks at the key first.
    for (lacked, credentials) in &lacking {
        for (action, outcome) in everything(&credentials.settings(at()), &local) {
            let needs = action == *lacked
                || (action == "kms:RotateKeyOnDemand" && *lacked == "kms:DescribeKey");
            assert_eq!(
                matches!(outcome, Err(VaultError::Refused { .. })),
                needs,
                "{action} without {lacked}: {outcome:?}"
            );
            assert_eq!(outcome.is_ok(), !needs);
        }
    }

    let wrong = with(
        user.settings(at()),
        &[("LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY", "another/secret")],
    );
    let unknown = with(
        user.settings(at()),
        &[("LOCKGATE_VAULT_AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE")],
    );
    let other_token = with(
        session.settings(at()),
        &[("LOCKGATE_VAULT_AWS_SESSION_TOKEN", "another")],
    );
    for settings in [&wrong, &unknown, &other_token] {
        for (action, outcome) in everything(settings, &local) {
            let error = outcome.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                matches!(error, VaultError::Refused { .. }),
                "{action}: {text}"
            );
            for secret in [
                Some(&user.secret),
                Some(&session.secret),
                session.token.as_ref(),
            ] {
                assert!(!text.contains(secret.unwrap().as_str()), "{text}");
            }
        }
    }
}
