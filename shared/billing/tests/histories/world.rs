//! Stripe and a customer, played: a life is a list of steps, and what comes of it are the events that Stripe would send,
//! each with what was true right after it.
//!
//! Within one second only such events fall together as Stripe sends together (a subscription that is made and paid, a
//! change right before the end): the ids of events are scrambled, so they give no hint at the order.

use lockgate_subscription::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;
const MONTH: i64 = 30 * DAY;

/// Something that happens in a customer's life.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Attach,
    Detach,
    Subscribe {
        enterprise: bool,
        seats: u8,
        pays: bool,
    },
    Trial {
        enterprise: bool,
        days: u8,
        ending: Ending,
    },
    Pay,
    Fail,
    GiveUp {
        unpaid: bool,
    },
    Seats(u8),
    Upgrade,
    Cancel,
    CancelAt {
        days: u8,
    },
    Resume,
    EndNow,
    Pause,
    Unpause,
    BuyCredit {
        cents: u16,
        later: bool,
    },
    Noise,
    Wait,
}

/// What is set to happen at the end of a trial without a way to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Invoice,
    Cancel,
    Pause,
}

/// A subscription as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sub {
    pub(crate) id: String,
    pub(crate) status: &'static str,
    pub(crate) enterprise: bool,
    pub(crate) seats: u8,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) at_period_end: bool,
    pub(crate) period_end: i64,
    pub(crate) trial: Option<(i64, i64)>,
    pub(crate) ended_at: Option<i64>,
    ending: Ending,
    created: i64,
    /// The end of the day that the first payment has.
    expires: Option<i64>,
    invoice: Option<String>,
}

impl Sub {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "canceled" | "incomplete_expired")
    }

    pub(crate) fn gives_access(&self) -> bool {
        matches!(self.status, "active" | "past_due" | "trialing")
    }

    pub(crate) fn cancels_at(&self) -> Option<i64> {
        self.cancel_at
            .or(self.at_period_end.then_some(self.period_end))
    }
}

/// An event, and the subscription that it is about as it was right after.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) event: Event,
    pub(crate) sub: Option<Sub>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) sent: Vec<Sent>,
    pub(crate) subs: Vec<Sub>,
    /// Keys of the credits that are owed.
    pub(crate) credits: Vec<String>,
    methods: Vec<(String, i64)>,
    made: u64,
    /// Whether the events are of an API version since 2025-03-31.
    new_api: bool,
}

