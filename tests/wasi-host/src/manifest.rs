//! Reads `spin.toml` (manifest version 2) as Spin does: HTTP triggers, components, application variables and the
//! `{{ variable }}` templates in component variables and allowed hosts. Only what the project's manifest uses is
//! understood; anything else that would change behaviour is refused rather than ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The prefix of the environment variables that set application variables, as Spin's own provider has it.
pub const VARIABLE_PREFIX: &str = "SPIN_VARIABLE_";

/// A manifest with all templates resolved.
#[derive(Debug)]
pub struct Manifest {
    /// Routes in the order they are tried: longest first, exact before wildcard.
    pub routes: Vec<Route>,
    /// Components by id.
    pub components: BTreeMap<String, Component>,
}

/// One `[[trigger.http]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The path without the trailing `/...`; no trailing slash, so `""` is the root.
    pub path: String,
    /// Whether everything below the path belongs to the route too.
    pub wildcard: bool,
    /// The component that serves it.
    pub component: String,
}

impl Route {
    fn parse(route: &str, component: &str) -> Result<Self> {
        ensure!(
            route.starts_with('/'),
            "route {route:?} must start with a slash"
        );
        ensure!(
            !route.contains("/:"),
            "route {route:?}: named wildcards are not supported here"
        );
        let (path, wildcard) = match route.strip_suffix("/...") {
            Some(path) => (path, true),
            None => (route.trim_end_matches('/'), false),
        };
        ensure!(
            !path.contains("..."),
            "route {route:?}: `...` is only allowed at the end"
        );
        Ok(Self {
            path: path.to_owned(),
            wildcard,
            component: component.to_owned(),
        })
    }

    /// The part of `path` after the route's own, if the route serves it.
    #[must_use]
    pub fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path.as_str())?;
        let served = match self.wildcard {
            true => rest.is_empty() || rest.starts_with('/'),
            false => rest.is_empty() || rest == "/",
        };
        served.then_some(rest)
    }

    /// The route as the manifest spells it.
    #[must_use]
    pub fn raw(&self) -> String {
        match (self.wildcard, self.path.is_empty()) {
            (true, _) => format!("{}/...", self.path),
            (false, true) => "/".to_owned(),
            (false, false) => self.path.clone(),
        }
    }
}

/// One `[component.<id>]`, templates resolved.
#[derive(Debug)]
pub struct Component {
    /// The wasm file, absolute or relative to the working directory.
    pub source: PathBuf,
    /// Entries of `allowed_outbound_hosts`.
    pub allowed_outbound_hosts: Vec<String>,
    /// Labels of the key-value stores the component may open.
    pub key_value_stores: Vec<String>,
    /// Names of the SQLite databases the component may open.
    pub sqlite_databases: Vec<String>,
    /// The component's variables. May hold secrets: never printed.
    pub variables: Variables,
    /// The component's environment.
    pub environment: BTreeMap<String, String>,
}

/// Resolved variables; `Debug` shows the names only.
#[derive(Default, Clone)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Deserialize)]
struct RawManifest {
    spin_manifest_version: u32,
    #[serde(default)]
    variables: BTreeMap<String, RawVariable>,
    trigger: RawTriggers,
    component: BTreeMap<String, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariable {
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "Spin only uses it to keep the value out of its logs, and this host logs none"
    )]
    secret: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "documentation in the manifest")]
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTriggers {
    http: Vec<RawTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    #[serde(default)]
    #[expect(dead_code, reason = "only names the trigger")]
    id: Option<String>,
    route: String,
    component: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    source: PathBuf,
    #[serde(default)]
    #[expect(dead_code, reason = "documentation in the manifest")]
    description: Option<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    #[expect(dead_code, reason = "for `spin build`")]
    build: Option<toml::Table>,
}

impl Manifest {
    /// Reads and resolves the manifest at `path`; `env` answers for environment variables by their full name.
    ///
    /// # Errors
    /// When the file cannot be read, is not a manifest of version 2, uses what this host does not support, or a
    /// required variable has no value.
    pub fn load(path: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&text, folder, env).with_context(|| format!("in {}", path.display()))
    }

    /// Like [`Manifest::load`], from text; `source` paths are relative to `folder`.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(text: &str, folder: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let raw: RawManifest = toml::from_str(text)?;
        ensure!(
            raw.spin_manifest_version == 2,
            "spin_manifest_version {} is not supported, 2 is",
            raw.spin_manifest_version
        );
        let values = variable_values(raw.variables, env)?;

        let mut components = BTreeMap::new();
        for (id, component) in raw.component {
            let resolved = Component::resolve(component, folder, &values)
                .with_context(|| format!("in component {id:?}"))?;
            components.insert(id, resolved);
        }

        let mut routes = Vec::with_capacity(raw.trigger.http.len());
        for trigger in raw.trigger.http {
            ensure!(
                components.contains_key(&trigger.component),
                "route {:?} names the unknown component {:?}",
                trigger.route,
                trigger.component
            );
            routes.push(Route::parse(&trigger.route, &trigger.component)?);
        }
        routes.sort_by_key(|route| (std::cmp::Reverse(route.path.len()), route.wildcard));
        Ok(Self { routes, components })
    }

    /// The route for a request path and the path's rest after it.
    #[must_use]
    pub fn route<'p>(&self, path: &'p str) -> Option<(&Route, &'p str)> {
        self.routes
            .iter()
            .find_map(|route| Some((route, route.matches(path)?)))
    }
}

