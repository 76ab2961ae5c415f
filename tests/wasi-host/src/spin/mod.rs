//! Spin's own interfaces for the components: `spin:key-value@3.0.0`, `spin:sqlite@3.1.0`, `spin:variables@3.0.0`
//! (`wit/`), over SQLite files as `spin up` keeps them.

mod key_value;
mod sqlite;
mod variables;

pub use key_value::KeyValue;
pub use sqlite::SqliteDatabase;

use wasmtime::component::{HasData, Linker, ResourceTable};

use crate::app::{ComponentShared, HostState};

/// Handles of one kind that one instance may hold at once, as in Spin.
const MAX_HANDLES: u32 = 256;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "wasi-host:spin/host",
        imports: { default: trappable },
        with: {
            "spin:key-value/key-value.store": super::key_value::Store,
            "spin:sqlite/sqlite.connection": super::sqlite::Connection,
        },
    });
}

/// What the interfaces see of an instance.
pub(crate) struct SpinView<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) component: &'a ComponentShared,
    pub(crate) handles: &'a mut Handles,
}

/// Open handles of an instance.
#[derive(Default)]
pub(crate) struct Handles {
    stores: u32,
    connections: u32,
}

struct Spin;

impl HasData for Spin {
    type Data<'a> = SpinView<'a>;
}

/// Adds the three interfaces to `linker`.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    bindings::spin::key_value::key_value::add_to_linker::<_, Spin>(linker, HostState::spin)?;
    bindings::spin::sqlite::sqlite::add_to_linker::<_, Spin>(linker, HostState::spin)?;
    bindings::spin::variables::variables::add_to_linker::<_, Spin>(linker, HostState::spin)
}
