//! `POST /api/agents/{id}/simulate`: what a request would be answered, without sending anything (FEATURES B4).

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};

use crate::Call;
use crate::respond;

fn not_yet<H: Host>(_: &Call<'_, H>) -> Refusal {
    Refusal::new(Code::UNSUPPORTED_FEATURE, "Not here yet.")
}

pub(crate) async fn simulate<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let _ = id;
    Err(not_yet(call))
}
