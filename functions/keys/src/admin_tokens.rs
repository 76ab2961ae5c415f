//! Admin tokens (FEATURES A9). The text is shown once, in the answer that makes it.

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
