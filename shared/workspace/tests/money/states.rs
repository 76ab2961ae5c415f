//! Random lives of a wallet against a model of it: credits, reservations, settlings, repeats, waits, and an authority that
//! dies before or after it has stored a change. Whatever happens, no micro-USD is lost and none is made.

use std::collections::BTreeMap;

use lockgate_workspace::question::Housekeeping;
use lockgate_workspace::resource::LedgerKind;
use proptest::prelude::*;

use super::sqlite::Crash;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Credit { id: u8, amount: u64 },
    Reserve { id: u8, amount: u64, ttl_ms: u64 },
    Settle { id: u8, amount: u64 },
    Wait(u64),
    Housekeep { most: u32 },
}

fn step() -> impl Strategy<Value = (Step, Option<Crash>)> {
    // Few ids and amounts, so that repeats, shortfalls and refusals are common.
    let id = 0..6_u8;
    let amount = prop_oneof![0..50_u64, Just(u64::MAX)];
    let step = prop_oneof![
        2 => (id.clone(), 1..100_u64).prop_map(|(id, amount)| Step::Credit { id, amount }),
        4 => (id.clone(), 0..60_u64, prop_oneof![Just(0), 1..400_u64, Just(u64::MAX)])
            .prop_map(|(id, amount, ttl_ms)| Step::Reserve { id, amount, ttl_ms }),
        4 => (id, amount).prop_map(|(id, amount)| Step::Settle { id, amount }),
        1 => prop_oneof![1..300_u64, DAY..3 * DAY].prop_map(Step::Wait),
        1 => (0..3_u32).prop_map(|most| Step::Housekeep { most }),
    ];
    let crash = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Crash::BeforeCommit)),
        1 => Just(Some(Crash::AfterCommit)),
    ];
    (step, crash)
}

/// A reservation as the model has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Held { amount: u64, ends: u64 },
    Expired { amount: u64, at: u64 },
    Settled { amount: u64, at: u64 },
}

/// What the wallet ought to be.
#[derive(Default, Clone)]
struct Model {
    balance: u64,
    credits: BTreeMap<u8, u64>,
    made: BTreeMap<u8, Made>,
    paid: u64,
}

impl Model {
    fn held(&self) -> u64 {
        let held = |made: &Made| match made {
            Made::Held { amount, .. } => *amount,
            _ => 0,
        };
        self.made.values().map(held).sum()
    }

    /// Gives back those whose time is over, the oldest first: `most` of them, or until `enough` are there.
    fn expire(&mut self, now: u64, most: usize, enough: u64) {
        let mut over: Vec<_> = self
            .made
            .iter()
            .filter_map(|(id, made)| match made {
                Made::Held { amount, ends } if *ends <= now => Some((*ends, *id, *amount)),
                _ => None,
            })
            .collect();
        over.sort_unstable();
        if self.balance >= enough {
            return;
        }
        for (_, id, amount) in over.into_iter().take(most) {
            self.made.insert(id, Made::Expired { amount, at: now });
            self.balance += amount;
        }
    }

    /// Does the step, and says whether money was set aside where that is asked, or `None` where it is refused.
    fn take(&mut self, now: u64, step: &Step) -> Option<bool> {
        match *step {
            Step::Credit { id, amount } => {
                match self.credits.get(&id) {
                    Some(made) if *made != amount => return None,
                    Some(_) => {}
                    None => {
                        self.credits.insert(id, amount);
                        self.balance += amount;
                    }
                }
                Some(true)
            }
            Step::Reserve { id, amount, ttl_ms } => match self.made.get(&id) {
                Some(
                    Made::Held { amount: made, .. }
                    | Made::Settled { amount: made, .. }
                    | Made::Expired { amount: made, .. },
                ) if *made != amount => None,
                Some(made) => Some(!matches!(made, Made::Expired { .. })),
                None => {
                    self.expire(now, usize::MAX, amount);
                    if self.balance < amount {
                        return Some(false);
                    }
                    self.balance -= amount;
                    let ends = now.saturating_add(ttl_ms).min((1 << 53) - 1);
                    self.made.insert(id, Made::Held { amount, ends });
                    Some(true)
                }
            },
            Step::Settle { id, amount: cost } => {
                let (amount, held) = match *self.made.get(&id)? {
                    Made::Settled { .. } => return Some(true),
                    Made::Held { amount, .. } => (amount, amount),
                    Made::Expired { amount, .. } => (amount, 0),
                };
                let paid = cost.min(self.balance + held);
                self.balance = self.balance + held - paid;
                self.paid += paid;
                self.made.insert(id, Made::Settled { amount, at: now });
                Some(true)
            }
            Step::Wait(_) => Some(true),
            Step::Housekeep { most } => {
                self.expire(now, most.max(1) as usize, u64::MAX);
                for settled in [true, false] {
                    let mut ended: Vec<_> = self
                        .made
                        .iter()
                        .filter_map(|(id, made)| match made {
                            Made::Settled { at, .. } if settled => Some((*at, *id)),
                            Made::Expired { at, .. } if !settled => Some((*at, *id)),
                            _ => None,
                        })
                        .filter(|(at, _)| *at < now - DAY)
                        .collect();
                    ended.sort_unstable();
                    for (_, id) in ended.into_iter().take(most.max(1) as usize) {
                        self.made.remove(&id);
                    }
                }
                Some(true)
            }
        }
    }
}

