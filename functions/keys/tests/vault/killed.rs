//! One step of everything that is done to secrets goes wrong, for every step: the process is killed, the step fails, or it is done
//! and nobody is told.

use crate::site::Site;
use crate::stories::{ELEVEN_MINUTES, Step, Story, Truth, perform};
use crate::world::{Fault, World};

const A: (&str, &str) = ("default", "a");
const B: (&str, &str) = ("default", "b");
const C: (&str, &str) = ("default", "c");
const D: (&str, &str) = ("team", "d");

const GIVEN: [Step; 4] = [
    Step::Save(A, "sk-secret-of-a"),
    Step::Save(B, "sk-secret-of-b"),
    Step::Save(C, "sk-secret-of-c"),
    Step::Save(D, "sk-secret-of-d"),
];

/// Tells a story until there is no step left that could go wrong, with each thing that may happen to a step.
fn every(story: &Story) {
    every_in(story, || story.begun());
}

fn every_in(story: &Story, begun: impl Fn() -> (World, Truth)) {
    for fault in [Fault::Killed, Fault::Fails, Fault::Unheard] {
        let told = |at: &u64| story.told_in(begun(), *at, fault);
        let steps = (0..).take_while(told).count();
        assert!(steps >= 4, "{steps} steps are hardly all");
    }
}

/// Settings that never change.
fn staying(vault: &'static str, given: &[Step], steps: &[Step]) -> Story {
    let site = Site::new(1, vault);
    Story {
        start: site.clone(),
        given: given.to_vec(),
        site: site.clone(),
        steps: steps.to_vec(),
        beside: Vec::new(),
        perhaps: Vec::new(),
        end: site,
    }
}

/// From one setting to another, with instances of before beside.
fn moving(old: &Site, new: &Site) -> Story {
    Story {
        start: old.clone(),
        given: GIVEN.to_vec(),
        site: new.clone().reading(old),
        steps: vec![Step::Rewrap],
        beside: vec![old.clone().reading(new)],
        perhaps: vec![old.clone(), new.clone()],
        end: new.clone(),
    }
}

const VAULTS: [&str; 4] = ["local", "vault-transit", "aws-kms", "vault-kv"];

#[test]
fn saving_a_key() {
    for vault in VAULTS {
        every(&staying(vault, &GIVEN[..1], &[Step::Save(B, "sk-another")]));
    }
}

#[test]
fn rotating_a_keys_secret() {
    for vault in VAULTS {
        every(&staying(
            vault,
            &GIVEN[..1],
            &[Step::Rotate(A, "sk-another")],
        ));
    }
}

#[test]
fn deleting_a_key() {
    for vault in VAULTS {
        every(&staying(vault, &GIVEN[..2], &[Step::Delete(A)]));
    }
}

#[test]
fn removing_a_workspace() {
    for vault in VAULTS {
        every(&staying(vault, &GIVEN, &[Step::Drop]));
    }
}

#[test]
fn a_new_local_kek() {
    every(&moving(&Site::new(1, "local"), &Site::new(2, "local")));
    // What the gateway seals of its own is under the local KEK wherever the secrets are.
    every(&moving(
        &Site::new(1, "vault-kv"),
        &Site::new(2, "vault-kv"),
    ));
}

#[test]
fn from_vault_to_vault() {
    let chain = ["local", "vault-transit", "aws-kms", "vault-kv", "local"];
    for pair in chain.windows(2) {
        every(&moving(&Site::new(1, pair[0]), &Site::new(1, pair[1])));
    }
}

#[test]
fn another_kek_and_another_vault_at_once() {
    every(&moving(&Site::new(1, "local"), &Site::new(2, "vault-kv")));
    every(&moving(
        &Site::new(1, "vault-kv"),
        &Site::new(2, "vault-transit"),
    ));
}

#[test]
fn a_new_version_of_a_vaults_kek() {
    every(&staying(
        "vault-transit",
        &GIVEN,
        &[Step::Renew, Step::Rewrap],
    ));
}

#[test]
fn the_tick_moves_what_nobody_else_does() {
    for (old, new) in [("local", "vault-kv"), ("vault-kv", "vault-transit")] {
        let mut story = moving(&Site::new(1, old), &Site::new(2, new));
        story.steps = vec![Step::Tick, Step::Tick];
        every(&story);
    }
}

/// Processes were killed in the middle of what they did, some time ago.
#[test]
fn the_tick_removes_what_is_left_over() {
    for vault in VAULTS {
        let story = staying(vault, &GIVEN[..2], &[Step::Tick]);
        every_in(&story, || {
            let (world, mut truth) = story.begun();
            for at in 0..14 {
                for step in [
                    Step::Rotate(A, "sk-another"),
                    Step::Save(C, "sk-new"),
                    Step::Delete(C),
                ] {
                    world.arm(at, Fault::Killed);
                    perform(&world, &story.site, step, &mut truth);
                    world.disarm();
                }
            }
            world.pass(ELEVEN_MINUTES);
            (world, truth)
        });
    }
}
