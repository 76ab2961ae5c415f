//! Roles: statements under a name.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::new_id;
use lockgate_workspace::question::{Kind, Question};
use lockgate_workspace::resource::{ManagedBy, Role, Statement, Timestamp, read_statements};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Call;
use crate::body::name;
use crate::resources::shown;
use crate::respond;

/// Statements stay text here: their own reader sees keys that stand twice, and says where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    statements: Box<RawValue>,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    statements: Option<Box<RawValue>>,
    managed_by: Option<ManagedBy>,
}

fn statements(json: &RawValue) -> Result<Vec<Statement>, Refusal> {
    read_statements(json.get()).map_err(|invalid| {
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("In {}: {}.", invalid.path, invalid.problem),
        )
        .param(invalid.path)
    })
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, Kind::Role.prefix())?;
    let role = Role {
        id: new_id(call.host, Kind::Role.prefix()),
        name: body.name,
        statements: statements(&body.statements)?,
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    shown(201, call.ask(Question::CreateRole(role)).await?)
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, Kind::Role.prefix())?;
    }
    let question = Question::PatchRole {
        reference: id.into(),
        expect: call.expect,
        name: body.name,
        statements: body.statements.as_deref().map(statements).transpose()?,
        managed_by: body.managed_by,
    };
    shown(200, call.ask(question).await?)
}
