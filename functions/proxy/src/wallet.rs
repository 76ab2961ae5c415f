//! Money for a request on the platform's keys: set aside before it is sent, paid after it has ended (FEATURES H5). Both are
//! durable when they are acknowledged, and neither waits in a queue.

use std::rc::Rc;
use std::time::Duration;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::{DataQuestion, Reply, Reservation};
use lockgate_workspace::{AskError, Settings, ask, new_id};

/// The pauses before the authority is told once more what was paid, where it could not be reached.
const AGAIN: &[Duration] = &[
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// Money that is set aside. Dropped unsettled, it pays `least`.
pub(crate) struct Reserved<H: Host> {
    host: H,
    settings: Rc<Settings>,
    workspace: String,
    id: String,
    /// What is paid where nobody says what became of the request.
    least: u64,
    open: bool,
}

/// Sets money aside, or says that there is not enough.
pub(crate) async fn reserve<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    workspace: &str,
    request: &str,
    amount_microusd: u64,
    least: u64,
) -> Result<Reserved<H>, Refusal> {
    let id = new_id(host, "res");
    let question = DataQuestion::Reserve(Reservation {
        id: id.clone(),
        amount_microusd,
        request: request.to_owned(),
        ttl_ms: settings.reservation_ms,
    });
    let reply = ask(host, settings, workspace, question).await?.reply;
    let Reply::Reserved { reserved, wallet } = reply else {
        return Err(AskError::Mismatch.into());
    };
    if !reserved {
        return Err(Refusal::new(
            Code::WALLET_INSUFFICIENT,
            format!(
                "The request may cost {amount_microusd} micro-USD on the platform's keys, and the wallet has {} ({} more are set aside for requests under way).",
                wallet.balance_microusd, wallet.reserved_microusd
            ),
        ));
    }
    Ok(Reserved {
        host: host.clone(),
        settings: settings.clone(),
        workspace: workspace.to_owned(),
        id,
        least: least.min(amount_microusd),
        open: true,
    })
}

impl<H: Host> Reserved<H> {
    /// Pays what the request cost.
    pub(crate) fn settle(mut self, amount_microusd: u64) {
        self.pay(amount_microusd);
    }

    fn pay(&mut self, amount_microusd: u64) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let (host, settings) = (self.host.clone(), self.settings.clone());
        let (workspace, id) = (self.workspace.clone(), self.id.clone());
        self.host.spawn(async move {
            let question = DataQuestion::Settle {
                id,
                amount_microusd,
            };
            // Saying it again changes nothing. One that is lost for good expires.
            let mut pauses = AGAIN.iter();
            while let Err(AskError::Unreachable(_)) =
                ask(&host, &settings, &workspace, question.clone()).await
            {
                match pauses.next() {
                    Some(pause) => host.sleep(*pause).await,
                    None => break,
                }
            }
        });
    }
}

impl<H: Host> Drop for Reserved<H> {
    fn drop(&mut self) {
        self.pay(self.least);
    }
}
