//! What each event makes of a wallet, as plain arithmetic: nothing falls below zero, and `balance + reserved` changes by
//! credits and by what settling takes, and by nothing else.

use crate::resource::Wallet;

use crate::authority::cells::MAX_NUMBER;

/// What settling makes of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) wallet: Wallet,
    /// What was taken.
    pub(super) paid: u64,
    /// What it cost beyond that.
    pub(super) shortfall: u64,
}

/// Money comes in; `None` where more would be in the wallet than can be counted exactly.
pub(super) fn credited(wallet: Wallet, amount: u64) -> Option<Wallet> {
    let balance_microusd = wallet.balance_microusd.checked_add(amount)?;
    // What is reserved may all come back.
    let whole = balance_microusd.checked_add(wallet.reserved_microusd)?;
    (whole <= MAX_NUMBER).then_some(Wallet {
        balance_microusd,
        ..wallet
    })
}

/// Money is set aside; `None` where there is not enough.
pub(super) fn reserved(wallet: Wallet, amount: u64) -> Option<Wallet> {
    Some(Wallet {
        balance_microusd: wallet.balance_microusd.checked_sub(amount)?,
        reserved_microusd: wallet.reserved_microusd.checked_add(amount)?,
    })
}

/// What was set aside goes back; `None` where the wallet has not set aside so much.
pub(super) fn released(wallet: Wallet, held: u64) -> Option<Wallet> {
    Some(Wallet {
        balance_microusd: wallet.balance_microusd.checked_add(held)?,
        reserved_microusd: wallet.reserved_microusd.checked_sub(held)?,
    })
}

/// A request is paid for, out of the `held` that was set aside for it and then out of the balance, as far as they reach;
/// what is left of the held goes back. `None` where the wallet has not set aside so much.
pub(super) fn settled(wallet: Wallet, held: u64, cost: u64) -> Option<Settled> {
    let whole = released(wallet, held)?;
    let paid = cost.min(whole.balance_microusd);
    Some(Settled {
        wallet: Wallet {
            balance_microusd: whole.balance_microusd - paid,
            ..whole
        },
        paid,
        shortfall: cost - paid,
    })
}
