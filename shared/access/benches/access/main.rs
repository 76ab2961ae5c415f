//! What a request pays for access, and what an isolate pays once for an agent.
#![allow(missing_docs, unreachable_pub)]

mod world;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lockgate_access::{Policy, Role, judge};

use world::{MODEL, World};

fn measure(c: &mut Criterion) {
    for (name, world) in [("typical", World::typical()), ("worst", World::worst())] {
        let statements: usize = world.roles.iter().map(|role| role.statements.len()).sum();
        assert_eq!(statements, 400);
        let circumstances = world.circumstances();
        let keys = world.keys();
        let policy = Policy::new(&world.roles, &circumstances, &keys);
        let mut group = c.benchmark_group(name);
        group.bench_function("ask for all keys", |b| {
            b.iter(|| {
                let mut ask = black_box(&policy).ask(black_box(Some(MODEL)));
                (0..keys.len()).filter(|key| ask.allows(*key)).count()
            });
        });
        group.bench_function("ask for one key", |b| {
            b.iter(|| {
                black_box(&policy)
                    .ask(black_box(Some(MODEL)))
                    .allows(black_box(21))
            });
        });
        group.bench_function("compile", |b| {
            b.iter(|| Policy::new(black_box(&world.roles), &circumstances, black_box(&keys)));
        });
        group.bench_function("judge one key by its words", |b| {
            b.iter(|| {
                judge(
                    black_box(&world.roles),
                    &circumstances,
                    black_box(Some(MODEL)),
                    &keys[21],
                )
            });
        });
        let json = serde_json::to_string(&world.roles).unwrap_or_default();
        group.bench_function("read the stored roles", |b| {
            b.iter(|| serde_json::from_str::<Vec<Role>>(black_box(&json)));
        });
        group.finish();
    }
}

criterion_group!(benches, measure);
criterion_main!(benches);
