//! Splits drawn from the authority.

use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::authority;
use lockgate_workspace::question::{
    DataQuestion, Denial, Envelope, Records, Reply, SplitDraw, SplitReturn,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::sqlite::{MemoryDatabase, now};

/// When the tests take place: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;

fn ask(store: &MemoryDatabase, lease_ms: u64, question: DataQuestion) -> Result<Reply, Denial> {
    let envelope = Envelope {
        object: DEFAULT_WORKSPACE.to_owned(),
        actor: "system".to_owned(),
        keys: crate::keyring::keyring("kek"),
        lease_ms,
        question,
    };
    now(authority::process(store, START, envelope)).reply
}

fn draw_under(store: &MemoryDatabase, lease_ms: u64, draw: SplitDraw) -> (Vec<u32>, u64) {
    match ask(store, lease_ms, DataQuestion::DrawSplit(draw)) {
        Ok(Reply::Split { places, lease_ms }) => (places, lease_ms),
        other => panic!("{other:?}"),
    }
}

fn draw(store: &MemoryDatabase, split: &str, weights: &[u32], most: u32) -> Vec<u32> {
    let draw = SplitDraw {
        split: split.to_owned(),
        weights: weights.to_vec(),
        most,
    };
    draw_under(store, 1_000, draw).0
}

fn give_back(store: &MemoryDatabase, split: &str, weights: &[u32], unused: &[u32]) {
    let question = DataQuestion::Report {
        records: Records::new("[]".to_owned()),
        incidents: Vec::new(),
        grants: Vec::new(),
        splits: vec![SplitReturn {
            split: split.to_owned(),
            weights: weights.to_vec(),
            unused: unused.to_vec(),
        }],
        admit: None,
    };
    assert_eq!(ask(store, 1_000, question), Ok(Reply::Done));
}

fn handed(store: &MemoryDatabase) -> String {
    let rows = store.sql("SELECT handed FROM splits", &[]).unwrap();
    format!("{rows:?}")
}

#[test]
fn blocks_go_on_where_the_last_one_ended() {
    let (all, parts) = (MemoryDatabase::new(), MemoryDatabase::new());
    let weights = [70, 20, 10];
    let whole = draw(&all, "s", &weights, 200);
    let mut joined = Vec::new();
    for most in [1, 2, 30, 67, 100] {
        joined.extend(draw(&parts, "s", &weights, most));
    }
    assert_eq!(joined, whole);
    // Another split is counted by itself.
    assert_eq!(draw(&parts, "t", &weights, 30), whole[..30]);
}

#[test]
fn other_weights_begin_anew_and_old_blocks_count_no_more() {
    let store = MemoryDatabase::new();
    let first = draw(&store, "s", &[2, 1], 4);
    assert_eq!(
        draw(&store, "s", &[1, 1], 2),
        draw(&MemoryDatabase::new(), "s", &[1, 1], 2)
    );
    let before = handed(&store);
    give_back(&store, "s", &[2, 1], &[1, 1]);
    give_back(&store, "gone", &[1, 1], &[1, 1]);
    assert_eq!(handed(&store), before);
    // As many targets as before are no reason to go on.
    assert_eq!(draw(&store, "s", &[2, 1], 4), first);
    assert_eq!(
        draw(&store, "s", &[2, 1, 1], 4),
        draw(&MemoryDatabase::new(), "s", &[2, 1, 1], 4)
    );
}

#[test]
fn without_a_lease_there_is_one_place() {
    let store = MemoryDatabase::new();
    let wanted = SplitDraw {
        split: "s".into(),
        weights: vec![1, 1],
        most: 50,
    };
    let (places, lease_ms) = draw_under(&store, 0, wanted.clone());
    assert_eq!((places.len(), lease_ms), (1, 0));
    let (places, lease_ms) = draw_under(&store, 700, wanted);
    assert_eq!((places.len(), lease_ms), (50, 700));
    assert_eq!(draw(&store, "s", &[1, 1], 0).len(), 1);
    assert_eq!(draw(&store, "s", &[1, 1], u32::MAX).len(), 1_000);
}

#[test]
fn weights_that_no_document_has_are_refused() {
    let store = MemoryDatabase::new();
    for weights in [vec![], vec![1; 21], vec![1, 0], vec![1_001, 1]] {
        let question = DataQuestion::DrawSplit(SplitDraw {
            split: "s".into(),
            weights,
            most: 1,
        });
        let denied = ask(&store, 1_000, question);
        assert!(matches!(denied, Err(Denial::Store(_))), "{denied:?}");
    }
}

#[test]
fn splits_that_are_kept_are_bounded() {
    let store = MemoryDatabase::new();
    for split in 0..1_001 {
        draw(&store, &format!("s{split}"), &[1, 1], 1);
    }
    let rows = store.sql("SELECT split FROM splits", &[]).unwrap();
    assert!(rows.len() <= 1_000, "{}", rows.len());
    assert!(format!("{rows:?}").contains("s1000"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Isolates draw blocks, use some of each from the front, and give the rest back when they flush. With everything
    /// given back and as many further requests as the one that is farthest ahead is ahead, counts are exact again.
    #[test]
    fn isolates_together_are_exact(
        weights in vec(1..=30_u32, 2..=6),
        steps in vec((0..4_usize, 0..3_u8, 1..40_u32), 1..80),
    ) {
        let store = MemoryDatabase::new();
        let mut isolates = vec![Vec::<u32>::new(); 4];
        let mut counts = vec![0_u64; weights.len()];
        let flush = |isolate: &mut Vec<u32>| {
            let mut unused = vec![0; weights.len()];
            for place in isolate.drain(..) {
                unused[place as usize] += 1;
            }
            give_back(&store, "s", &weights, &unused);
        };
        for (isolate, what, amount) in steps {
            let isolate = &mut isolates[isolate];
            match what {
                0 => flush(isolate),
                _ => {
                    for _ in 0..amount {
                        if isolate.is_empty() {
                            isolate.extend(draw(&store, "s", &weights, amount));
                        }
                        counts[isolate.remove(0) as usize] += 1;
                    }
                }
            }
        }
        isolates.iter_mut().for_each(flush);
        // All isolates held a stretch of the sequence each, none of which is two away.
        let whole = super::whole(&weights);
        prop_assert!(super::farthest(&weights, &counts) < 9 * whole, "{:?}", counts);
        let each = weights.iter().zip(&counts);
        let even_at = each.map(|(weight, count)| (count * whole).div_ceil(u64::from(*weight))).max().unwrap();
        let missing = even_at - counts.iter().sum::<u64>();
        for _ in 0..missing {
            counts[draw(&store, "s", &weights, 1)[0] as usize] += 1;
        }
        prop_assert!(super::farthest(&weights, &counts) < whole, "{:?}", counts);
        for _ in 0..20 {
            counts[draw(&store, "s", &weights, 1)[0] as usize] += 1;
            prop_assert!(super::farthest(&weights, &counts) < whole, "{:?}", counts);
        }
    }
}
