//! Which of several targets of one priority is first (FEATURES C2): the session's own where the client names one, else what
//! the authority's split says, in blocks: so counts are exact across isolates ([`lockgate_workspace::split`]).
//!
//! An isolate uses a block for as long as its lease holds, and gives back with each flush of the log what it has not used.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::Host;
use lockgate_routing::{Course, Step};
use lockgate_workspace::lease::Lease;
use lockgate_workspace::question::{DataQuestion, Reply, SplitDraw, SplitReturn};
use lockgate_workspace::split::{MAX_BLOCK, hand, sticky};
use lockgate_workspace::{Settings, ask};

use crate::admission::Caller;
use crate::{circuit, log};

/// Workspaces whose splits an isolate keeps at once.
const MAX_WORKSPACES: usize = 1_000;

/// How long a request looks again and again whether another one's draw has come back, and the pauses, ms.
const GLANCES_MS: u64 = 500;
const GLANCE_MS: u64 = 2;

thread_local! {
    static BLOCKS: RefCell<Blocks> = RefCell::default();
}

/// The order in which the choices of a step are to be tried: the first by session or split, then the others as the
/// configuration has them, the heaviest first.
pub(crate) async fn order<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    caller: &Caller,
    course: &Course<'_>,
    step: usize,
    session: Option<&str>,
) -> Vec<usize> {
    let Some(step) = course.steps.get(step) else {
        return Vec::new();
    };
    let first = if step.choices.len() < 2 {
        0
    } else {
        let weights: Vec<u32> = step.choices.iter().map(|choice| choice.weight).collect();
        let route = course.route.map_or("", |route| &route.name);
        match session.filter(|session| !session.is_empty()) {
            Some(session) => sticky(&weights, route, step.priority, session),
            None => {
                let split = name(caller, course, step);
                drawn(host, settings, caller, &split, weights).await
            }
        }
    };
    circuit::ordered();
    let others = (0..step.choices.len()).filter(|place| *place != first);
    std::iter::once(first).chain(others).collect()
}

/// What a split is called: two are never counted together. Where a call leaves some of a route's targets out, since they
/// have no such call, that is a split of its own.
fn name(caller: &Caller, course: &Course<'_>, step: &Step<'_>) -> String {
    let configuration = caller.who.configuration().map_or("", |live| &live.id);
    let priority = step.priority;
    let Some(route) = course.route else {
        return format!("{configuration}/{priority}");
    };
    let targets = route.targets.iter();
    let all = targets.filter(|target| target.priority == priority).count();
    let mut name = format!("{configuration}/{priority}/");
    if step.choices.len() < all {
        for choice in &step.choices {
            name.push_str(choice.target.manifest.slug);
            name.push(',');
        }
    }
    name.push('/');
    name.push_str(&route.name);
    name
}

/// The place that is next: out of a block, else drawn anew. A split that cannot be drawn fails no request: then this
/// isolate counts for itself.
async fn drawn<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    caller: &Caller,
    split: &str,
    weights: Vec<u32>,
) -> usize {
    let workspace = &*caller.who.snapshot.workspace;
    let began = host.monotonic_ms();
    let mut asked_at = began;
    loop {
        let (taken, drawing) = BLOCKS.with_borrow_mut(|blocks| {
            match blocks
                .find(workspace, split)
                .filter(|split| split.is_of(&weights))
            {
                Some(split) => (split.take(asked_at), split.is_being_drawn(asked_at)),
                None => (None, false),
            }
        });
        if let Some(place) = taken {
            return place;
        }
        // While one request draws, what it brings is likely enough for others.
        let late = asked_at.saturating_sub(began) >= GLANCES_MS;
        if !drawing || late || settings.lease_ms == 0 {
            break;
        }
        host.sleep(Duration::from_millis(GLANCE_MS)).await;
        asked_at = host.monotonic_ms();
    }
    let most = BLOCKS.with_borrow_mut(|blocks| {
        let split = blocks.split(workspace, split, &weights);
        split.since = asked_at;
        split.begin()
    });
    let under_way = UnderWay { workspace, split };
    let question = DataQuestion::DrawSplit(SplitDraw {
        split: split.to_owned(),
        weights: weights.clone(),
        most,
    });
    let answered = ask(host, settings, workspace, question).await;
    drop(under_way);
    let block = match answered.map(|answered| answered.reply) {
        Ok(Reply::Split { places, lease_ms }) => {
            log::more(host, settings, workspace);
            Some(Block {
                places: places.into(),
                lease: Lease::new(asked_at, lease_ms),
            })
        }
        _ => None,
    };
    BLOCKS.with_borrow_mut(|blocks| {
        let split = blocks.split(workspace, split, &weights);
        let kept = block.and_then(|block| split.keep(block));
        kept.unwrap_or_else(|| split.alone())
    })
}

