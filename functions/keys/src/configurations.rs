//! Configurations: draft, validate, diff, apply, history, rollback (FEATURES B6; docs/configurations.md).
//!
//! Documents are read here and nowhere else: the authority stores them as they are, beside the plan they come to.

use lockgate_document::{MAX_BYTES, Problem, Read, diff as difference, read};
use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::plan::Plan;
use lockgate_workspace::question::{Declared, Kind, Question, Reply, Resource};
use lockgate_workspace::resource::{
    Configuration, ConfigurationVersion, Draft, ManagedBy, Timestamp,
};
use lockgate_workspace::tags::{RawTags, Tags};
use lockgate_workspace::{AskError, new_id};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::body::{name, shortened};
use crate::resources::shown;
use crate::respond::{self, one_value, value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    document: String,
    #[serde(default)]
    tags: RawTags,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    tags: Option<RawTags>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    document: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apply {
    expected_version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    version: u64,
    expected_version: Option<u64>,
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, Kind::Configuration.prefix())?;
    short_enough(&body.document)?;
    let problems = read(&body.document).problems;
    let now = Timestamp(call.host.now_ms());
    let configuration = Configuration {
        id: new_id(call.host, Kind::Configuration.prefix()),
        name: body.name,
        tags: body.tags.check()?,
        version: 0,
        document: None,
        draft: Some(Draft {
            document: Some(body.document),
            based_on: 0,
            written_by: call.actor.id.clone(),
            written_at: now,
        }),
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: now,
        applied_at: None,
        revision: 1,
    };
    let made = call
        .ask(Question::CreateConfiguration(configuration))
        .await?;
    shown_with(201, made, "problems", &problems)
}

async fn change<H: Host>(
    call: &Call<'_, H>,
    id: &str,
    name: Option<String>,
    tags: Option<Tags>,
) -> Result<respond::Reply, Refusal> {
    let question = Question::PatchConfiguration {
        reference: id.into(),
        expect: call.expect,
        name,
        tags,
    };
    shown(200, call.ask(question).await?)
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, Kind::Configuration.prefix())?;
    }
    let tags = body.tags.map(RawTags::check).transpose()?;
    change(call, id, body.name, tags).await
}

pub(crate) async fn tags<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let tags = call.body.read::<RawTags>()?.check()?;
    change(call, id, None, Some(tags)).await
}

pub(crate) async fn validate<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Document = call.body.read()?;
    let read = read(&body.document);
    let valid = read.plan.is_some();
    Ok(value(
        200,
        json!({"valid": valid, "problems": read.problems}),
    ))
}

pub(crate) async fn put_draft<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Document = call.body.read()?;
    short_enough(&body.document)?;
    let problems = read(&body.document).problems;
    let question = Question::PutDraft {
        reference: id.into(),
        expect: call.expect,
        document: body.document,
    };
    shown_with(200, call.ask(question).await?, "problems", &problems)
}

pub(crate) async fn diff<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let found = find(call, id).await?;
    let live = found.document.as_deref().unwrap_or_default();
    let draft = draft(&found);
    let text = draft.map_or_else(String::new, |draft| {
        difference((&version_name(found.version), live), ("draft", draft))
    });
    let problems = draft.map_or_else(Vec::new, |draft| read(draft).problems);
    Ok(value(
        200,
        json!({
            "from_version": found.version,
            "changed": draft.is_some_and(|draft| draft != live),
            "diff": text,
            "problems": problems,
        }),
    ))
}

pub(crate) async fn apply<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Apply = call.body.read()?;
    let found = find(call, id).await?;
    let expected = body.expected_version;
    if found.version != expected || call.expect.is_some_and(|seen| seen != found.revision) {
        return Err(lost(call, expected, &found, draft(&found)).await);
    }
    let Some(document) = draft(&found) else {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("The configuration “{}” has no draft to apply.", found.name),
        )
        .remedy("Write one first: PUT /api/configurations/{id}/draft."));
    };
    go_live(call, &found, expected, document, None).await
}

pub(crate) async fn rollback<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Rollback = call.body.read()?;
    let found = find(call, id).await?;
    let wanted = version_of(call, &found.id, body.version).await?;
    let document = wanted.document.unwrap_or_default();
    let expected = body.expected_version.unwrap_or(found.version);
    if found.version != expected || call.expect.is_some_and(|seen| seen != found.revision) {
        return Err(lost(call, expected, &found, Some(&document)).await);
    }
    go_live(call, &found, expected, &document, Some(body.version)).await
}

