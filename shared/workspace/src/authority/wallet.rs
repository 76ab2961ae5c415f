//! The wallet that pays for managed traffic (FEATURES H5).
//!
//! Each question is one transaction: the wallet, the reservation and the line of the ledger change together or not at
//! all. Questions that change money carry an id, and the same one again changes nothing.

mod books;

use lockgate_host::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::question::{Denial, Reply, Reservation};
use crate::resource::{LedgerEntry, LedgerKind, Wallet};

use super::cells::{Cells, MAX_NUMBER, not_found, taken, word};

const KIND: &str = "reservation";
/// Lines in one answer at most.
const MAX_LINES: u32 = 1_001;
/// Reservations that are looked at together.
const BATCH: u32 = 100;
/// For so long after its end a reservation is known, so that a question about it may come again.
const KNOWN_MS: u64 = 86_400_000;

/// What has become of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The money is set aside.
    Held,
    /// The request was paid for.
    Settled,
    /// The money went back.
    Expired,
}

/// A line of the ledger in the making.
struct Line<'a> {
    kind: LedgerKind,
    amount: u64,
    shortfall: u64,
    /// The id of the credit or the reservation.
    reference: &'a str,
    request: Option<&'a str>,
    note: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(kind: LedgerKind, amount: u64, reference: &'a str) -> Self {
        Self {
            kind,
            amount,
            shortfall: 0,
            reference,
            request: None,
            note: None,
        }
    }
}

/// A wallet as it is, with the count of its ledger's lines; `close` stores it.
struct Account<'a> {
    workspace: &'a str,
    now_ms: u64,
    wallet: Wallet,
    seq: u64,
    /// Whether anything has happened to it.
    moved: bool,
}

impl<'a> Account<'a> {
    fn open(tx: &mut dyn Tx, now_ms: u64, workspace: &'a str) -> Result<Self, StoreError> {
        let rows = tx.query(
            "SELECT balance, reserved, seq FROM wallets WHERE workspace = ?1",
            &[workspace.into()],
        )?;
        let (wallet, seq) = match rows.into_iter().next() {
            None => (Wallet::default(), 0),
            Some(row) => {
                let mut cells = Cells::new(row);
                let wallet = Wallet {
                    balance_microusd: cells.number()?,
                    reserved_microusd: cells.number()?,
                };
                (wallet, cells.number()?)
            }
        };
        Ok(Self {
            workspace,
            now_ms,
            wallet,
            seq,
            moved: false,
        })
    }