/// A draw that is under way, also where its request is given up.
struct UnderWay<'a> {
    workspace: &'a str,
    split: &'a str,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        BLOCKS.with_borrow_mut(|blocks| {
            if let Some(split) = blocks.find(self.workspace, self.split) {
                split.drawing = split.drawing.saturating_sub(1);
            }
        });
    }
}

/// What a workspace's blocks have left. Nothing is taken from them any more.
pub(crate) fn unused(workspace: &str) -> Vec<SplitReturn> {
    BLOCKS.with_borrow_mut(|blocks| blocks.unused(workspace))
}

/// These did not reach the authority.
pub(crate) fn untold(workspace: &str, returns: Vec<SplitReturn>) {
    BLOCKS.with_borrow_mut(|blocks| {
        for back in returns {
            let known = blocks.find(workspace, &back.split);
            if known.is_some_and(|split| !split.is_of(&back.weights)) {
                continue;
            }
            let split = blocks.split(workspace, &back.split, &back.weights);
            for (unused, more) in split.unused.iter_mut().zip(back.unused) {
                *unused = unused.saturating_add(more);
            }
        }
    });
}

/// The blocks of each workspace's splits.
#[derive(Default)]
struct Blocks(HashMap<String, HashMap<String, Split>>);

/// What an isolate has of a split.
#[derive(Default)]
struct Split {
    weights: Vec<u32>,
    blocks: VecDeque<Block>,
    /// By place, what is to be given back.
    unused: Vec<u32>,
    /// Requests since the last flush.
    used: u32,
    /// Requests between the last flush and the one before it.
    before: u32,
    /// Draws under way.
    drawing: u32,
    /// When the last of them was begun.
    since: u64,
    /// What was handed out here while the authority could not be asked.
    alone: Vec<u64>,
}

/// Places of the targets, in the order in which requests are to go to them.
struct Block {
    places: VecDeque<u32>,
    lease: Lease,
}

impl Blocks {
    fn find(&mut self, workspace: &str, split: &str) -> Option<&mut Split> {
        self.0.get_mut(workspace)?.get_mut(split)
    }

    /// What there is of a split. With other weights it begins anew: blocks that were drawn with the old ones count no more.
    fn split(&mut self, workspace: &str, split: &str, weights: &[u32]) -> &mut Split {
        if self.0.len() >= MAX_WORKSPACES && !self.0.contains_key(workspace) {
            self.0
                .retain(|_, splits| splits.values().any(Split::is_in_use));
            if self.0.len() >= MAX_WORKSPACES {
                self.0.clear();
            }
        }
        let splits = self.0.entry(workspace.to_owned()).or_default();
        let found = splits.entry(split.to_owned()).or_default();
        if !found.is_of(weights) {
            *found = Split {
                weights: weights.to_vec(),
                unused: vec![0; weights.len()],
                alone: vec![0; weights.len()],
                ..Split::default()
            };
        }
        found
    }

    fn unused(&mut self, workspace: &str) -> Vec<SplitReturn> {
        let mut returns = Vec::new();
        let Some(splits) = self.0.get_mut(workspace) else {
            return returns;
        };
        splits.retain(|name, split| {
            for block in std::mem::take(&mut split.blocks) {
                split.put_back(block);
            }
            if split.unused.iter().any(|unused| *unused > 0) {
                let none = vec![0; split.unused.len()];
                returns.push(SplitReturn {
                    split: name.clone(),
                    weights: split.weights.clone(),
                    unused: std::mem::replace(&mut split.unused, none),
                });
            }
            split.before = std::mem::take(&mut split.used);
            split.before > 0 || split.is_in_use()
        });
        if splits.is_empty() {
            self.0.remove(workspace);
        }
        returns
    }
}

