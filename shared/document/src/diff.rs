//! What would change: a unified diff, as `diff -u` writes it.

use std::fmt::Write;
use std::ops::Range;

use similar::DiffTag;
use similar::algorithms::{Capture, Replace, myers};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// The unified diff of two texts under their names; empty where they are the same.
#[must_use]
pub fn diff((old_name, old): (&str, &str), (new_name, new): (&str, &str)) -> String {
    let before: Vec<&str> = old.split_inclusive('\n').collect();
    let after: Vec<&str> = new.split_inclusive('\n').collect();
    // What is removed stands before what is put in its place.
    let mut capture = Replace::new(Capture::new());
    // A capture takes whatever it is given.
    let Ok(()) = myers::diff(
        &mut capture,
        &before,
        0..before.len(),
        &after,
        0..after.len(),
    );
    let mut text = String::new();
    for group in capture.into_inner().into_grouped_ops(CONTEXT) {
        if text.is_empty() {
            text = format!("--- {old_name}\n+++ {new_name}\n");
        }
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let old = span(&(first.old_range().start..last.old_range().end));
        let new = span(&(first.new_range().start..last.new_range().end));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "@@ -{old} +{new} @@");
        for op in &group {
            match op.tag() {
                DiffTag::Equal => lines(&mut text, ' ', &before, op.old_range()),
                _ => {
                    lines(&mut text, '-', &before, op.old_range());
                    lines(&mut text, '+', &after, op.new_range());
                }
            }
        }
    }
    text
}

/// A range as a hunk's head names it: the first line and how many, where it is not one.
fn span(range: &Range<usize>) -> String {
    match range.len() {
        1 => (range.start + 1).to_string(),
        // An empty range is named by the line before it.
        0 => format!("{},0", range.start),
        count => format!("{},{count}", range.start + 1),
    }
}

fn lines(text: &mut String, sign: char, from: &[&str], range: Range<usize>) {
    for line in from.get(range).unwrap_or_default() {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(old: &str, new: &str) -> String {
        diff(("live", old), ("draft", new))
    }

    #[test]
    fn it_is_what_diff_u_writes() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n10\n", "\nten\n").replace("20\n", "20");
        let wanted = "--- live\n+++ draft\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+20\n\\ No newline at end of file\n";
        assert_eq!(of(&old, &new), wanted);
        assert_eq!(of(&old, &old), "");
        assert_eq!(
            of("", "a\nb\n"),
            "--- live\n+++ draft\n@@ -0,0 +1,2 @@\n+a\n+b\n"
        );
        assert_eq!(of("a\n", ""), "--- live\n+++ draft\n@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn line_ends_count() {
        assert_eq!(
            of("a\r\n", "a\n"),
            "--- live\n+++ draft\n@@ -1 +1 @@\n-a\r\n+a\n"
        );
    }
}
