//! A damaged state is an error or a state that works: never a panic, an endless loop or a huge allocation.
//!
//! The state file's checksum keeps chance away; this holds for bytes that got past it, such as those of another version.
//! `just fuzz-restore` looks for what these seeds miss.

use crate::support::damage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Damages bytes: flips, cuts, inserts, extreme numbers where a number stands.
fn damage_bytes(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..5) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, rng.random()),
        3 => {
            bytes.remove(at);
        }
        _ => {
            // MessagePack's markers of a float and of an integer of 64 bits, each with eight bytes behind it.
            let numbers: Vec<usize> =
                (0..bytes.len().saturating_sub(8)).filter(|i| matches!(bytes[*i], 0xcb | 0xcf)).collect();
            if numbers.is_empty() {
                return;
            }
            let at = numbers[rng.random_range(0..numbers.len())] + 1;
            let extremes = [f64::NAN, f64::INFINITY, -1.0, 0.0, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(u64::MAX)];
            let number = extremes[rng.random_range(0..extremes.len())];
            bytes[at..at + 8].copy_from_slice(&number.to_bits().to_be_bytes());
        }
    }
}

/// Damages a part of a state that stays well-formed: another number, a list that is longer, shorter or in another order.
fn damage_structure(rng: &mut ChaCha8Rng, state: &mut Value) {
    let mut parts = 0;
    visit(state, &mut |_| parts += 1);
    let chosen = rng.random_range(0..parts);
    let mut at = 0;
    visit(state, &mut |value| {
        if at == chosen {
            change(rng, value);
        }
        at += 1;
    });
}

/// Numbers one by one, and lists, but of a list of more than eight numbers only a few: most of a state is those.
fn visit(value: &mut Value, see: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| visit(value, see)),
        Value::Array(items) => {
            let step = items.len() / 8 + 1;
            items.iter_mut().step_by(step).for_each(|value| visit(value, see));
            see(value);
        }
        _ => see(value),
    }
}

fn change(rng: &mut ChaCha8Rng, value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            *value = [-1.0, 0.0, 1e308, -1e308, 1e-300, 0.5][rng.random_range(0..6)].into();
        }
        Value::Number(number) => {
            let near = number.as_u64().unwrap_or(0).wrapping_add([1, u64::MAX][rng.random_range(0..2)]);
            *value =
                [0, 1, near, u64::MAX, 1 << 63, u64::from(u32::MAX), 1 << 31, 65_535][rng.random_range(0..8)].into();
        }
        Value::Array(items) => match rng.random_range(0..4) {
            0 => items.clear(),
            1 => items.reverse(),
            2 => drop(items.pop()),
            _ => items.extend(items.first().cloned()),
        },
        Value::Bool(it) => *it = !*it,
        Value::Null => *value = 0.into(),
        _ => {}
    }
}

/// Tries a state with seeded damage of both kinds; how many were accepted and refused.
fn try_damaged(states: &[(String, Vec<u8>)], times: u64, restore: fn(&[u8]) -> bool) -> [u64; 2] {
    let mut counts = [0; 2];
    for (name, state) in states {
        assert!(restore(state), "{name} is not restored undamaged");
        // KSWIN's generator keeps its seed as bytes, which JSON does not know.
        let tree: Option<Value> = rmp_serde::from_slice(state).ok();
        let undamaged = tree.as_ref().is_none_or(|tree| restore(&rmp_serde::to_vec_named(tree).expect("saved")));
        assert!(undamaged, "{name} is not restored through JSON");
        // Large states take long and are much of the same.
        for seed in 0..times.min(12_000_000 / state.len() as u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let damaged = match &tree {
                Some(tree) if seed % 2 == 1 => {
                    let mut damaged = tree.clone();
                    damage_structure(&mut rng, &mut damaged);
                    rmp_serde::to_vec_named(&damaged).expect("saved")
                }
                _ => {
                    let mut damaged = state.clone();
                    damage_bytes(&mut rng, &mut damaged);
                    damaged
                }
            };
            let accepted = std::panic::catch_unwind(|| restore(&damaged));
            let accepted = accepted.unwrap_or_else(|_| panic!("{name} with damage {seed} panics"));
            counts[usize::from(!accepted)] += 1;
        }
    }
    counts
}

#[test]
fn a_damaged_model_is_refused_or_works() {
    let [accepted, refused] = try_damaged(&damage::pipelines(), 120, damage::pipeline);
    assert!(accepted > 500 && refused > 500, "accepted {accepted}, refused {refused}: one of the two is hardly tried");
}

#[test]
fn a_damaged_checkpoint_is_refused_or_works() {
    let [accepted, refused] = try_damaged(&damage::checkpoints(), 300, damage::checkpoint);
    assert!(accepted > 200 && refused > 200, "accepted {accepted}, refused {refused}: one of the two is hardly tried");
}

/// Not a check: what the fuzzer starts from.
#[test]
#[ignore = "writes fuzz/corpus/restore, for `just fuzz-restore`"]
fn write_the_seed_corpus() {
    let folder = std::path::Path::new(crate::ROOT).join("fuzz/corpus/restore");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, state) in damage::pipelines().into_iter().chain(damage::checkpoints()) {
        std::fs::write(folder.join(name), state).expect("written");
    }
}