impl Component {
    fn resolve(raw: RawComponent, folder: &Path, values: &Variables) -> Result<Self> {
        let mut variables = BTreeMap::new();
        for (name, template) in raw.variables {
            let value =
                expand(&template, values).with_context(|| format!("in variable {name:?}"))?;
            variables.insert(name, value);
        }
        Ok(Self {
            source: folder.join(raw.source),
            allowed_outbound_hosts: raw
                .allowed_outbound_hosts
                .iter()
                .map(|host| expand(host, values))
                .collect::<Result<_>>()?,
            key_value_stores: raw.key_value_stores,
            sqlite_databases: raw.sqlite_databases,
            variables: Variables(variables),
            environment: raw.environment,
        })
    }
}

fn variable_values(
    declared: BTreeMap<String, RawVariable>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Variables> {
    let mut values = BTreeMap::new();
    for (name, variable) in declared {
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        ensure!(valid, "variable name {name:?} must be lower snake case");
        ensure!(
            variable.required != variable.default.is_some(),
            "variable {name:?} needs either a default or `required = true`"
        );
        let from_env = env(&format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase()));
        match from_env.or(variable.default) {
            Some(value) => values.insert(name, value),
            None => {
                bail!(
                    "variable {name:?} is required: set {VARIABLE_PREFIX}{}",
                    name.to_ascii_uppercase()
                )
            }
        };
    }
    Ok(Variables(values))
}

/// Replaces every `{{ name }}` in `template`.
fn expand(template: &str, values: &Variables) -> Result<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once("{{") {
        let (name, tail) = after
            .split_once("}}")
            .with_context(|| format!("unclosed `{{{{` in {template:?}"))?;
        let name = name.trim();
        let value = values
            .get(name)
            .with_context(|| format!("no variable {name:?} is declared"))?;
        out.push_str(literal);
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const TEXT: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "t"
        [variables]
        outbound = { default = "http://127.0.0.1:*" }
        token = { default = "", secret = true }
        [[trigger.http]]
        route = "/v1/..."
        component = "a"
        [[trigger.http]]
        route = "/v1/exact"
        component = "b"
        [component.a]
        source = "a.wasm"
        allowed_outbound_hosts = ["https://*:*", "{{ outbound }}"]
        [component.a.variables]
        token = "<{{ token }}>"
        [component.b]
        source = "b.wasm"
    "#;

    fn parse(env: impl Fn(&str) -> Option<String>) -> Manifest {
        Manifest::parse(TEXT, Path::new("/app"), env).unwrap()
    }

    #[test]
    fn templates_take_the_environment_over_the_default() {
        let manifest = parse(|name| (name == "SPIN_VARIABLE_TOKEN").then(|| "secret".to_owned()));
        let a = &manifest.components["a"];
        assert_eq!(a.variables.get("token"), Some("<secret>"));
        assert_eq!(
            a.allowed_outbound_hosts,
            ["https://*:*", "http://127.0.0.1:*"]
        );
        assert_eq!(a.source, Path::new("/app/a.wasm"));
        assert!(!format!("{manifest:?}").contains("secret"));
    }

    #[test]
    fn the_longest_route_wins_and_a_wildcard_serves_its_own_root() {
        let manifest = parse(|_| None);
        let component = |path| {
            manifest
                .route(path)
                .map(|(route, rest)| (route.component.as_str(), rest))
        };
        assert_eq!(component("/v1/chat"), Some(("a", "/chat")));
        assert_eq!(component("/v1"), Some(("a", "")));
        assert_eq!(component("/v1x"), None);
        assert_eq!(component("/v1/exact"), Some(("b", "")));
        assert_eq!(component("/v1/exact/more"), Some(("a", "/exact/more")));
        assert_eq!(component("/"), None);
    }

    #[test]
    fn mistakes_are_named() {
        let with = |from: &str, to: &str| {
            let error =
                Manifest::parse(&TEXT.replace(from, to), Path::new(""), |_| None).unwrap_err();
            format!("{error:#}")
        };
        assert!(with("{{ token }}", "{{ tokens }}").contains("tokens"));
        assert!(
            with(r#"default = "", secret"#, "required = true, secret")
                .contains("SPIN_VARIABLE_TOKEN")
        );
        assert!(with("component = \"b\"", "component = \"c\"").contains("\"c\""));
        assert!(with("version = 2", "version = 1").contains("spin_manifest_version"));
    }
}
