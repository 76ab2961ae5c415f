//! The vaults of some settings, on the native engine, so that they are asked over HTTP.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::HashMap;
use std::future::Future;

use lockgate_host::{Misconfigured, Secret};
use lockgate_host_native::{Folder, NativeHost, Shared};
use lockgate_vault::{Binding, Place, Places, Stored, VaultError, Vaults};

/// The local KEK.
pub(crate) const KEK: &str = "0101010101010101010101010101010101010101010101010101010101010101";
pub(crate) const BINDING: Binding<'static> = Binding {
    workspace: "ws_1",
    provider: "openai",
    key_id: "pk_1",
    version: 3,
};
pub(crate) const SECRET: &str = "sk-live-0123456789abcdef";

/// Runs `work` on an engine with these settings, `LOCKGATE_KEK` unless they have it.
pub(crate) fn on_host<T, F: Future<Output = T>>(
    settings: &[(&str, &str)],
    work: impl FnOnce(NativeHost) -> F,
) -> T {
    let mut variables = HashMap::from([("LOCKGATE_KEK".to_owned(), KEK.to_owned())]);
    variables.extend(
        settings
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    );
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::open(Folder::take(folder.path()).unwrap(), variables).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let host = async { work(NativeHost::new(shared)).await };
    tokio::task::LocalSet::new().block_on(&runtime, host)
}

/// The vaults of the engine's settings.
pub(crate) async fn read(host: &NativeHost) -> Result<Vaults, Misconfigured> {
    let places = Places {
        http_hosts: Vec::new(),
    };
    Vaults::read(host, &places).await
}

/// Runs `work` with the vaults of these settings.
pub(crate) fn with_vaults<T, F: Future<Output = T>>(
    settings: &[(&str, &str)],
    work: impl FnOnce(NativeHost, Vaults) -> F,
) -> T {
    on_host(settings, |host| async move {
        let vaults = read(&host).await.unwrap();
        work(host, vaults).await
    })
}

/// The problem with these settings.
pub(crate) fn misconfigured(settings: &[(&str, &str)]) -> Misconfigured {
    on_host(settings, |host| async move {
        match read(&host).await {
            Ok(_) => unreachable!("the settings are taken"),
            Err(problem) => problem,
        }
    })
}

pub(crate) fn secret() -> Secret {
    Secret::from(SECRET.to_owned())
}

pub(crate) fn place(stored: &Stored) -> Place<'_> {
    Place {
        kek: &stored.kek,
        entry: &stored.entry,
        wrapped: &stored.wrapped,
    }
}

/// What is sealed, as text.
pub(crate) async fn opened(
    host: &NativeHost,
    vaults: &Vaults,
    binding: &Binding<'_>,
    stored: &Stored,
) -> Result<String, VaultError> {
    let ciphertext = stored.ciphertext.as_deref().unwrap_or_default();
    let given = vaults.give(host, binding, place(stored)).await?;
    let secret = Vaults::open(binding, place(stored), &given, ciphertext)?;
    Ok(secret.expose_str().unwrap_or_default().to_owned())
}
