//! Whoever changes one byte of the stored log is found, and so is who removes, adds or moves rows.

use super::chain::chain_of;
use super::*;

const ROWS: u64 = 5;
const COLUMNS: [&str; 10] = [
    "workspace",
    "seq",
    "at",
    "actor",
    "action",
    "resource",
    "before",
    "after",
    "previous_hash",
    "hash",
];

/// What a stored value could be changed to by one byte, or by one stroke.
fn changes(value: &Stored) -> Vec<Stored> {
    match value {
        Stored::Null => ["", "null", "{}"].map(|t| Stored::Text(t.into())).to_vec(),
        Stored::Integer(number) => {
            // Each of the eight bytes that hold it, in several ways.
            let mut all: Vec<Stored> = (0..64)
                .step_by(8)
                .flat_map(|shift| [0x01, 0x80, 0xff].map(|flip: i64| flip << shift))
                .map(|flip| Stored::Integer(number ^ flip))
                .collect();
            all.extend([
                Stored::Null,
                Stored::Real(0.5),
                Stored::Text("x".into()),
                Stored::Integer(number + 1),
                Stored::Integer(number - 1),
            ]);
            all
        }
        Stored::Text(text) => {
            let mut all = vec![Stored::Null, Stored::Text(format!("{text} "))];
            for at in 0..text.len() {
                for flip in [0x01, 0x20, 0x80, 0xff] {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= flip;
                    all.push(Stored::Blob(bytes));
                }
                let mut bytes = text.clone().into_bytes();
                bytes.remove(at);
                all.push(Stored::Blob(bytes));
            }
            all
        }
        other => panic!("{other:?}"),
    }
}

/// A text whose bytes were flipped is stored as a text again, whatever the bytes are now.
fn parameter(change: &Stored) -> &'static str {
    if matches!(change, Stored::Blob(_)) {
        "CAST(?1 AS TEXT)"
    } else {
        "?1"
    }
}

#[test]
fn one_byte_of_any_column_of_any_row_is_seen_and_its_row_named() {
    let store = chain_of(ROWS);
    let mut tried = 0;
    for column in COLUMNS {
        let types = store.sql(&format!("SELECT {column} FROM audit ORDER BY seq"));
        for (seq, cells) in (1_u64..).zip(types) {
            for change in changes(&cells[0]) {
                store.sql("SAVEPOINT tampering");
                let value = parameter(&change);
                let sql = format!("UPDATE audit SET {column} = {value} WHERE seq = ?2");
                let params = [change.clone(), seq.into()];
                // What the table itself does not take cannot be done to it.
                if store.database.sql(&sql, &params).is_ok() {
                    tried += 1;
                    let found = store.verify();
                    assert!(!found.ok, "{column} of {seq}: {change:?}");
                    assert_eq!(found.first_bad_seq, Some(seq), "{column}: {change:?}");
                }
                store.sql("ROLLBACK TO tampering");
                store.sql("RELEASE tampering");
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
    assert_eq!(store.verify(), intact(ROWS));
}

#[test]
fn one_byte_of_the_head_is_seen() {
    let store = chain_of(ROWS);
    for column in ["workspace", "seq", "hash"] {
        let cells = store
            .sql(&format!("SELECT {column} FROM audit_heads"))
            .remove(0);
        for change in changes(&cells[0]) {
            store.sql("SAVEPOINT tampering");
            let value = parameter(&change);
            let sql = format!("UPDATE audit_heads SET {column} = {value}");
            if store
                .database
                .sql(&sql, std::slice::from_ref(&change))
                .is_ok()
            {
                let found = store.verify();
                assert!(!found.ok, "{column}: {change:?}");
                let named = match (column, &change) {
                    ("hash", Stored::Blob(_) | Stored::Text(_)) => ROWS,
                    ("seq", Stored::Integer(seq)) => match u64::try_from(*seq) {
                        Ok(seq) => seq.min(ROWS) + 1,
                        Err(_) => 1,
                    },
                    _ => 1,
                };
                assert_eq!(found.first_bad_seq, Some(named), "{column}: {change:?}");
            }
            store.sql("ROLLBACK TO tampering");
            store.sql("RELEASE tampering");
        }
    }
    assert_eq!(store.verify(), intact(ROWS));
}

#[test]
fn rows_that_are_gone_new_or_elsewhere_are_seen() {
    let copy = |from: u64, to: u64| {
        format!(
            "INSERT INTO audit SELECT workspace, {to}, at, actor, action, resource, before, after, previous_hash, hash
             FROM audit WHERE seq = {from}"
        )
    };
    let swap = |a: u64, b: u64| {
        vec![
            format!("UPDATE audit SET seq = 99 WHERE seq = {a}"),
            format!("UPDATE audit SET seq = {a} WHERE seq = {b}"),
            format!("UPDATE audit SET seq = {b} WHERE seq = 99"),
        ]
    };
    let one = |sql: &str| vec![sql.to_owned()];
    let mut cases = vec![
        (one("DELETE FROM audit WHERE seq > 3"), 4),
        (one("DELETE FROM audit"), 1),
        (one("DELETE FROM audit WHERE seq = 1"), 1),
        (vec![copy(5, 6)], 6),
        (vec![copy(2, 900)], 6),
        (vec![copy(1, 0)], 0),
        // The tail is cut off and the head told so, but not the right hash.
        (
            vec![
                "DELETE FROM audit WHERE seq > 3".to_owned(),
                "UPDATE audit_heads SET seq = 3".to_owned(),
            ],
            3,
        ),
        // The whole chain moves up by one.
        (
            vec![
                "UPDATE audit SET seq = seq + 100".to_owned(),
                "UPDATE audit SET seq = seq - 99".to_owned(),
            ],
            1,
        ),
    ];
    for a in 1..=ROWS {
        cases.push((one(&format!("DELETE FROM audit WHERE seq = {a}")), a));
        for b in a + 1..=ROWS {
            cases.push((swap(a, b), a));
        }
    }
    for (statements, named) in cases {
        let store = chain_of(ROWS);
        for sql in &statements {
            store.sql(sql);
        }
        let found = store.verify();
        let verdict = (found.ok, found.first_bad_seq);
        assert_eq!(verdict, (false, Some(named)), "{statements:?}");
    }
}

/// What was spoilt is still shown, so that it can be looked at.
#[test]
fn a_row_that_is_no_json_any_more_is_listed() {
    let store = chain_of(3);
    store.sql("UPDATE audit SET after = '{\"id\":' WHERE seq = 1");
    let log = store.log();
    assert_eq!(log[0].after, Some("{\"id\":".into()));
    assert_eq!(store.verify().first_bad_seq, Some(1));
}
