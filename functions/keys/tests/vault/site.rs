//! The settings of a process.

use crate::kms::ARN;
use crate::world::{KMS, TOKEN, VAULT};

/// The root token.
pub(crate) const ADMIN_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Which vaults and KEKs a process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// The KEKs by number, the one in force first.
    keks: Vec<u8>,
    /// The vaults, the one in force first.
    vaults: Vec<&'static str>,
}

impl Site {
    /// One KEK and one vault.
    pub(crate) fn new(kek: u8, vault: &'static str) -> Self {
        Self {
            keks: vec![kek],
            vaults: vec![vault],
        }
    }

    /// With something that is read beside.
    pub(crate) fn reading(mut self, other: &Self) -> Self {
        for kek in &other.keks {
            if !self.keks.contains(kek) {
                self.keks.push(*kek);
            }
        }
        for vault in &other.vaults {
            if !self.vaults.contains(vault) {
                self.vaults.push(vault);
            }
        }
        self
    }

    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let hex = |kek: &u8| format!("{kek:02x}").repeat(32);
        let text = match name {
            "LOCKGATE_ADMIN_TOKEN" => ADMIN_TOKEN.to_owned(),
            "LOCKGATE_KEK" => hex(&self.keks[0]),
            "LOCKGATE_KEK_PREVIOUS" => {
                let previous: Vec<String> = self.keks[1..].iter().map(hex).collect();
                previous.join(",")
            }
            "LOCKGATE_VAULT" => self.vaults[0].to_owned(),
            "LOCKGATE_VAULT_PREVIOUS" => self.vaults[1..].join(","),
            "LOCKGATE_VAULT_ADDR" => VAULT.to_owned(),
            "LOCKGATE_VAULT_TOKEN" => TOKEN.to_owned(),
            "LOCKGATE_VAULT_TRANSIT_KEY" => "lockgate".to_owned(),
            "LOCKGATE_VAULT_AWS_KEY" => ARN.to_owned(),
            "LOCKGATE_VAULT_AWS_REGION" => "eu-central-1".to_owned(),
            "LOCKGATE_VAULT_AWS_ENDPOINT" => KMS.to_owned(),
            "LOCKGATE_VAULT_AWS_ACCESS_KEY_ID" => "AKIAIOSFODNN7EXAMPLE".to_owned(),
            "LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY" => {
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()
            }
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }
}
