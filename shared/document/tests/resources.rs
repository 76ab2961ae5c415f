//! Roles, agents and gateways that a document declares.
#![allow(clippy::unwrap_used)]

#[path = "support/problems.rs"]
mod problems;

use lockgate_document::read;
use problems::problems;

#[test]
fn resources_are_declared() {
    let text = "\
resources:
  roles:
    - name: dev
      statements:
        - { effect: allow, actions: [\"provider-key:use\"], resources: [\"openai/*\"], conditions: [{ tags_match: [environment] }] }
  agents:
    - { name: bot, tags: { environment: production }, roles: [dev, other] }
  gateways:
    - { name: web, tags: { environment: production } }
";
    let read = read(text);
    assert_eq!(read.problems, []);
    let declared = read.declared;
    assert_eq!(declared.roles[0].statements[0].resources, ["openai/*"]);
    assert_eq!(declared.agents[0].roles, ["dev", "other"]);
    assert_eq!(declared.agents[0].tags["environment"], "production");
    assert_eq!(declared.gateways[0].name, "web");
}

#[test]
fn resources_are_checked_like_those_of_the_management_plane() {
    let text = "\
resources:
  roles:
    - name: dev
      statements:
        - { effect: allow, actions: [\"provider-key:use\"], resources: [\"openai/*\"] }
        - effect: deny
          actions: [Use]
          resources: [\"*\"]
    - { name: dev }
    - { name: role_aaaaaaaaaaaaaaaa, statements: [] }
  agents:
    - name: bot
      tags:
        environment: 1
        lockgate:x: y
        \"\": z
      roles: [[]]
  gateways:
    - { tags: [] }
";
    let found = problems(text);
    let places: Vec<_> = found
        .iter()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "7:21 resources.roles[0].statements[1].actions[0]",
            "9:7 resources.roles[1]",
            "9:15 resources.roles[1].name",
            "10:15 resources.roles[2].name",
            "14:22 resources.agents[0].tags.environment",
            "15:21 resources.agents[0].tags[\"lockgate:x\"]",
            "16:13 resources.agents[0].tags[\"\"]",
            "17:15 resources.agents[0].roles[0]",
            "19:7 resources.gateways[0]",
            "19:15 resources.gateways[0].tags",
        ],
        "{found:#?}"
    );
    assert!(found[4].ends_with("the value of tag “environment” is not a string; put it in quotes"));
    let many: String = (0..51).map(|n| format!("k{n}: v, ")).collect();
    let found = problems(&format!(
        "resources: {{ agents: [{{ name: a, tags: {{ {many} }} }}] }}"
    ));
    assert!(
        found[0].ends_with("51 tags; a resource has at most 50"),
        "{found:?}"
    );
}

#[test]
fn a_name_is_not_an_id() {
    // Elsewhere the same text is a name like any other.
    assert!(
        read("{providers: {targets: [{id: role_aaaaaaaaaaaaaaaa, provider: openai, model: m}]}}")
            .plan
            .is_some()
    );
}
