//! What commands print: lines, and tables of text.

use std::io::Write as _;

use serde_json::Value;

/// Prints a line to standard output; whoever closed it does not want it.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A field as text; empty where it is absent.
pub(crate) fn text(item: &Value, field: &str) -> String {
    match item.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Prints items as a table of the fields named, under their names.
pub(crate) fn table(items: &[Value], fields: &[&str]) {
    let mut rows = vec![fields.iter().map(|field| field.to_uppercase()).collect()];
    rows.extend(
        items
            .iter()
            .map(|item| fields.iter().map(|field| text(item, field)).collect()),
    );
    for line in aligned(&rows) {
        say(&line);
    }
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: String = cells
                .map(|(cell, &width)| format!("{cell:width$}  "))
                .collect();
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [
            vec!["NAME".into(), "ON".into()],
            vec!["größer".into(), String::new()],
        ];
        assert_eq!(aligned(&rows), ["NAME    ON", "größer"]);
    }
}
