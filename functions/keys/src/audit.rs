//! The audit log, and the check of its chain (FEATURES F5).

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};

use crate::Call;
use crate::respond;

fn not_yet<H: Host>(_: &Call<'_, H>) -> Refusal {
    Refusal::new(Code::UNSUPPORTED_FEATURE, "Not here yet.")
}

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    Err(not_yet(call))
}

pub(crate) async fn verify<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    Err(not_yet(call))
}
