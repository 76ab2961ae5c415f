//! The configuration document (API.md, “The configuration document”; docs/configurations.md): YAML, or JSON, which the
//! same parser reads, made into a [`Plan`] with every problem at its line and column.
//!
//! Pure: no I/O, no clock, no randomness. It never panics and its work is bounded, whatever the text: see
//! [`MAX_BYTES`], [`MAX_PROBLEMS`] and the limits in the tree.
//!
//! ```
//! let read = lockgate_document::read("routes:\n  - name: chat\n    match: { models: [\"gpt-*\"] }\n    target: []\n");
//! let problem = &read.problems[1];
//! assert_eq!((problem.line, problem.column, problem.path.as_str()), (4, 5, "routes[0].target"));
//! assert!(problem.message.contains("did you mean `targets`?"));
//! ```
#![forbid(unsafe_code)]

mod diff;
mod fallback;
mod fields;
mod options;
mod problem;
mod resources;
mod routes;
mod sections;
mod targets;
mod tree;

use lockgate_workspace::plan::Plan;
use lockgate_workspace::question::Declared;

pub use diff::diff;
pub use problem::{MAX_PROBLEMS, Problem, Severity};

use fields::Spot;
use problem::Problems;

/// Bytes that a document may have.
pub const MAX_BYTES: usize = 256 * 1024;

/// What a document comes to.
#[derive(Debug)]
pub struct Read {
    /// What it says; `None` where there is an error.
    pub plan: Option<Plan>,
    /// What it declares, without ids and times; nothing where there is an error.
    pub declared: Declared,
    /// What is wrong or worth a word, by line; at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
}

impl Read {
    /// The warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        let warns = |problem: &&Problem| problem.severity == Severity::Warning;
        self.problems.iter().filter(warns)
    }
}

/// Reads a document.
#[must_use]
pub fn read(text: &str) -> Read {
    let mut problems = Problems::default();
    let root = tree::parse(text, &mut problems);
    let said = root.map(|root| sections::document(&Spot::root(&root), &mut problems));
    let (clean, problems) = problems.finish();
    match said {
        Some((plan, declared)) if clean => Read {
            plan: Some(plan),
            declared,
            problems,
        },
        _ => Read {
            plan: None,
            declared: Declared::default(),
            problems,
        },
    }
}