pub(crate) async fn versions<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    let wanted = page.question();
    let question = Question::ListVersions {
        reference: id.into(),
        limit: wanted.limit,
        before: wanted.after.map(|(version, _)| version),
    };
    match call.ask(question).await? {
        Reply::Versions(versions) => Ok(page.reply(versions, |one| (one.version, ""))),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn version<H: Host>(
    call: &Call<'_, H>,
    id: &str,
    version: &str,
) -> Result<respond::Reply, Refusal> {
    let Ok(number) = version.parse() else {
        return Err(Refusal::new(
            Code::NOT_FOUND,
            format!("“{}” is not the number of a version.", shortened(version)),
        ));
    };
    Ok(respond::one(200, &version_of(call, id, number).await?))
}

/// Makes a document the live version of a configuration that is still as it was found.
async fn go_live<H: Host>(
    call: &Call<'_, H>,
    found: &Configuration,
    expected_version: u64,
    document: &str,
    restores: Option<u64>,
) -> Result<respond::Reply, Refusal> {
    let (plan, declared, warnings) = compile(call.host, document)?;
    let question = Question::ApplyConfiguration {
        id: found.id.clone(),
        expect: found.revision,
        expected_version,
        document: document.to_owned(),
        plan,
        declared,
        restores,
    };
    match call.ask(question).await {
        Ok(applied) => shown_with(200, applied, "warnings", &warnings),
        Err(refusal) if refusal.code == Code::STALE_ETAG => {
            let now = find(call, &found.id).await?;
            Err(lost(call, expected_version, &now, Some(document)).await)
        }
        Err(refusal) if refusal.code == Code::NOT_FOUND => {
            // While the configuration is there, it is a role that is not.
            find(call, &found.id).await?;
            Err(Refusal::new(Code::INVALID_REQUEST, refusal.message.clone()).remedy(
                "Declare the role under `resources.roles` of the document, or make it first: POST /api/roles.",
            ))
        }
        Err(refusal) => Err(refusal),
    }
}

/// What a document without errors comes to, with ids for what it declares; they count only where a name is new.
fn compile<H: Host>(host: &H, document: &str) -> Result<(Plan, Declared, Vec<Problem>), Refusal> {
    let Read {
        plan,
        mut declared,
        problems,
    } = read(document);
    let Some(plan) = plan else {
        let first = problems.first().map_or_else(String::new, |problem| {
            format!(
                " Line {}, column {}: {}.",
                problem.line, problem.column, problem.message
            )
        });
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("The document has errors and was not applied.{first}"),
        )
        .param("document")
        .remedy("Mend what `lockgate.problems` lists, and apply again.")
        .detail("problems", json!(problems)));
    };
    let now = Timestamp(host.now_ms());
    let id = |kind: Kind| new_id(host, kind.prefix());
    for role in &mut declared.roles {
        (role.id, role.created_at) = (id(Kind::Role), now);
    }
    for agent in &mut declared.agents {
        (agent.id, agent.created_at) = (id(Kind::Agent), now);
    }
    for gateway in &mut declared.gateways {
        (gateway.id, gateway.created_at) = (id(Kind::Gateway), now);
    }
    Ok((plan, declared, problems))
}

/// Somebody was faster: what has changed since the version that was expected, and what was to be applied beside what is
/// live now. Where the draft is gone nobody knows any more what was meant.
async fn lost<H: Host>(
    call: &Call<'_, H>,
    expected: u64,
    now: &Configuration,
    meant: Option<&str>,
) -> Refusal {
    let live = now.document.as_deref().unwrap_or_default();
    let live_name = version_name(now.version);
    let (seen_name, seen) = if expected == now.version {
        (live_name.clone(), live.to_owned())
    } else if expected == 0 {
        (version_name(0), String::new())
    } else if expected > now.version {
        (format!("no version {expected}"), String::new())
    } else {
        match version_of(call, &now.id, expected).await {
            Ok(seen) => (version_name(expected), seen.document.unwrap_or_default()),
            Err(refusal) => return refusal,
        }
    };
    let diff = difference((&seen_name, &seen), (&live_name, live));
    let draft_diff = meant.map_or_else(String::new, |meant| {
        difference((&live_name, live), ("what you meant to apply", meant))
    });
    let message = if now.version == expected {
        format!(
            "The configuration “{}” has changed since you read it; version {expected} is still live.",
            now.name
        )
    } else {
        format!(
            "Version {} of the configuration “{}” is live, not {expected}.",
            now.version, now.name
        )
    };
    Refusal::new(Code::STALE_ETAG, message)
        .remedy(format!(
            "`lockgate.diff` shows what has gone live since, `lockgate.draft_diff` what you would change now; to go on, write \
             your draft anew if it is gone, and repeat the call with \"expected_version\": {}.",
            now.version
        ))
        .detail("diff", diff.into())
        .detail("draft_diff", draft_diff.into())
        .detail("expected_version", expected.into())
        .detail("live_version", now.version.into())
}

fn version_name(version: u64) -> String {
    match version {
        0 => "nothing live".into(),
        version => format!("version {version}"),
    }
}

fn draft(found: &Configuration) -> Option<&str> {
    found.draft.as_ref()?.document.as_deref()
}

/// That a document is not longer than one may be.
fn short_enough(document: &str) -> Result<(), Refusal> {
    if document.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(Refusal::new(
        Code::REQUEST_TOO_LARGE,
        format!(
            "The document has {} bytes; at most {MAX_BYTES} are read.",
            document.len()
        ),
    )
    .param("document")
    .remedy("Split it into several configurations."))
}

async fn find<H: Host>(call: &Call<'_, H>, reference: &str) -> Result<Configuration, Refusal> {
    let question = Question::Get(Kind::Configuration, reference.into());
    match call.ask(question).await? {
        Reply::Resource(resource) => match *resource {
            Resource::Configuration(found) => Ok(found),
            _ => Err(AskError::Mismatch.into()),
        },
        _ => Err(AskError::Mismatch.into()),
    }
}

async fn version_of<H: Host>(
    call: &Call<'_, H>,
    reference: &str,
    version: u64,
) -> Result<ConfigurationVersion, Refusal> {
    let question = Question::GetVersion {
        reference: reference.into(),
        version,
    };
    match call.ask(question).await? {
        Reply::Version(version) => Ok(*version),
        _ => Err(AskError::Mismatch.into()),
    }
}

/// The answer that shows a configuration, and problems under a name beside it.
fn shown_with(
    status: u16,
    reply: Reply,
    name: &str,
    problems: &[Problem],
) -> Result<respond::Reply, Refusal> {
    let Reply::Resource(resource) = reply else {
        return Err(AskError::Mismatch.into());
    };
    let mut shown: Value = resource.value();
    if let Value::Object(fields) = &mut shown {
        fields.insert(name.to_owned(), json!(problems));
    }
    Ok(one_value(status, shown))
}
