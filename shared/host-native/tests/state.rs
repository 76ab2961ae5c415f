//! The database, the key-value entries, the folder, and work in the background.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lockgate_host::{
    Authority, Background, Clock, Database, KeyValue, Random, Row, StoreError, Tx, TxKind, Value,
    Variables,
};
use lockgate_host_native::{Folder, FolderError, NativeHost, OpenError, Shared};

fn open(folder: &Path) -> Result<Arc<Shared>, OpenError> {
    Shared::open(
        Folder::take(folder)?,
        HashMap::from([
            ("SET".to_owned(), "value".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]),
    )
}

fn on_host<T, F: Future<Output = T>>(folder: &Path, work: impl FnOnce(NativeHost) -> F) -> T {
    let shared = open(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let host = async { work(NativeHost::new(shared)).await };
    tokio::task::LocalSet::new().block_on(&runtime, host)
}

async fn write(host: &NativeHost, sql: &'static str) -> Result<Vec<Row>, StoreError> {
    one(host, TxKind::Write, sql, Vec::new()).await
}

async fn one(
    host: &NativeHost,
    kind: TxKind,
    sql: &'static str,
    params: Vec<Value>,
) -> Result<Vec<Row>, StoreError> {
    let database = host.database().unwrap();
    database
        .transact(kind, move |tx: &mut dyn Tx| tx.query(sql, &params))
        .await
}

#[test]
fn values_come_back_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        write(&host, "CREATE TABLE t (a, b, c, d, e)")
            .await
            .unwrap();
        let row = vec![
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(1.5),
            Value::Text("zwölf\0".to_owned()),
            Value::Blob(vec![0, 255]),
        ];
        let put = "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5) RETURNING *";
        let put = one(&host, TxKind::Write, put, row.clone()).await.unwrap();
        assert_eq!(put, std::slice::from_ref(&row));
        let got = one(&host, TxKind::Read, "SELECT * FROM t", Vec::new())
            .await
            .unwrap();
        assert_eq!(got, [row]);
    });
}

#[test]
fn a_transaction_is_all_or_nothing() {
    #[derive(Debug, PartialEq)]
    enum Refused {
        Store(StoreError),
        Ours,
    }
    impl From<StoreError> for Refused {
        fn from(error: StoreError) -> Self {
            Self::Store(error)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        write(&host, "CREATE TABLE t (a INTEGER PRIMARY KEY)")
            .await
            .unwrap();
        let database = host.database().unwrap();
        let ours = database
            .transact(TxKind::Write, |tx| {
                tx.query("INSERT INTO t VALUES (1)", &[])?;
                Err::<(), _>(Refused::Ours)
            })
            .await;
        assert_eq!(ours, Err(Refused::Ours));
        let twice = database
            .transact(TxKind::Write, |tx| {
                tx.query("INSERT INTO t VALUES (2)", &[])?;
                tx.query("INSERT INTO t VALUES (2)", &[])?;
                Ok::<_, Refused>(())
            })
            .await;
        assert!(
            matches!(twice, Err(Refused::Store(StoreError::Constraint(_)))),
            "{twice:?}"
        );
        let count = one(&host, TxKind::Read, "SELECT count(*) FROM t", Vec::new()).await;
        assert_eq!(count.unwrap(), [[Value::Integer(0)]]);
        write(&host, "INSERT INTO t VALUES (3)").await.unwrap();
        let count = one(&host, TxKind::Read, "SELECT a FROM t", Vec::new()).await;
        assert_eq!(count.unwrap(), [[Value::Integer(3)]]);
    });
}

#[test]
fn readers_change_nothing_and_see_one_state() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        write(&host, "CREATE TABLE t (a)").await.unwrap();
        let refused = one(&host, TxKind::Read, "INSERT INTO t VALUES (1)", Vec::new()).await;
        assert!(refused.is_err());
        let (inside, go) = std::sync::mpsc::channel::<()>();
        let database = host.database().unwrap().clone();
        let reading = tokio::task::spawn_local(async move {
            database
                .transact(TxKind::Read, move |tx| {
                    let before = tx.query("SELECT count(*) FROM t", &[])?;
                    go.recv_timeout(Duration::from_secs(10)).unwrap();
                    Ok::<_, StoreError>((before, tx.query("SELECT count(*) FROM t", &[])?))
                })
                .await
        });
        // A writer does not wait for a reader.
        tokio::time::sleep(Duration::from_millis(50)).await;
        write(&host, "INSERT INTO t VALUES (1)").await.unwrap();
        inside.send(()).unwrap();
        let (before, after) = reading.await.unwrap().unwrap();
        assert_eq!(before, after);
    });
}