impl World {
    pub(crate) fn new(new_api: bool) -> Self {
        Self {
            now: 1_700_000_000,
            sent: Vec::new(),
            subs: Vec::new(),
            credits: Vec::new(),
            methods: Vec::new(),
            made: 0,
            new_api,
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        let mut x = self.made.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        format!("{prefix}_{:016x}", x ^ (x >> 31))
    }

    fn send(&mut self, kind: &str, object: Value, sub: Option<Sub>) {
        let id = self.id("evt");
        let body = json!({
            "id": id, "object": "event", "type": kind, "created": self.now, "livemode": false,
            "data": { "object": object },
        });
        let event = Event::read(body.to_string().as_bytes()).unwrap();
        self.sent.push(Sent { event, sub });
    }

    fn say(&mut self, kind: &str, index: usize) {
        let sub = self.subs[index].clone();
        let mut object = json!({
            "id": sub.id, "object": "subscription", "customer": "cus_1", "status": sub.status,
            "created": sub.created, "cancel_at": sub.cancel_at, "ended_at": sub.ended_at,
            "cancel_at_period_end": sub.at_period_end,
            "trial_start": sub.trial.map(|(start, _)| start), "trial_end": sub.trial.map(|(_, end)| end),
            "trial_settings": { "end_behavior": { "missing_payment_method": match sub.ending {
                Ending::Invoice => "create_invoice", Ending::Cancel => "cancel", Ending::Pause => "pause",
            } } },
            "metadata": { "workspace": "w" },
        });
        let price = if sub.enterprise {
            "price_enterprise"
        } else {
            "price_team"
        };
        let mut item = json!({
            "price": { "id": price, "recurring": { "interval": "month" } }, "quantity": sub.seats,
        });
        if self.new_api {
            item["current_period_end"] = json!(sub.period_end);
        } else {
            object["current_period_end"] = json!(sub.period_end);
        }
        object["items"] = json!({ "object": "list", "data": [item] });
        self.send(&format!("customer.subscription.{kind}"), object, Some(sub));
    }

    fn invoice(&mut self, kind: &str, status: &str, index: usize) {
        let (id, created) = match &self.subs[index].invoice {
            Some(id) => (id.clone(), self.subs[index].created),
            None => return,
        };
        let sub = &self.subs[index].id;
        let mut object = json!({
            "id": id, "created": created, "customer": "cus_1", "status": status, "currency": "usd",
            "total": 2_000, "amount_due": 2_000,
        });
        if self.new_api {
            object["parent"] = json!({ "subscription_details": { "subscription": sub } });
        } else {
            object["subscription"] = json!(sub);
        }
        self.send(&format!("invoice.{kind}"), object, None);
    }

    /// A new invoice, still a draft.
    fn bill(&mut self, index: usize) {
        let id = self.id("in");
        self.subs[index].invoice = Some(id);
        self.invoice("created", "draft", index);
    }

    fn is_ready(&self) -> bool {
        !self.methods.is_empty()
    }

    /// Lets time pass, and what falls due in it happen.
    pub(crate) fn wait(&mut self, seconds: i64) {
        let until = self.now + seconds;
        while let Some((at, index)) = (0..self.subs.len())
            .filter_map(|index| Some((self.next_turn(index)?, index)))
            .filter(|(at, _)| *at <= until)
            .min()
        {
            assert!(at >= self.now, "time goes forward");
            self.now = at;
            self.turn(index);
        }
        self.now = until;
    }

    fn next_turn(&self, index: usize) -> Option<i64> {
        let sub = &self.subs[index];
        match sub.status {
            "incomplete" => sub.expires,
            "paused" => sub.cancels_at(),
            "trialing" | "active" | "past_due" | "unpaid" => {
                Some(sub.period_end.min(sub.cancels_at().unwrap_or(i64::MAX)))
            }
            _ => None,
        }
    }

    fn turn(&mut self, index: usize) {
        let (now, ready) = (self.now, self.is_ready());
        // A last word in the very second, before anything turns.
        self.say("updated", index);
        let sub = &mut self.subs[index];
        let trial_ends = sub.status == "trialing";
        if sub.status == "incomplete" {
            sub.status = "incomplete_expired";
            self.say("updated", index);
        } else if sub.cancels_at().is_some_and(|at| at <= now)
            || (trial_ends && !ready && sub.ending == Ending::Cancel)
        {
            self.end(index);
        } else if trial_ends && !ready && sub.ending == Ending::Pause {
            sub.status = "paused";
            self.say("paused", index);
        } else {
            // What is not paid stays so, though its periods go on.
            if trial_ends {
                sub.status = "active";
            }
            sub.period_end = now + MONTH;
            self.say("updated", index);
            self.bill(index);
        }
    }

    fn end(&mut self, index: usize) {
        let sub = &mut self.subs[index];
        sub.status = "canceled";
        sub.ended_at = Some(self.now);
        self.say("deleted", index);
    }

    fn start(&mut self, enterprise: bool, seats: u8, status: &'static str, length: i64) -> usize {
        let id = self.id("sub");
        self.subs.push(Sub {
            id,
            status,
            enterprise,
            seats: seats.max(1),
            cancel_at: None,
            at_period_end: false,
            period_end: self.now + length,
            trial: None,
            ended_at: None,
            ending: Ending::Invoice,
            created: self.now,
            expires: None,
            invoice: None,
        });
        self.subs.len() - 1
    }

    /// The subscription that the next step is about, where one is in such a state.
    fn pick(&self, pick: u8, fits: impl Fn(&Sub) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.subs.len())
            .filter(|index| fits(&self.subs[*index]))
            .collect();
        all.get(usize::from(pick) % all.len().max(1)).copied()
    }

    pub(crate) fn step(&mut self, step: Step, pick: u8) {
        // Each step has a second of its own.
        while {
            let before = self.sent.len();
            self.wait(1);
            self.sent.len() > before
        } {}
        match step {
            Step::Attach | Step::Detach => self.change_method(matches!(step, Step::Attach)),
            Step::Subscribe {
                enterprise,
                seats,
                pays,
            } => self.subscribe(enterprise, seats, pays),
            Step::Trial {
                enterprise,
                days,
                ending,
            } => self.trial(enterprise, days, ending),
            Step::BuyCredit { cents, later } => self.buy_credit(cents, later),
            Step::Noise => self.send("charge.refunded", json!({ "id": "ch_1" }), None),
            Step::Wait => {}
            _ => self.change(step, pick),
        }
    }

    fn change_method(&mut self, attach: bool) {
        if attach {
            let id = self.id("pm");
            self.methods.push((id.clone(), self.now));
            let object = json!({ "id": id, "created": self.now, "customer": "cus_1" });
            self.send("payment_method.attached", object, None);
        } else if let Some((id, created)) = self.methods.pop() {
            let object = json!({ "id": id, "created": created, "customer": null });
            self.send("payment_method.detached", object, None);
        }
        let method = self.methods.first().map(|(id, _)| id.clone());
        let object = json!({
            "id": "cus_1", "created": 5, "invoice_settings": { "default_payment_method": method },
        });
        self.send("customer.updated", object, None);
    }

    fn subscribe(&mut self, enterprise: bool, seats: u8, pays: bool) {
        let index = self.start(enterprise, seats, "incomplete", MONTH);
        self.subs[index].expires = Some(self.now + 23 * HOUR);
        self.say("created", index);
        self.bill(index);
        self.invoice("finalized", "open", index);
        if pays {
            self.say("updated", index);
            self.subs[index].status = "active";
            self.invoice("paid", "paid", index);
            self.say("updated", index);
        } else {
            self.invoice("payment_failed", "open", index);
        }
    }

