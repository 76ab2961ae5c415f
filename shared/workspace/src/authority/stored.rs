//! What every kind of resource that is found, listed and removed alike has in common.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Page, Reply, Resource};
use crate::resource::ManagedBy;

use super::admit::touch;
use super::cells::{self, Cells, expect_revision, not_found};
use super::gateway_keys::unused;

/// A kind of resource with a table of its own, in which `workspace`, `id`, `name`, `created_at` and `revision` are
/// columns.
pub(super) trait Stored: Sized {
    const KIND: Kind;
    const TABLE: &'static str;
    /// What [`Stored::read`] reads, in its order.
    const COLUMNS: &'static str;
    /// The same for lists, where large columns are left out.
    const LISTED: &'static str = Self::COLUMNS;

    fn read(cells: Cells) -> Result<Self, StoreError>;
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn revision(&self) -> u64;
    fn managed_by(&self) -> ManagedBy {
        ManagedBy::Manual
    }
    fn resource(self) -> Resource;
}

/// The functions of [`Stored`] that look at fields which every kind has; `managed` for those that documents may declare.
macro_rules! accessors {
    ($kind:ident, managed) => {
        accessors!($kind);

        fn managed_by(&self) -> $crate::resource::ManagedBy {
            self.managed_by
        }
    };
    ($kind:ident) => {
        fn id(&self) -> &str {
            &self.id
        }

        fn name(&self) -> &str {
            &self.name
        }

        fn revision(&self) -> u64 {
            self.revision
        }

        fn resource(self) -> $crate::question::Resource {
            $crate::question::Resource::$kind(self)
        }
    };
}
pub(super) use accessors;

/// One by id or name.
pub(super) fn find<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
) -> Result<T, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {} FROM {} WHERE workspace = ?1 AND (id = ?2 OR name = ?2) ORDER BY id = ?2 DESC",
            T::COLUMNS,
            T::TABLE
        ),
        &[workspace.into(), reference.into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(T::read(Cells::new(row))?),
        None => Err(not_found(T::KIND.word(), reference)),
    }
}

/// One that a live edit may change, in the revision that the asker has seen.
pub(super) fn editable<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<T, Denial> {
    patchable(tx, workspace, reference, expect, false)
}

/// The same for a change that may be no more than handing it back to people.
pub(super) fn patchable<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    hands_back: bool,
) -> Result<T, Denial> {
    let found: T = find(tx, workspace, reference)?;
    if found.managed_by() == ManagedBy::Declarative {
        let (kind, id, name) = (T::KIND.word(), found.id(), found.name());
        undeclared(tx, workspace, (kind, id, name), hands_back)?;
    }
    expect_revision(expect, found.revision())?;
    Ok(found)
}

/// Refuses a live edit of what is managed declaratively. Only what no document declares may be handed back to people:
/// there would be no other way to change it ever again.
pub(super) fn undeclared(
    tx: &mut dyn Tx,
    workspace: &str,
    (kind, id, name): (&str, &str, &str),
    hands_back: bool,
) -> Result<(), Denial> {
    let rows = tx.query(
        "SELECT id, name FROM configurations WHERE workspace = ?1 AND declared LIKE '%\"' || ?2 || '\"%'",
        &[workspace.into(), id.into()],
    )?;
    let configuration = match rows.into_iter().next() {
        None if hands_back => return Ok(()),
        None => None,
        Some(row) => {
            let mut cells = Cells::new(row);
            Some(Box::new((cells.text()?, cells.text()?)))
        }
    };
    Err(Denial::Declarative {
        kind: kind.into(),
        name: name.into(),
        configuration,
    })
}

/// The answer that shows one.
pub(super) fn get<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
) -> Result<Reply, Denial> {
    let found: T = find(tx, workspace, reference)?;
    Ok(Reply::Resource(Box::new(found.resource())))
}

/// A page of them, in the order they were made.
pub(super) fn list<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    page: &Page,
) -> Result<Reply, Denial> {
    let all = cells::page(tx, (T::TABLE, T::LISTED), workspace, page, T::read)?;
    Ok(Reply::Resources(all.into_iter().map(T::resource).collect()))
}

/// Removes the row of one.
pub(super) fn remove<T: Stored>(tx: &mut dyn Tx, found: &T) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE id = ?1", T::TABLE);
    tx.query(&sql, &[found.id().into()]).map(|_| ())
}

/// Removes one that no gateway key in force is bound to.
pub(super) fn delete<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let found: T = editable(tx, workspace, reference, expect)?;
    unused(tx, workspace, &found)?;
    remove(tx, &found)?;
    touch(tx, workspace)?;
    Ok(Reply::Done)
}
