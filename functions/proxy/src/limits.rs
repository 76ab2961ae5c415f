//! What a gateway key may still use, counted in the isolate out of what the authority has granted (FEATURES F3).

use std::rc::Rc;

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::Settings;
use lockgate_workspace::question::GrantReport;

use crate::admission::Caller;

/// What a request needs of its key's limits, beside being one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Tokens, as estimated.
    pub(crate) tokens: u64,
    /// Micro-USD, as estimated.
    pub(crate) microusd: u64,
}

/// What a request holds of its key's limits. Dropped unsettled, it gives back what it holds where nothing was sent, and
/// counts as all of it where something was.
#[derive(Debug)]
pub(crate) struct Ticket {}

impl Ticket {
    /// Something is about to be sent to a provider.
    pub(crate) fn sent(&mut self) {}

    /// What the request came to in the end.
    pub(crate) fn settle(self, _tokens: u64, _microusd: u64) {}

    /// What is left of the limits, as OpenAI's headers say it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Lets a request through the limits of its key, or says which one it has reached; waits where others may give back what
/// is missing, at most one lease.
pub(crate) async fn admit<H: Host>(
    _host: &H,
    _settings: &Rc<Settings>,
    _caller: &Caller,
    _need: Need,
) -> Result<Ticket, Refusal> {
    Ok(Ticket {})
}

/// What is to be reported of a workspace's grants now. None of them is drawn from any more.
pub(crate) fn reports<H: Host>(_host: &H, _workspace: &str) -> Vec<GrantReport> {
    Vec::new()
}

/// These reports did not reach the authority.
pub(crate) fn untold(_workspace: &str, _reports: Vec<GrantReport>) {}
