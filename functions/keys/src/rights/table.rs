//! What each call needs: one line for each of the dispatch.

use lockgate_workspace::resource::AdminRole::{self, Admin, Member, Owner, Viewer};

use Needs::{Everywhere, Made, Role};

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// This role, in the workspace that is picked.
    Role(AdminRole),
    /// A member for what the token made itself, an admin for what others made.
    Made,
    /// This role, of a token for all workspaces.
    Everywhere(AdminRole),
}

impl Needs {
    /// The least role that may.
    pub(crate) fn least(self) -> AdminRole {
        match self {
            Role(role) | Everywhere(role) => role,
            Made => Member,
        }
    }
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    /// Below `/api`; `{}` stands for any one segment.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
}

impl Rule {
    /// The path as people write it.
    pub(crate) fn shown(&self) -> String {
        format!("/api{}", self.path.replace("{}", "{id}"))
    }

    fn covers(&self, method: &str, segments: &[String]) -> bool {
        let wanted: Vec<&str> = self.path.split('/').skip(1).collect();
        self.method == method
            && wanted.len() == segments.len()
            && wanted
                .iter()
                .zip(segments)
                .all(|(w, s)| *w == "{}" || w == s)
    }
}

const fn to(method: &'static str, path: &'static str, needs: Needs) -> Rule {
    Rule {
        method,
        path,
        needs,
    }
}

/// The line for a call; `None` where there is no such call, which is then nobody's to make.
pub(crate) fn rule(method: &str, segments: &[String]) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.covers(method, segments))
}

