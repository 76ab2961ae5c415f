//! Globs against a matcher too simple to be wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_glob::glob;
use proptest::prelude::*;

/// By definition: `*` is any run of characters.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        Some((c, rest)) => text
            .split_first()
            .is_some_and(|(first, after)| first == c && naive(rest, after)),
    }
}

#[test]
fn cases() {
    for (pattern, text, matches) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "a/b", true),
        ("**", "", true),
        ("a", "a", true),
        ("a", "A", false),
        ("a*", "a", true),
        ("*a", "ba", true),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("ab*ba", "aba", false),
        ("*ab*ba*", "aba", false),
        ("*ab*ba*", "abba", true),
        ("gpt-*", "gpt-4o", true),
        ("gpt-*", "chatgpt-4o", false),
        ("*-Turbo", "meta-llama/Llama-Turbo", true),
        ("a.c", "abc", false),
        ("a?c", "abc", false),
        ("[ab]", "a", false),
        ("é*ü", "éaü", true),
        ("*é*", "é", true),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern:?} on {text:?}");
    }
}

/// Anything but linear time would take minutes or years here.
#[test]
fn hostile_patterns_come_to_an_end() {
    let text = "a".repeat(200_000);
    for (pattern, matches) in [
        (format!("{}b", "a*".repeat(50_000)), false),
        (format!("*{}b*", "a".repeat(100_000)), false),
        (format!("*{}b*", "a*".repeat(1_000)), false),
        ("*".repeat(200_000), true),
    ] {
        assert_eq!(glob(&pattern, &text), matches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_the_naive_matcher(pattern in "[ab/é*]{0,8}", text in "[ab/é]{0,12}") {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        prop_assert_eq!(glob(&pattern, &text), naive(&chars(&pattern), &chars(&text)));
    }

    /// Texts on both sides of the length from which on the search is another.
    #[test]
    fn long_texts_are_searched_alike(pattern in "[ab]{0,2}(\\*[ab]{0,7}){0,2}", text in "[ab]{110,150}") {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        prop_assert_eq!(glob(&pattern, &text), naive(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn matches_what_it_was_made_from(parts in prop::collection::vec("\\PC{0,6}", 1..6), fill in prop::collection::vec("\\PC{0,6}", 6)) {
        let parts: Vec<String> = parts.iter().map(|part| part.replace('*', "")).collect();
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                text.push_str(&fill[at]);
            }
            text.push_str(part);
        }
        prop_assert!(glob(&parts.join("*"), &text));
    }
}