    fn trial(&mut self, enterprise: bool, days: u8, ending: Ending) {
        let length = i64::from(days.max(1)) * DAY;
        let index = self.start(enterprise, 1, "trialing", length);
        self.subs[index].trial = Some((self.now, self.now + length));
        self.subs[index].ending = ending;
        self.say("created", index);
        if days <= 3 {
            self.say("trial_will_end", index);
        }
    }

    fn buy_credit(&mut self, cents: u16, later: bool) {
        let id = self.id("cs");
        let mut object = json!({
            "id": id, "created": self.now, "mode": "payment", "customer": "cus_1", "currency": "usd",
            "amount_total": cents, "payment_status": if later { "unpaid" } else { "paid" },
            "metadata": { "purpose": "wallet_credit" },
        });
        self.send("checkout.session.completed", object.clone(), None);
        if later {
            object["payment_status"] = json!("paid");
            self.send("checkout.session.async_payment_succeeded", object, None);
        }
        if cents > 0 {
            self.credits.push(format!("credit:{id}"));
        }
    }

    fn change(&mut self, step: Step, pick: u8) {
        let now = self.now;
        let Some(index) = self.pick(pick, |sub| fits(step, sub)) else {
            return;
        };
        let sub = &mut self.subs[index];
        match step {
            Step::Pay => {
                sub.status = "active";
                self.invoice("paid", "paid", index);
                self.say("updated", index);
            }
            Step::Fail => {
                sub.status = "past_due";
                self.invoice("payment_failed", "open", index);
                self.say("updated", index);
            }
            Step::GiveUp { unpaid: true } => {
                sub.status = "unpaid";
                self.say("updated", index);
            }
            Step::GiveUp { unpaid: false } | Step::EndNow => self.end(index),
            Step::Seats(seats) => {
                sub.seats = seats.max(1);
                self.say("updated", index);
            }
            Step::Upgrade => {
                sub.enterprise = true;
                self.say("updated", index);
            }
            Step::Cancel => {
                sub.at_period_end = true;
                self.say("updated", index);
            }
            Step::CancelAt { days } => {
                sub.cancel_at = Some(now + i64::from(days.max(1)) * DAY);
                self.say("updated", index);
            }
            Step::Resume => {
                (sub.at_period_end, sub.cancel_at) = (false, None);
                self.say("updated", index);
            }
            Step::Pause => {
                sub.status = "paused";
                self.say("paused", index);
            }
            Step::Unpause => {
                sub.status = "active";
                sub.period_end = now + MONTH;
                self.say("resumed", index);
                self.say("updated", index);
            }
            _ => {}
        }
    }
}

/// Whether a step can happen to a subscription in that state.
fn fits(step: Step, sub: &Sub) -> bool {
    let runs = sub.gives_access() || sub.status == "unpaid";
    match step {
        Step::Pay => matches!(sub.status, "incomplete" | "past_due" | "unpaid"),
        Step::Fail => sub.status == "active",
        Step::GiveUp { .. } => sub.status == "past_due",
        Step::Seats(_) => runs,
        Step::Upgrade => runs && !sub.enterprise,
        Step::Cancel | Step::CancelAt { .. } => runs && sub.cancels_at().is_none(),
        Step::Resume => runs && sub.cancels_at().is_some(),
        Step::EndNow => !sub.is_over(),
        Step::Pause => sub.status == "active" && sub.cancels_at().is_none(),
        Step::Unpause => sub.status == "paused",
        _ => false,
    }
}

/// A step, which of the subscriptions that it fits it is about, and how long after it nothing happens.
pub(crate) fn steps() -> impl Strategy<Value = Vec<(Step, u8, i64)>> {
    let ending = prop_oneof![
        Just(Ending::Invoice),
        Just(Ending::Cancel),
        Just(Ending::Pause)
    ];
    let step = prop_oneof![
        2 => Just(Step::Attach),
        1 => Just(Step::Detach),
        3 => (any::<bool>(), 1u8..20, prop::bool::weighted(0.8))
            .prop_map(|(enterprise, seats, pays)| Step::Subscribe { enterprise, seats, pays }),
        3 => (any::<bool>(), 1u8..30, ending)
            .prop_map(|(enterprise, days, ending)| Step::Trial { enterprise, days, ending }),
        2 => Just(Step::Pay),
        2 => Just(Step::Fail),
        1 => any::<bool>().prop_map(|unpaid| Step::GiveUp { unpaid }),
        2 => (1u8..50).prop_map(Step::Seats),
        1 => Just(Step::Upgrade),
        3 => Just(Step::Cancel),
        1 => (1u8..60).prop_map(|days| Step::CancelAt { days }),
        2 => Just(Step::Resume),
        1 => Just(Step::EndNow),
        1 => Just(Step::Pause),
        1 => Just(Step::Unpause),
        1 => (0u16..9_999, any::<bool>())
            .prop_map(|(cents, later)| Step::BuyCredit { cents, later }),
        1 => Just(Step::Noise),
        2 => Just(Step::Wait),
    ];
    let gap = prop_oneof![4 => 0..HOUR, 3 => HOUR..5 * DAY, 2 => 5 * DAY..40 * DAY];
    proptest::collection::vec((step, any::<u8>(), gap), 1..14)
}