const RULES: &[Rule] = &[
    to("GET", "/workspaces", Role(Viewer)),
    to("POST", "/workspaces", Everywhere(Owner)),
    to("GET", "/workspaces/{}", Role(Viewer)),
    to("PATCH", "/workspaces/{}", Role(Admin)),
    to("DELETE", "/workspaces/{}", Everywhere(Owner)),
    // Of which role depends on the caller's (`Actor::may_grant`).
    to("POST", "/admin-tokens", Role(Admin)),
    to("GET", "/admin-tokens", Role(Viewer)),
    to("GET", "/admin-tokens/{}", Role(Viewer)),
    to("DELETE", "/admin-tokens/{}", Role(Admin)),
    //
    to("GET", "/providers", Role(Viewer)),
    to("DELETE", "/providers/{}/seed", Role(Admin)),
    //
    to("GET", "/provider-keys", Role(Viewer)),
    to("POST", "/provider-keys", Role(Admin)),
    to("GET", "/provider-keys/{}", Role(Viewer)),
    to("PATCH", "/provider-keys/{}", Role(Admin)),
    to("DELETE", "/provider-keys/{}", Role(Admin)),
    to("PUT", "/provider-keys/{}/secret", Role(Admin)),
    to("PUT", "/provider-keys/{}/tags", Role(Admin)),
    to("POST", "/provider-keys/{}/check", Role(Admin)),
    //
    to("GET", "/gateway-keys", Role(Viewer)),
    to("POST", "/gateway-keys", Role(Member)),
    to("GET", "/gateway-keys/{}", Role(Viewer)),
    to("PATCH", "/gateway-keys/{}", Made),
    to("DELETE", "/gateway-keys/{}", Made),
    //
    to("GET", "/roles", Role(Viewer)),
    to("POST", "/roles", Role(Admin)),
    to("GET", "/roles/{}", Role(Viewer)),
    to("PATCH", "/roles/{}", Role(Admin)),
    to("DELETE", "/roles/{}", Role(Admin)),
    //
    to("GET", "/agents", Role(Viewer)),
    to("POST", "/agents", Role(Admin)),
    to("GET", "/agents/{}", Role(Viewer)),
    to("PATCH", "/agents/{}", Role(Admin)),
    to("DELETE", "/agents/{}", Role(Admin)),
    to("PUT", "/agents/{}/tags", Role(Admin)),
    to("POST", "/agents/{}/simulate", Role(Viewer)),
    //
    to("GET", "/gateways", Role(Viewer)),
    to("POST", "/gateways", Role(Admin)),
    to("GET", "/gateways/{}", Role(Viewer)),
    to("PATCH", "/gateways/{}", Role(Admin)),
    to("DELETE", "/gateways/{}", Role(Admin)),
    to("PUT", "/gateways/{}/tags", Role(Admin)),
    //
    to("GET", "/configurations", Role(Viewer)),
    to("POST", "/configurations", Role(Admin)),
    to("POST", "/configurations/validate", Role(Viewer)),
    to("GET", "/configurations/{}", Role(Viewer)),
    to("PATCH", "/configurations/{}", Role(Admin)),
    to("DELETE", "/configurations/{}", Role(Admin)),
    to("PUT", "/configurations/{}/tags", Role(Admin)),
    to("PUT", "/configurations/{}/draft", Role(Admin)),
    to("GET", "/configurations/{}/diff", Role(Viewer)),
    to("POST", "/configurations/{}/apply", Role(Admin)),
    to("GET", "/configurations/{}/versions", Role(Viewer)),
    to("GET", "/configurations/{}/versions/{}", Role(Viewer)),
    to("POST", "/configurations/{}/rollback", Role(Admin)),
    //
    to("GET", "/audit", Role(Viewer)),
    to("GET", "/audit/verify", Role(Viewer)),
    to("GET", "/requests", Role(Viewer)),
    to("GET", "/usage", Role(Viewer)),
    //
    to("GET", "/prices", Role(Viewer)),
    to("PUT", "/prices/{}/{}", Role(Admin)),
    to("DELETE", "/prices/{}/{}", Role(Admin)),
    //
    to("GET", "/wallet", Role(Viewer)),
    to("GET", "/wallet/ledger", Role(Viewer)),
    // It is the platform's money: no workspace gives itself any.
    to("POST", "/wallet/credit", Everywhere(Admin)),
    //
    // A KEK is the installation's.
    to("GET", "/vault", Everywhere(Viewer)),
    to("POST", "/vault/rewrap", Everywhere(Admin)),
    to("POST", "/vault/rotate", Everywhere(Owner)),
    //
    to("POST", "/tick", Everywhere(Admin)),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The calls of the dispatch, read from its text as `GET /roles/{}`.
    fn dispatched() -> BTreeSet<String> {
        let source = include_str!("../lib.rs");
        let (_, body) = source.split_once("async fn dispatch").unwrap();
        let (body, _) = body.split_once("_ => Err(missing").unwrap();
        let mut calls = BTreeSet::new();
        for arm in body.split("(\"").skip(1) {
            let (method, rest) = arm.split_once("\", [").unwrap();
            let (segments, _) = rest.split_once("])").unwrap();
            let path: String = segments
                .split(',')
                .map(|segment| match segment.trim().strip_prefix('"') {
                    Some(literal) => format!("/{}", literal.trim_end_matches('"')),
                    None => "/{}".to_owned(),
                })
                .collect();
            calls.insert(format!("{method} {path}"));
        }
        calls
    }

    #[test]
    fn every_call_of_the_dispatch_has_its_line_and_no_other() {
        let ruled: Vec<String> = RULES
            .iter()
            .map(|rule| format!("{} {}", rule.method, rule.path))
            .collect();
        let once: BTreeSet<String> = ruled.iter().cloned().collect();
        assert_eq!(once.len(), ruled.len(), "a line stands twice");
        assert_eq!(once, dispatched());
        assert!(once.contains("PUT /provider-keys/{}/secret"));
    }

    #[test]
    fn a_line_is_found_by_its_call_and_by_no_other() {
        let find = |method: &str, path: &str| {
            let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
            rule(method, &segments)
        };
        for line in RULES {
            assert_eq!(find(line.method, &line.path.replace("{}", "x")), Some(line));
        }
        let literal = find("GET", "/audit/verify").unwrap();
        assert_eq!(literal.path, "/audit/verify");
        for (method, path) in [
            ("TRACE", "/roles"),
            ("GET", "/roles/a/b"),
            ("GET", "/"),
            ("POST", "/audit"),
            ("PATCH", "/admin-tokens/at_1"),
        ] {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }

    /// Nobody below an admin writes anything but gateway keys.
    #[test]
    fn viewers_only_read_and_members_only_make_gateway_keys() {
        for line in RULES {
            let reads = line.method == "GET"
                || line.path.ends_with("/simulate")
                || line.path.ends_with("/validate");
            assert_eq!(line.needs.least() == Viewer, reads, "{line:?}");
            let keys = line.path.starts_with("/gateway-keys") && !reads;
            assert_eq!(line.needs.least() == Member, keys, "{line:?}");
        }
    }
}
