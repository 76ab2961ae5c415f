//! `GET /api/usage`: what requests used and cost, summed up (FEATURES F6).

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply, UsageGroup, UsageQuery};
use serde_json::json;

use crate::body::shortened;
use crate::respond::{self, only, value};
use crate::{Call, requests};

/// What the sums can be grouped by.
const GROUPS: &[(&str, UsageGroup)] = &[
    ("day", UsageGroup::Day),
    ("gateway_key", UsageGroup::GatewayKey),
    ("agent", UsageGroup::Agent),
    ("team", UsageGroup::Team),
    ("route", UsageGroup::Route),
    ("provider", UsageGroup::Provider),
    ("provider_key", UsageGroup::ProviderKey),
    ("model", UsageGroup::Model),
    ("credential", UsageGroup::Credential),
];
/// What may stand in the query. The sums do not know statuses, only errors.
const KNOWN: &[&str] = &[
    "group_by",
    "gateway_key",
    "agent",
    "team",
    "route",
    "provider",
    "model",
    "credential",
    "since",
    "until",
];
/// Lines of an answer, which is not paged: sums that are cut off would be wrong without a sign of it.
const MAX_LINES: u32 = 10_000;

pub(crate) async fn sums<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let question = Question::Usage(query(call.query)?);
    let Reply::Usage(rows) = call.ask(question).await? else {
        return Err(AskError::Mismatch.into());
    };
    if rows.len() > MAX_LINES as usize {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("This would be more than {MAX_LINES} lines."),
        )
        .param("group_by")
        .remedy("Group by less, or ask for a shorter time with `since` and `until`."));
    }
    Ok(value(200, json!({"items": rows, "next_cursor": null})))
}

fn query(text: Option<&str>) -> Result<UsageQuery, Refusal> {
    only(text, KNOWN)?;
    let mut query = UsageQuery {
        filter: requests::filter(text)?,
        limit: MAX_LINES + 1,
        ..UsageQuery::default()
    };
    for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        match &*name {
            "group_by" => query.group_by = groups(&value)?,
            "team" => query.team = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(query)
}

fn groups(text: &str) -> Result<Vec<UsageGroup>, Refusal> {
    let mut groups = Vec::new();
    for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let wrong = |message: String| {
            let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
            Err(Refusal::new(Code::INVALID_REQUEST, message)
                .param("group_by")
                .remedy(format!("Usage is grouped by: {}.", known.join(", "))))
        };
        match GROUPS.iter().find(|(known, _)| *known == name) {
            None => {
                return wrong(format!("Usage cannot be grouped by `{}`.", shortened(name)));
            }
            Some((_, group)) if groups.contains(group) => {
                return wrong(format!("`{name}` stands twice in `group_by`."));
            }
            Some((_, group)) => groups.push(*group),
        }
    }
    Ok(groups)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_to_sum_up() {
        let all = query(None).unwrap();
        assert!(all.group_by.is_empty() && all.team.is_none());
        assert_eq!(all.filter, Default::default());
        let asked = query(Some(
            "group_by=day,%20provider&team=red&agent=a&since=2027-01-31T00:00:00Z",
        ))
        .unwrap();
        assert_eq!(asked.group_by, [UsageGroup::Day, UsageGroup::Provider]);
        assert_eq!(asked.team.as_deref(), Some("red"));
        assert_eq!(asked.filter.agent.as_deref(), Some("a"));
        assert!(asked.filter.since.is_some());
        assert!(query(Some("group_by=")).unwrap().group_by.is_empty());
    }

    #[test]
    fn what_there_is_not_is_named() {
        let refusal = query(Some("group_by=day,month")).unwrap_err();
        assert!(refusal.message.contains("`month`"), "{}", refusal.message);
        assert!(refusal.remedy.contains("day, gateway_key, agent"));
        assert!(query(Some("group_by=day,day")).is_err());
        assert!(query(Some("since=yesterday")).is_err());
        for unknown in ["status=200", "limit=1", "key=x"] {
            let refusal = query(Some(unknown)).unwrap_err();
            assert_eq!(refusal.code, Code::UNKNOWN_FIELD, "{unknown}");
        }
    }

    /// Every group has a name, which is the one that stands in the answer.
    #[test]
    fn groups_are_called_as_they_are_shown() {
        for (name, group) in GROUPS {
            assert_eq!(serde_json::to_value(group).unwrap(), *name);
        }
    }
}
