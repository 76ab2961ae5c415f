//! Problems in a form that is easy to compare.

use lockgate_document::{Problem, Severity, read};

/// What is wrong, one line for each problem: `line:column path: message`, warnings with a `?` before them.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let line = |problem: Problem| {
        let mark = match problem.severity {
            Severity::Error => "",
            Severity::Warning => "? ",
        };
        format!(
            "{mark}{}:{} {}: {}",
            problem.line, problem.column, problem.path, problem.message
        )
    };
    read(text).problems.into_iter().map(line).collect()
}