fn asked(store: &Store, step: &Step) -> Result<Reply, Denial> {
    match *step {
        Step::Credit { id, amount } => store.ask(credit(&format!("crd_{id}"), amount)),
        Step::Reserve { id, amount, ttl_ms } => {
            store.ask(reserve(&format!("res_{id}"), amount, ttl_ms))
        }
        Step::Settle { id, amount } => store.ask(settle(&format!("res_{id}"), amount)),
        Step::Wait(ms) => {
            store.wait(ms);
            Ok(Reply::Done)
        }
        Step::Housekeep { most } => store.ask(Question::Housekeep(Housekeeping {
            log_before: Timestamp(0),
            usage_before: Timestamp(0),
            most,
        })),
    }
}

/// The wallet is what the model says, and the ledger adds up to it, line by line.
fn balanced(store: &Store, model: &Model) {
    let credits: u64 = model.credits.values().sum();
    let (balance, reserved) = store.wallet();
    assert_eq!((balance, reserved), (model.balance, model.held()));
    assert_eq!(credits, balance + reserved + model.paid);
    let (mut seq, mut whole, mut paid) = (0, 0_u64, 0_u64);
    let mut before = (0_u64, 0_u64);
    for line in store.ledger() {
        seq += 1;
        assert_eq!(line.seq, seq);
        let after = (line.balance_microusd, line.reserved_microusd);
        let amount = line.amount_microusd;
        match line.kind {
            LedgerKind::Credit => {
                whole += amount;
                assert_eq!(after, (before.0 + amount, before.1));
            }
            LedgerKind::Reserve => assert_eq!(after, (before.0 - amount, before.1 + amount)),
            LedgerKind::Expire => assert_eq!(after, (before.0 + amount, before.1 - amount)),
            LedgerKind::Settle => {
                whole -= amount;
                paid += amount;
                assert!(line.shortfall_microusd == 0 || after.0 == 0);
            }
        }
        assert_eq!(after.0 + after.1, whole);
        before = after;
    }
    assert_eq!(before, (balance, reserved), "the last line is the wallet");
    assert_eq!(paid, model.paid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_wallet_is_exact_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let store = Store::new();
        let mut model = Model::default();
        // The tables are there before anything dies.
        store.ask(Question::GetWallet).unwrap();
        for (step, crash) in steps {
            let crash = crash.filter(|_| !matches!(step, Step::Wait(_)));
            if let Some(crash) = crash {
                store.database.crash_next(crash);
            }
            let answer = asked(&store, &step);
            let before = model.clone();
            let expected = model.take(store.time.get(), &step);
            match (crash, expected) {
                // Whoever asked knows nothing; nor does it matter.
                (Some(Crash::BeforeCommit), _) => model = before,
                (Some(Crash::AfterCommit), _) => {}
                (None, None) => assert!(
                    matches!(answer, Err(Denial::AlreadyExists { .. } | Denial::NotFound { .. })),
                    "{step:?}: {answer:?}"
                ),
                (None, Some(reserved)) => match answer.unwrap() {
                    Reply::Reserved { reserved: said, .. } => assert_eq!(said, reserved),
                    _ => assert!(reserved),
                },
            }
            balanced(&store, &model);
        }
    }
}