impl Split {
    fn is_of(&self, weights: &[u32]) -> bool {
        self.weights == weights
    }

    /// Whether a draw is under way. One that has not come back after a second may never do.
    fn is_being_drawn(&self, now: u64) -> bool {
        self.drawing > 0 && now.saturating_sub(self.since) < 1_000
    }

    fn is_in_use(&self) -> bool {
        !self.blocks.is_empty() || self.drawing > 0
    }

    /// The next place of a block whose lease holds.
    fn take(&mut self, now: u64) -> Option<usize> {
        while let Some(mut block) = self.blocks.pop_front() {
            if block.lease.holds(now)
                && let Some(place) = block.places.pop_front()
            {
                self.blocks.push_front(block);
                self.used = self.used.saturating_add(1);
                return usize::try_from(place).ok();
            }
            self.put_back(block);
        }
        None
    }

    /// A draw begins: how many would be welcome. At first one, then what the traffic since the last flush, or before
    /// it, lets expect; one too where a larger draw is under way already.
    fn begin(&mut self) -> u32 {
        let most = match self.drawing {
            0 => self.used.saturating_mul(2).max(self.before),
            _ => 1,
        };
        self.drawing = self.drawing.saturating_add(1);
        most.clamp(1, MAX_BLOCK)
    }

    /// Takes the first place of a block, whose lease need not hold for the request that has asked for it, and keeps the rest.
    /// A block with a place that there is not makes no sense, and counts for none.
    fn keep(&mut self, mut block: Block) -> Option<usize> {
        let targets = self.weights.len();
        let is_target = |place: &u32| usize::try_from(*place).is_ok_and(|place| place < targets);
        if !block.places.iter().all(is_target) {
            return None;
        }
        let place = usize::try_from(block.places.pop_front()?).ok()?;
        if !block.places.is_empty() {
            self.blocks.push_back(block);
        }
        self.used = self.used.saturating_add(1);
        Some(place)
    }

    /// The next place where the authority cannot be asked.
    fn alone(&mut self) -> usize {
        let places = hand(&self.weights, &mut self.alone, 1);
        let place = places
            .first()
            .and_then(|place| usize::try_from(*place).ok());
        place.unwrap_or(0)
    }

