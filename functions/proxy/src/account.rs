//! What a request comes to: from the moment it is sent until the last byte of its answer. However it ends, it is counted
//! against its key's limits, paid for and logged, once.

use std::rc::Rc;

use lockgate_host::Host;
use lockgate_routing::Rate;
use lockgate_workspace::Settings;
use lockgate_workspace::resource::Tokens;

use crate::limits::Ticket;
use crate::log::{self, Draft};
use crate::wallet::Reserved;

/// The account of a request whose answer has begun.
pub(crate) struct Account<H: Host> {
    pub(crate) host: H,
    pub(crate) settings: Rc<Settings>,
    pub(crate) draft: Draft,
    ticket: Option<Ticket>,
    reserved: Option<Reserved<H>>,
    rate: Option<Rate>,
    estimate: Option<Tokens>,
    open: bool,
}

impl<H: Host> Account<H> {
    /// Opens it. `estimate` is there where usage has to be known exactly.
    pub(crate) fn new(
        host: &H,
        settings: &Rc<Settings>,
        draft: &Draft,
        rate: Option<Rate>,
        estimate: Option<Tokens>,
    ) -> Self {
        Self {
            host: host.clone(),
            settings: settings.clone(),
            draft: draft.clone(),
            ticket: None,
            reserved: None,
            rate,
            estimate,
            open: true,
        }
    }

    /// Takes over what the request holds.
    pub(crate) fn holding(mut self, ticket: Option<Ticket>, reserved: Option<Reserved<H>>) -> Self {
        self.ticket = ticket;
        self.reserved = reserved;
        self
    }

    /// Whether usage has to be known exactly.
    pub(crate) fn exact(&self) -> bool {
        self.estimate.is_some()
    }

    /// Closes it with what the provider said was used. One that says that nothing was has not counted.
    pub(crate) fn used(mut self, tokens: Tokens) {
        match tokens.total() {
            0 => self.estimated(None),
            _ => self.close(Some(tokens)),
        }
    }

    /// Closes it where the provider did not say: by what was delivered of the output, in tokens, as far as anybody counted.
    pub(crate) fn delivered(mut self, output: Option<u64>) {
        self.estimated(output);
    }

    fn estimated(&mut self, output: Option<u64>) {
        let tokens = self.estimate.map(|estimate| Tokens {
            output: output.unwrap_or(estimate.output),
            ..estimate
        });
        self.close(tokens);
    }

    fn close(&mut self, tokens: Option<Tokens>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let cost = tokens.and_then(|tokens| Some(self.rate?.cost(&tokens)));
        self.draft.used(tokens, cost);
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(tokens.map_or(0, |tokens| tokens.total()), cost.unwrap_or(0));
        }
        if let Some(reserved) = self.reserved.take() {
            // Tokens and price of what the platform pays for are known.
            reserved.settle(cost.unwrap_or(0));
        }
        log::push(&self.host, &self.settings, self.draft.clone());
    }
}

impl<H: Host> Drop for Account<H> {
    fn drop(&mut self) {
        self.estimated(None);
    }
}
