//! `spin:variables@3.0.0`: a component's own variables, resolved when the manifest was read.

use wasmtime::component::Accessor;

use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use super::{Spin, SpinView};

impl Host for SpinView<'_> {}

impl<T> HostWithStore<T> for Spin {
    async fn get(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !valid {
            return Ok(Err(Error::InvalidName(format!(
                "{name:?} is not lower snake case"
            ))));
        }
        Ok(accessor.with(
            |mut access| match access.get().component.variables.get(&name) {
                Some(value) => Ok(value.to_owned()),
                None => Err(Error::Undefined(format!(
                    "the component has no variable {name:?}"
                ))),
            },
        ))
    }
}