    /// Writes what has happened, and what the wallet is after it.
    fn write(&mut self, tx: &mut dyn Tx, line: &Line<'_>, after: Wallet) -> Result<(), StoreError> {
        self.wallet = after;
        self.seq += 1;
        self.moved = true;
        tx.query(
            "INSERT INTO wallet_ledger
                (workspace, seq, at, kind, amount, shortfall, balance, reserved, reference, request, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            &[
                self.workspace.into(),
                self.seq.into(),
                self.now_ms.into(),
                word(&line.kind),
                line.amount.into(),
                line.shortfall.into(),
                after.balance_microusd.into(),
                after.reserved_microusd.into(),
                line.reference.into(),
                line.request.into(),
                line.note.into(),
            ],
        )
        .map(|_| ())
    }

    /// Gives back up to `most` reservations whose time is over, the oldest first, and says how many.
    fn expire(&mut self, tx: &mut dyn Tx, most: u32) -> Result<u64, StoreError> {
        let rows = tx.query(
            "SELECT id, request, amount FROM reservations WHERE workspace = ?1 AND state = ?2 AND expires_at <= ?3
             ORDER BY expires_at, id LIMIT ?4",
            &[
                self.workspace.into(),
                word(&State::Held),
                self.now_ms.into(),
                u64::from(most).into(),
            ],
        )?;
        let mut expired = 0;
        for row in rows {
            let mut cells = Cells::new(row);
            let (id, request, amount) = (cells.text()?, cells.text()?, cells.number()?);
            let after = books::released(self.wallet, amount).ok_or_else(damaged)?;
            end(tx, self.now_ms, &id, State::Expired)?;
            let line = Line {
                request: Some(&request),
                ..Line::of(LedgerKind::Expire, amount, &id)
            };
            self.write(tx, &line, after)?;
            expired += 1;
        }
        Ok(expired)
    }

    fn close(self, tx: &mut dyn Tx) -> Result<Wallet, StoreError> {
        if !self.moved {
            return Ok(self.wallet);
        }
        tx.query(
            "INSERT INTO wallets (workspace, balance, reserved, seq) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (workspace) DO UPDATE
             SET balance = excluded.balance, reserved = excluded.reserved, seq = excluded.seq",
            &[
                self.workspace.into(),
                self.wallet.balance_microusd.into(),
                self.wallet.reserved_microusd.into(),
                self.seq.into(),
            ],
        )?;
        Ok(self.wallet)
    }
}

fn damaged() -> StoreError {
    StoreError::Corrupt("a wallet has set aside less than its reservations say".into())
}

/// A reservation that was made: its request, amount and state.
fn find(
    tx: &mut dyn Tx,
    workspace: &str,
    id: &str,
) -> Result<Option<(String, u64, State)>, StoreError> {
    let rows = tx.query(
        "SELECT request, amount, state FROM reservations WHERE id = ?2 AND workspace = ?1",
        &[workspace.into(), id.into()],
    )?;
    let read = |row| {
        let mut cells = Cells::new(row);
        Ok((cells.text()?, cells.number()?, cells.word()?))
    };
    rows.into_iter().next().map(read).transpose()
}

/// Notes what has become of a reservation, and when.
fn end(tx: &mut dyn Tx, now_ms: u64, id: &str, state: State) -> Result<(), StoreError> {
    tx.query(
        "UPDATE reservations SET state = ?2, expires_at = ?3 WHERE id = ?1",
        &[id.into(), word(&state), now_ms.into()],
    )
    .map(|_| ())
}

pub(super) fn get(tx: &mut dyn Tx, workspace: &str) -> Result<Reply, Denial> {
    Ok(Reply::Wallet(Account::open(tx, 0, workspace)?.wallet))
}

/// The ledger, newest first.
pub(super) fn ledger(
    tx: &mut dyn Tx,
    workspace: &str,
    limit: u32,
    before: Option<u64>,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT seq, at, kind, amount, shortfall, balance, reserved, reference, request, note FROM wallet_ledger
         WHERE workspace = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
        &[
            workspace.into(),
            before.unwrap_or(MAX_NUMBER).min(MAX_NUMBER).into(),
            u64::from(limit.min(MAX_LINES)).into(),
        ],
    )?;
    let entries: Result<_, _> = rows.into_iter().map(|r| entry(Cells::new(r))).collect();
    Ok(Reply::Ledger(entries?))
}

fn entry(mut cells: Cells) -> Result<LedgerEntry, StoreError> {
    let (seq, at, kind) = (cells.number()?, cells.time()?, cells.word()?);
    Ok(LedgerEntry {
        seq,
        at,
        kind,
        amount_microusd: cells.number()?,
        shortfall_microusd: cells.number()?,
        balance_microusd: cells.number()?,
        reserved_microusd: cells.number()?,
        reservation: Some(cells.text()?).filter(|_| kind != LedgerKind::Credit),
        request: cells.optional_text()?,
        note: cells.optional_text()?,
    })
}

pub(super) fn credit(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    id: &str,
    amount: u64,
    note: Option<&str>,
) -> Result<Reply, Denial> {
    let mut account = Account::open(tx, now_ms, workspace)?;
    let rows = tx.query(
        "SELECT amount FROM wallet_ledger WHERE workspace = ?1 AND reference = ?2 AND kind = ?3",
        &[workspace.into(), id.into(), word(&LedgerKind::Credit)],
    )?;
    if let Some(row) = rows.into_iter().next() {
        return if Cells::new(row).number()? == amount {
            Ok(Reply::Wallet(account.wallet))
        } else {
            Err(exists("credit of another amount", id))
        };
    }
    if amount == 0 {
        return Err(Denial::InUse(
            "a credit of 0 micro-USD changes nothing: credit 1 or more".into(),
        ));
    }
    let Some(after) = books::credited(account.wallet, amount) else {
        let whole = account.wallet.balance_microusd + account.wallet.reserved_microusd;
        return Err(Denial::InUse(format!(
            "with {amount} micro-USD more than the {whole} that are in it the wallet could not be counted exactly: \
             credit at most {}",
            MAX_NUMBER.saturating_sub(whole)
        )));
    };
    let line = Line {
        note,
        ..Line::of(LedgerKind::Credit, amount, id)
    };
    account.write(tx, &line, after)?;
    Ok(Reply::Wallet(account.close(tx)?))
}