#[test]
fn foreign_keys_hold_and_two_statements_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        write(&host, "CREATE TABLE a (id INTEGER PRIMARY KEY)")
            .await
            .unwrap();
        write(&host, "CREATE TABLE b (a INTEGER REFERENCES a (id))")
            .await
            .unwrap();
        let orphan = write(&host, "INSERT INTO b VALUES (7)").await;
        assert!(
            matches!(orphan, Err(StoreError::Constraint(_))),
            "{orphan:?}"
        );
        assert!(write(&host, "SELECT 1; SELECT 2").await.is_err());
    });
}

#[test]
fn entries_live_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        assert_eq!(host.kv_get("a").await.unwrap(), None);
        host.kv_put("a", b"sealed-and-delivered").await.unwrap();
        host.kv_delete("never there").await.unwrap();
    });
    on_host(folder.path(), |host| async move {
        assert_eq!(
            host.kv_get("a").await.unwrap().unwrap(),
            b"sealed-and-delivered"
        );
        host.kv_delete("a").await.unwrap();
        assert_eq!(host.kv_get("a").await.unwrap(), None);
        host.kv_put("b", b"sealed-and-delivered").await.unwrap();
    });
    let holds = |name: &str| {
        let file = std::fs::read(folder.path().join(name)).unwrap_or_default();
        file.windows(20)
            .any(|window| window == b"sealed-and-delivered")
    };
    assert!(holds("kv.sqlite") || holds("kv.sqlite-wal"));
    assert!(!holds("lockgate.sqlite") && !holds("lockgate.sqlite-wal"));
}

#[test]
fn a_folder_serves_one_gateway_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let second = open(folder.path()).map(drop).unwrap_err();
    assert!(
        matches!(second, OpenError::Folder(FolderError::InUse(_))),
        "{second}"
    );
    drop(first);
    open(folder.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let outer = tempfile::tempdir().unwrap();
    let made = outer.path().join("made/by/us");
    let folder = &made;
    on_host(folder, |host| async move {
        write(&host, "CREATE TABLE t (a)").await.unwrap();
        host.kv_put("a", b"b").await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder), 0o700);
        let files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert!(files.len() > 4, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    });
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    for name in ["lockgate.sqlite", "kv.sqlite"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let content =
            b"this is no database, and it is longer than the header of one would be".repeat(100);
        std::fs::write(&file, &content).unwrap();
        let error = open(folder.path()).map(drop).unwrap_err();
        assert!(
            matches!(&error, OpenError::Store { path, problem: StoreError::Corrupt(_) } if *path == file),
            "{error}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}

#[test]
fn background_work_is_waited_for_and_then_no_longer_taken() {
    let folder = tempfile::tempdir().unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    on_host(folder.path(), |host| async move {
        let (work, counted) = (host.clone(), Arc::clone(&count));
        host.spawn(async move {
            work.sleep(Duration::from_millis(50)).await;
            let again = Arc::clone(&counted);
            work.spawn(async move {
                again.fetch_add(1, Ordering::SeqCst);
            });
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert!(host.finish(Duration::from_secs(5)).await);
        let never = Arc::clone(&count);
        host.spawn(async move {
            never.fetch_add(100, Ordering::SeqCst);
        });
        tokio::task::yield_now().await;
    });
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[test]
fn background_work_that_does_not_end_is_left() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        host.spawn(std::future::pending());
        assert!(!host.finish(Duration::from_millis(50)).await);
    });
}

#[test]
fn settings_epoch_time_and_randomness() {
    let folder = tempfile::tempdir().unwrap();
    on_host(folder.path(), |host| async move {
        let set = host.variable("SET").await;
        assert_eq!(set, Ok(Some("value".to_owned())));
        assert_eq!(host.variable("EMPTY").await, Ok(None));
        assert_eq!(host.variable("ABSENT").await, Ok(None));
        let epoch = host.epoch().unwrap();
        host.clone().advance_epoch();
        assert_eq!(host.epoch(), Some(epoch + 1));
        assert!(host.now_ms() > 1_700_000_000_000);
        let before = host.monotonic_ms();
        host.sleep(Duration::from_millis(20)).await;
        assert!(host.monotonic_ms() >= before + 20);
        let (mut one, mut other) = ([0; 32], [0; 32]);
        host.random(&mut one);
        host.random(&mut other);
        assert_ne!(one, other);
    });
}

#[cfg(unix)]
#[test]
fn files_of_the_folder_are_written_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let outer = tempfile::tempdir().unwrap();
    let folder = Folder::take(outer.path()).unwrap();
    assert_eq!(folder.read("kek").unwrap(), None);
    folder.write("kek", b"first, and longer").unwrap();
    folder.write("kek", b"second").unwrap();
    assert_eq!(folder.read("kek").unwrap().as_deref(), Some("second"));
    let mode = std::fs::metadata(outer.path().join("kek"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(outer.path().join("kek"), [0xff]).unwrap();
    assert!(matches!(folder.read("kek"), Err(FolderError::Io { .. })));
}