    fn put_back(&mut self, block: Block) {
        for place in block.places {
            let place = usize::try_from(place).ok();
            if let Some(unused) = place.and_then(|place| self.unused.get_mut(place)) {
                *unused = unused.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: &[u32] = &[2, 1];

    fn block(places: &[u32], asked_at: u64, lease_ms: u64) -> Block {
        Block {
            places: places.iter().copied().collect(),
            lease: Lease::new(asked_at, lease_ms),
        }
    }

    fn back(split: &str, unused: &[u32]) -> SplitReturn {
        SplitReturn {
            split: split.into(),
            weights: WEIGHTS.into(),
            unused: unused.into(),
        }
    }

    #[test]
    fn a_block_is_used_in_its_order_while_its_lease_holds_and_the_rest_goes_back_once() {
        let mut blocks = Blocks::default();
        let split = blocks.split("ws_1", "s", WEIGHTS);
        assert_eq!((split.take(0), split.begin()), (None, 1));
        assert_eq!(split.keep(block(&[0, 1, 0, 0, 1], 0, 100)), Some(0));
        assert_eq!((split.take(99), split.take(99)), (Some(1), Some(0)));
        assert_eq!(split.keep(block(&[1, 1], 150, 100)), Some(1));
        // The first block's lease is over.
        assert_eq!((split.take(200), split.take(200)), (Some(1), None));
        assert_eq!(blocks.unused("ws_2"), []);
        assert_eq!(blocks.unused("ws_1"), [back("s", &[1, 1])]);
        assert_eq!(blocks.unused("ws_1"), []);
    }

    #[test]
    fn a_flush_closes_blocks_that_hold() {
        let mut blocks = Blocks::default();
        blocks
            .split("ws_1", "s", WEIGHTS)
            .keep(block(&[0, 0, 1], 0, 100));
        assert_eq!(blocks.unused("ws_1"), [back("s", &[1, 1])]);
        assert_eq!(blocks.split("ws_1", "s", WEIGHTS).take(1), None);
    }

    #[test]
    fn without_a_lease_only_the_request_that_asks_is_served() {
        let mut blocks = Blocks::default();
        let split = blocks.split("ws_1", "s", WEIGHTS);
        assert_eq!(split.keep(block(&[1], 7, 0)), Some(1));
        assert_eq!(split.take(7), None);
        assert_eq!(blocks.unused("ws_1"), []);
    }

    #[test]
    fn blocks_grow_with_the_traffic_and_one_at_a_time_is_large() {
        let mut blocks = Blocks::default();
        let split = blocks.split("ws_1", "s", WEIGHTS);
        for most in [1, 2, 6, 18, 54, 162, 486, 1_000, 1_000] {
            assert_eq!((split.begin(), split.begin()), (most, 1));
            split.drawing = 0;
            split.keep(block(&vec![0; most as usize], 0, 100));
            while split.take(1).is_some() {}
        }
        split.used = 30;
        blocks.unused("ws_1");
        let split = blocks.split("ws_1", "s", WEIGHTS);
        assert_eq!(split.begin(), 30, "what the last stretch took");
    }

    #[test]
    fn other_weights_begin_anew() {
        let mut blocks = Blocks::default();
        blocks
            .split("ws_1", "s", WEIGHTS)
            .keep(block(&[0, 0, 1], 0, 100));
        assert_eq!(blocks.split("ws_1", "s", &[1, 1]).take(1), None);
        assert_eq!(blocks.unused("ws_1"), []);
    }

    #[test]
    fn what_did_not_reach_the_authority_goes_with_the_next_flush() {
        untold("ws_untold", vec![back("s", &[1, 2])]);
        untold("ws_untold", vec![back("s", &[1, 0])]);
        assert_eq!(unused("ws_untold"), [back("s", &[2, 2])]);
        assert_eq!(unused("ws_untold"), []);
        // Not where the split has begun anew meanwhile.
        BLOCKS.with_borrow_mut(|blocks| {
            let split = blocks.split("ws_untold", "s", &[1, 1]);
            split.keep(block(&[0, 1], 0, 100));
        });
        untold("ws_untold", vec![back("s", &[1, 0])]);
        let left = unused("ws_untold");
        assert_eq!(left.len(), 1);
        assert_eq!(
            (&left[0].weights[..], &left[0].unused[..]),
            (&[1, 1][..], &[0, 1][..])
        );
    }

    #[test]
    fn a_draw_that_is_given_up_is_not_under_way_for_ever() {
        let begin = || {
            BLOCKS.with_borrow_mut(|blocks| {
                let split = blocks.split("ws_begun", "s", WEIGHTS);
                split.used = 10;
                split.begin()
            })
        };
        let under_way = UnderWay {
            workspace: "ws_begun",
            split: "s",
        };
        assert_eq!(begin(), 20);
        drop(under_way);
        assert_eq!(begin(), 20);
    }

    #[test]
    fn alone_an_isolate_splits_by_weight() {
        let mut blocks = Blocks::default();
        let split = blocks.split("ws_1", "s", WEIGHTS);
        let places: Vec<usize> = (0..30).map(|_| split.alone()).collect();
        assert_eq!(places.iter().filter(|place| **place == 0).count(), 20);
        // An answer that makes no sense is none.
        assert_eq!(split.keep(block(&[2, 7], 0, 100)), None);
        assert_eq!(split.keep(block(&[0, 2], 0, 100)), None);
        assert_eq!(split.take(1), None);
        assert_eq!(split.keep(block(&[], 0, 100)), None);
    }

    #[test]
    fn what_is_not_used_is_forgotten_and_what_is_kept_is_bounded() {
        let mut blocks = Blocks::default();
        blocks.split("ws_1", "s", WEIGHTS).keep(block(&[0], 0, 100));
        blocks.unused("ws_1");
        assert_eq!(blocks.0.len(), 1);
        blocks.unused("ws_1");
        assert_eq!(blocks.0.len(), 0);
        for workspace in 0..3 * MAX_WORKSPACES {
            let split = blocks.split(&format!("ws_{workspace}"), "s", WEIGHTS);
            split.keep(block(&[0, 0], 0, 100));
        }
        assert!(blocks.0.len() <= MAX_WORKSPACES);
    }
}
