//! Configurations: draft, validate, diff, apply, history, rollback (FEATURES B6).

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};

use crate::Call;
use crate::respond;

fn not_yet<H: Host>(_: &Call<'_, H>) -> Refusal {
    Refusal::new(Code::UNSUPPORTED_FEATURE, "Not here yet.")
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    Err(not_yet(call))
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn tags<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn validate<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    Err(not_yet(call))
}

pub(crate) async fn put_draft<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn diff<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn apply<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn versions<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn rollback<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}

pub(crate) async fn version<H: Host>(
    call: &Call<'_, H>,
    id: &str,
    version: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = (id, version);
    Err(not_yet(call))
}
