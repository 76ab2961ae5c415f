//! Logging in: once, again when the token ends, and not at all with the wrong credentials.

use mock_vault::Fault;
use mock_vault::azure::CLIENT_SECRET;

use super::common::{BINDING, SECRET, opened, with_vaults};
use super::{assert_refused, assert_unavailable, borrowed, on, sealed, started, with};

#[test]
fn a_token_is_used_until_shortly_before_its_end() {
    let (azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            for _ in 0..3 {
                vaults.current(&host).await.unwrap();
            }
            assert_eq!(server.calls("/oauth2/"), 1);
            // One that has ended when it comes is used for the call that it was got for, and no other.
            azure.end_tokens();
            azure.expires_in(0);
            for logins in 2..5 {
                vaults.current(&host).await.unwrap();
                assert_eq!(server.calls("/oauth2/"), logins);
            }
        }
    });
}

#[test]
fn a_token_that_is_no_longer_good_is_got_anew_once() {
    let (azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            azure.end_tokens();
            server.clear();
            assert_eq!(
                opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
                SECRET
            );
            assert_eq!(server.calls("/oauth2/"), 1);
            assert_eq!(server.calls("/unwrapkey"), 2);
            // Two at once do not get in each other's way.
            azure.end_tokens();
            let (one, other) = tokio::join!(
                opened(&host, &vaults, &BINDING, &stored),
                opened(&host, &vaults, &BINDING, &stored)
            );
            assert_eq!(
                (one.unwrap(), other.unwrap()),
                (SECRET.into(), SECRET.into())
            );
        }
    });
}

#[test]
fn a_vault_that_takes_no_token_is_asked_once_more_and_refused() {
    let (azure, server) = started();
    let answer = r#"{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer."}}"#;
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            vaults.current(&host).await.unwrap();
            server.fail(Fault::Says(401, answer.into()));
            server.clear();
            // The login fails with it here, which is one of the ways.
            let error = vaults.current(&host).await.unwrap_err();
            assert_unavailable(error, server, "the login");
            assert_eq!(server.asked().len(), 2);
            server.fail(Fault::None);
            azure.refuse_tokens(true);
            server.clear();
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["Unauthorized", "tenant"]);
            assert_eq!(server.asked().len(), 2);
            azure.refuse_tokens(false);
            vaults.current(&host).await.unwrap();
        }
    });
}

#[test]
fn wrong_credentials_are_refused_with_what_to_mend() {
    for (setting, value, words) in [
        (
            "LOCKGATE_VAULT_AZURE_CLIENT_SECRET",
            "another~secret",
            ["invalid_client", "AADSTS7000215"],
        ),
        (
            "LOCKGATE_VAULT_AZURE_CLIENT_ID",
            "another",
            ["unauthorized_client", "AADSTS700016"],
        ),
        (
            "LOCKGATE_VAULT_AZURE_TENANT_ID",
            "another.example",
            ["invalid_request", "AADSTS90002"],
        ),
    ] {
        let (_azure, server) = started();
        let settings = with(&server, setting, value);
        with_vaults(&borrowed(&settings), |host, vaults| {
            let server = &server;
            async move {
                let error = vaults.current(&host).await.unwrap_err();
                assert!(!error.to_string().contains("another~secret"));
                assert_refused(error, server, &words);
                let error = vaults.current(&host).await.unwrap_err();
                assert_refused(error, server, &[setting]);
                // Never was the vault asked without a token.
                assert_eq!(server.asked().len(), server.calls("/oauth2/"));
            }
        });
    }
}

#[test]
fn a_login_that_repeats_the_secret_is_not_shown() {
    let (azure, server) = started();
    let words = Box::leak(format!("AADSTS7000215: {CLIENT_SECRET} is wrong").into_boxed_str());
    azure.refuse_login(Some((401, "invalid_client", words)));
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["invalid_client"]);
        }
    });
}

#[test]
fn a_login_that_does_not_work_now_is_an_outage() {
    for (status, error) in [
        (400, "temporarily_unavailable"),
        (429, "invalid_request"),
        (503, "temporarily_unavailable"),
    ] {
        let (azure, server) = started();
        azure.refuse_login(Some((status, error, "AADSTS90033: try again")));
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "AADSTS90033");
                assert_eq!(server.calls("/oauth2/"), 3);
            }
        });
    }
    let answers = [
        "",
        "{}",
        r#"{"token_type":"Bearer","expires_in":3599}"#,
        r#"{"token_type":"pop","expires_in":3599,"access_token":"t"}"#,
        r#"{"token_type":"Bearer","expires_in":"soon","access_token":"t"}"#,
    ];
    for answer in answers {
        let (_azure, server) = started();
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                server.fail(Fault::Says(200, answer.into()));
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "the login makes no sense");
            }
        });
    }
}

/// Something in between that shows the request it could not pass on.
#[test]
fn an_outage_that_repeats_the_request_is_not_shown() {
    let (_azure, server) = started();
    let form: String = form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            server.fail(Fault::Says(
                502,
                format!("cannot send client_secret={form}"),
            ));
            let error = vaults.current(&host).await.unwrap_err();
            assert!(!error.to_string().contains(&form[..8]), "{error}");
            assert_unavailable(error, server, "502: (left out");
        }
    });
}
