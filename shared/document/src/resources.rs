//! `resources`: roles, agents and gateways that the document declares.

use lockgate_access::Statement;
use lockgate_workspace::question::{Declared, Kind};
use lockgate_workspace::resource::{Agent, Gateway, ManagedBy, Role, Timestamp};
use lockgate_workspace::tags::{MAX_TAGS, RawTags, TagError, Tags};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fields::Spot;
use crate::options::{MAX_LIST, MAX_NAME, Seen, name};
use crate::problem::Problems;

/// What `lockgate_access` calls the list of statements.
const STATEMENTS: &str = "statements";
/// Roles of one agent.
const MAX_ROLES: usize = 50;

/// Reads `resources`. Ids and times are the applier's to give.
pub(crate) fn read(spot: &Spot<'_>, problems: &mut Problems) -> Declared {
    let [roles, agents, gateways] = spot.fields(problems, ["roles", "agents", "gateways"]);
    Declared {
        roles: each(roles, problems, role),
        agents: each(agents, problems, agent),
        gateways: each(gateways, problems, gateway),
    }
}

/// Reads a list of resources, whose names `read` notes.
fn each<T>(
    list: Option<Spot<'_>>,
    problems: &mut Problems,
    read: impl Fn(&Spot<'_>, &mut Seen, &mut Problems) -> T,
) -> Vec<T> {
    let Some(list) = list else {
        return Vec::new();
    };
    let mut seen = Seen::default();
    let items = list.items(problems, MAX_LIST);
    let read = |item| read(item, &mut seen, problems);
    items.iter().map(read).collect()
}

/// The name of a resource, once in its list; empty where it cannot be used, which is reported.
fn named(
    item: &Spot<'_>,
    field: Option<Spot<'_>>,
    kind: Kind,
    seen: &mut Seen,
    problems: &mut Problems,
) -> String {
    let Some(spot) = item.required(problems, field, "name") else {
        return String::new();
    };
    let Some(text) = name(&spot, problems, Some(kind)) else {
        return String::new();
    };
    seen.first(&spot, text, kind.word(), problems);
    text.to_owned()
}

fn role(item: &Spot<'_>, seen: &mut Seen, problems: &mut Problems) -> Role {
    let [name, list] = item.fields(problems, ["name", STATEMENTS]);
    let list = item.required(problems, list, STATEMENTS);
    Role {
        id: String::new(),
        name: named(item, name, Kind::Role, seen, problems),
        statements: list.map_or_else(Vec::new, |list| statements(&list, problems)),
        managed_by: ManagedBy::Declarative,
        created_at: Timestamp(0),
        revision: 1,
    }
}

fn agent(item: &Spot<'_>, seen: &mut Seen, problems: &mut Problems) -> Agent {
    let [name, tagged, roles] = item.fields(problems, ["name", "tags", "roles"]);
    let roles = roles.map_or_else(Vec::new, |list| {
        let roles = list.items(problems, MAX_ROLES);
        let roles = roles
            .iter()
            .filter_map(|role| role.text(problems, MAX_NAME));
        roles.map(str::to_owned).collect()
    });
    Agent {
        id: String::new(),
        name: named(item, name, Kind::Agent, seen, problems),
        tags: tagged.map_or_else(Tags::new, |spot| tags(&spot, problems)),
        roles,
        pins: Vec::new(),
        managed_by: ManagedBy::Declarative,
        created_at: Timestamp(0),
        revision: 1,
    }
}

fn gateway(item: &Spot<'_>, seen: &mut Seen, problems: &mut Problems) -> Gateway {
    let [name, tagged] = item.fields(problems, ["name", "tags"]);
    Gateway {
        id: String::new(),
        name: named(item, name, Kind::Gateway, seen, problems),
        tags: tagged.map_or_else(Tags::new, |spot| tags(&spot, problems)),
        managed_by: ManagedBy::Declarative,
        created_at: Timestamp(0),
        revision: 1,
    }
}

/// Statements are read where those of `/api/roles` are; what is wrong is found again by its path.
fn statements(spot: &Spot<'_>, problems: &mut Problems) -> Vec<Statement> {
    match lockgate_access::read(&spot.json().to_string()) {
        Ok(statements) => statements,
        Err(invalid) => {
            let below = invalid.path.strip_prefix(STATEMENTS).unwrap_or_default();
            let path = format!("{}{below}", spot.place);
            problems.error(spot.follow(below), path, invalid.problem);
            Vec::new()
        }
    }
}

/// Each tag is checked by itself, so that each mistake is told of where it is.
fn tags(spot: &Spot<'_>, problems: &mut Problems) -> Tags {
    let entries = spot.entries(problems);
    if entries.len() > MAX_TAGS {
        spot.error(problems, TagError::LimitExceeded(entries.len()).to_string());
    }
    let mut tags = Tags::new();
    for entry in entries {
        let pair = Map::from_iter([(entry.key_text().to_owned(), entry.json())]);
        match RawTags::deserialize(Value::Object(pair)).map(RawTags::check) {
            Ok(Ok(tag)) => tags.extend(tag),
            Ok(Err(error)) => {
                let hint = match error {
                    TagError::ValueInvalid(_) => "; put it in quotes",
                    _ => "",
                };
                entry.error(problems, format!("{error}{hint}"));
            }
            Err(error) => entry.error(problems, error.to_string()),
        }
    }
    tags
}