/// Said again it answers the same, unless the money has gone back meanwhile: then nothing is set aside any more.
pub(super) fn reserve(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    reservation: &Reservation,
) -> Result<Reply, Denial> {
    let Reservation {
        id,
        amount_microusd: amount,
        request,
        ttl_ms,
    } = reservation;
    let mut account = Account::open(tx, now_ms, workspace)?;
    if let Some((_, made, state)) = find(tx, workspace, id)? {
        return if made == *amount {
            Ok(Reply::Reserved {
                reserved: state != State::Expired,
                wallet: account.wallet,
            })
        } else {
            Err(exists(KIND, id))
        };
    }
    let mut enough = books::reserved(account.wallet, *amount);
    while enough.is_none() && account.expire(tx, BATCH)? > 0 {
        enough = books::reserved(account.wallet, *amount);
    }
    let reserved = enough.is_some();
    if let Some(after) = enough {
        tx.query(
            "INSERT INTO reservations (id, workspace, request, amount, state, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                id.as_str().into(),
                workspace.into(),
                request.as_str().into(),
                (*amount).into(),
                word(&State::Held),
                now_ms.saturating_add(*ttl_ms).min(MAX_NUMBER).into(),
            ],
        )
        .map_err(|e| taken(e, KIND, id))?;
        let line = Line {
            request: Some(request),
            ..Line::of(LedgerKind::Reserve, *amount, id)
        };
        account.write(tx, &line, after)?;
    }
    let wallet = account.close(tx)?;
    Ok(Reply::Reserved { reserved, wallet })
}

/// What was set aside pays first, then the balance; after the reservation's end the balance alone. What neither can pay is
/// written down as `shortfall`.
pub(super) fn settle(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    id: &str,
    amount: u64,
) -> Result<Reply, Denial> {
    let mut account = Account::open(tx, now_ms, workspace)?;
    let (request, made, state) = find(tx, workspace, id)?.ok_or_else(|| not_found(KIND, id))?;
    let held = match state {
        State::Settled => return Ok(Reply::Wallet(account.wallet)),
        State::Held => made,
        State::Expired => 0,
    };
    let settled =
        books::settled(account.wallet, held, amount.min(MAX_NUMBER)).ok_or_else(damaged)?;
    end(tx, now_ms, id, State::Settled)?;
    let line = Line {
        shortfall: settled.shortfall,
        request: Some(&request),
        ..Line::of(LedgerKind::Settle, settled.paid, id)
    };
    account.write(tx, &line, settled.wallet)?;
    Ok(Reply::Wallet(account.close(tx)?))
}

/// Gives back up to `most` reservations that nobody has settled in time, and says how many.
pub(super) fn expire(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    most: u32,
) -> Result<u64, StoreError> {
    let mut account = Account::open(tx, now_ms, workspace)?;
    let expired = account.expire(tx, most)?;
    account.close(tx)?;
    Ok(expired)
}

/// Forgets up to `most` reservations of each kind of end that ended a while ago, and says whether there may be more. The
/// ledger keeps what they came to.
pub(super) fn forget(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    most: u32,
) -> Result<bool, StoreError> {
    let mut more = false;
    for state in [State::Settled, State::Expired] {
        let gone = tx.query(
            "DELETE FROM reservations WHERE id IN (
                SELECT id FROM reservations WHERE workspace = ?1 AND state = ?2 AND expires_at < ?3
                ORDER BY expires_at, id LIMIT ?4) RETURNING id",
            &[
                workspace.into(),
                word(&state),
                now_ms.saturating_sub(KNOWN_MS).into(),
                u64::from(most).into(),
            ],
        )?;
        more |= gone.len() as u64 >= u64::from(most);
    }
    Ok(more)
}

fn exists(kind: &str, id: &str) -> Denial {
    Denial::AlreadyExists {
        kind: kind.into(),
        name: id.chars().take(200).collect(),
    }
}
