//! What is wrong with settings is named.

use crate::common::{misconfigured, on_host, read};
use crate::settings;

const ADDRESS: &str = "https://vault.example:8200";

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (change, setting, found) in [
        (
            vec![("LOCKGATE_VAULT_ADDR", "")],
            "LOCKGATE_VAULT_ADDR",
            "not set",
        ),
        (
            vec![("LOCKGATE_VAULT_ADDR", "vault")],
            "LOCKGATE_VAULT_ADDR",
            "no address",
        ),
        (
            vec![("LOCKGATE_VAULT_ADDR", "http://vault.example")],
            "LOCKGATE_VAULT_ADDR",
            "LOCKGATE_HTTP_HOSTS",
        ),
        (
            vec![("LOCKGATE_VAULT_TRANSIT_KEY", "")],
            "LOCKGATE_VAULT_TRANSIT_KEY",
            "not set",
        ),
        (
            vec![("LOCKGATE_VAULT_TRANSIT_KEY", "a/b")],
            "LOCKGATE_VAULT_TRANSIT_KEY",
            "a/b",
        ),
        (
            vec![("LOCKGATE_VAULT_TRANSIT_KEY", "..")],
            "LOCKGATE_VAULT_TRANSIT_KEY",
            "“..”",
        ),
        (
            vec![("LOCKGATE_VAULT_TRANSIT_MOUNT", "../sys")],
            "LOCKGATE_VAULT_TRANSIT_MOUNT",
            "../sys",
        ),
        (
            vec![("LOCKGATE_VAULT_NAMESPACE", "a b")],
            "LOCKGATE_VAULT_NAMESPACE",
            "a b",
        ),
        (
            vec![("LOCKGATE_VAULT_TOKEN", "")],
            "LOCKGATE_VAULT_TOKEN",
            "LOCKGATE_VAULT_ROLE_ID",
        ),
        (
            vec![("LOCKGATE_VAULT_TOKEN", "s.secret token")],
            "LOCKGATE_VAULT_TOKEN",
            "one word",
        ),
        (
            vec![("LOCKGATE_VAULT_ROLE_ID", "r")],
            "LOCKGATE_VAULT_TOKEN",
            "not both",
        ),
        (
            vec![("LOCKGATE_VAULT_SECRET_ID", "s")],
            "LOCKGATE_VAULT_TOKEN",
            "not both",
        ),
        (
            vec![
                ("LOCKGATE_VAULT_TOKEN", ""),
                ("LOCKGATE_VAULT_ROLE_ID", "r"),
            ],
            "LOCKGATE_VAULT_SECRET_ID",
            "not set",
        ),
        (
            vec![
                ("LOCKGATE_VAULT_TOKEN", ""),
                ("LOCKGATE_VAULT_SECRET_ID", "s"),
            ],
            "LOCKGATE_VAULT_ROLE_ID",
            "not set",
        ),
        (
            vec![
                ("LOCKGATE_VAULT_TOKEN", ""),
                ("LOCKGATE_VAULT_ROLE_ID", "r"),
                ("LOCKGATE_VAULT_SECRET_ID", "s"),
                ("LOCKGATE_VAULT_APPROLE_MOUNT", "a?b"),
            ],
            "LOCKGATE_VAULT_APPROLE_MOUNT",
            "a?b",
        ),
    ] {
        let mut all = settings(ADDRESS);
        all.extend(change);
        let problem = misconfigured(&all);
        assert_eq!(problem.setting, setting, "{problem}");
        assert!(problem.problem.contains(found), "{problem}");
        let shown = format!("{problem} {problem:?}");
        assert!(
            !shown.contains("hvs.C") && !shown.contains("s.secret"),
            "{shown}"
        );
    }
}

#[test]
fn nobody_is_asked_when_settings_are_read() {
    // The address leads nowhere; a vault that is down does not keep the gateway from starting.
    on_host(&settings(ADDRESS), |host| async move {
        assert_eq!(read(&host).await.unwrap().adapter(), "vault-transit");
    });
}
