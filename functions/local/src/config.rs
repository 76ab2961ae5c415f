//! `lockgate config`: configurations from files. A document goes in as a draft and counts only once it is applied.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::output::{say, text};
use crate::refusal::Refused;
use crate::remote::{Declined, Remote, Target, escaped, with};

/// What to do with configurations.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a document and print each problem as FILE:LINE:COLUMN; nothing is stored.
    Validate {
        /// The document, YAML or JSON.
        file: PathBuf,
    },
    /// Show what a document would change of what is live; nothing is stored without --draft.
    Diff {
        #[command(flatten)]
        document: Document,
        /// Store the document as the configuration's draft.
        #[arg(long)]
        draft: bool,
    },
    /// Store a document as the draft, show what it changes, and make it live. A configuration that does not exist is made.
    Apply {
        #[command(flatten)]
        document: Document,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// A document for a configuration.
#[derive(Args)]
pub(crate) struct Document {
    /// The configuration, by name or id.
    name: String,
    /// The document, YAML or JSON.
    file: PathBuf,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Validate { file } => {
            let problems = validate(remote, &read(&file)?).await?;
            let lines = lines(&file, &problems);
            lines.iter().for_each(|line| say(line));
            sound(&file, &problems)?;
            if lines.is_empty() {
                say(&format!("{}: no problems", file.display()));
            }
            Ok(())
        }
        Command::Diff { document, draft } => diff(remote, &document, draft).await,
        Command::Apply { document, yes } => apply(remote, &document, yes).await,
    })
}

async fn validate(remote: &Remote, document: &str) -> anyhow::Result<Vec<Value>> {
    let body = json!({"document": document});
    let answer = remote.post("/api/configurations/validate", &body).await?;
    Ok(problems(&answer))
}

async fn diff(
    remote: &Remote,
    Document { name, file }: &Document,
    draft: bool,
) -> anyhow::Result<()> {
    let document = read(file)?;
    let (difference, problems) = if draft {
        upload(remote, name, &document).await?;
        let answer = difference(remote, name).await?;
        (text(&answer, "diff"), problems(&answer))
    } else {
        let live = match remote.get(&path(name, "")).await {
            Ok(configuration) => text(&configuration, "document"),
            Err(error) if declined(&error, "not_found") => String::new(),
            Err(error) => return Err(error),
        };
        let new = file.display().to_string();
        let difference = lockgate_document::diff(("live", &live), (&new, &document));
        (difference, validate(remote, &document).await?)
    };
    show(&difference);
    tell(file, &problems);
    sound(file, &problems)
}

async fn apply(
    remote: &Remote,
    Document { name, file }: &Document,
    yes: bool,
) -> anyhow::Result<()> {
    if !yes && !std::io::stdin().is_terminal() {
        let words = "nobody is there to be asked whether to apply: say --yes";
        return Err(Refused(words.to_owned()).into());
    }
    let draft = upload(remote, name, &read(file)?).await?;
    let answer = difference(remote, name).await?;
    let problems = problems(&answer);
    if answer.get("changed") == Some(&Value::Bool(false)) {
        tell(file, &problems);
        let version = text(&answer, "from_version");
        say(&format!(
            "{name} is this document already, as version {version}"
        ));
        return Ok(());
    }
    show(&text(&answer, "diff"));
    tell(file, &problems);
    sound(file, &problems).context("it is stored as the draft, and not applied")?;
    if !yes && !agreed()? {
        say("not applied; the document is stored as the draft");
        return Ok(());
    }
    let body = json!({"expected_version": answer.get("from_version")});
    // The tag is that of the draft just shown, so nobody else's is applied in its place.
    let applied = remote
        .post_if(&path(name, "/apply"), &body, &text(&draft, "etag"))
        .await;
    match applied {
        Ok(applied) => {
            let version = text(&applied, "version");
            say(&format!(
                "applied {name} version {version}: every request from here on follows it"
            ));
            Ok(())
        }
        Err(error) => {
            if let Some(declined) = error.downcast_ref::<Declined>() {
                show(&text(&declined.details, "diff"));
            }
            Err(error)
        }
    }
}

/// Stores the document as the draft, of a new configuration where there is none of the name.
async fn upload(remote: &Remote, name: &str, document: &str) -> anyhow::Result<Value> {
    let body = json!({"document": document});
    match remote.put(&path(name, "/draft"), &body).await {
        Err(error) if declined(&error, "not_found") => {
            let body = json!({"name": name, "document": document});
            remote.post("/api/configurations", &body).await
        }
        stored => stored,
    }
}

async fn difference(remote: &Remote, name: &str) -> anyhow::Result<Value> {
    remote.get(&path(name, "/diff")).await
}

fn path(name: &str, rest: &str) -> String {
    format!("/api/configurations/{}{rest}", escaped(name))
}

fn declined(error: &anyhow::Error, code: &str) -> bool {
    error
        .downcast_ref::<Declined>()
        .is_some_and(|declined| declined.code == code)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Refused(format!("cannot read {}: {error}", file.display())).into())
}

fn problems(answer: &Value) -> Vec<Value> {
    let problems = answer.get("problems").and_then(Value::as_array);
    problems.cloned().unwrap_or_default()
}

/// `FILE:LINE:COLUMN: severity: message`, which editors can follow.
fn lines(file: &Path, problems: &[Value]) -> Vec<String> {
    let line = |problem: &Value| {
        let [line, column, severity, message] =
            ["line", "column", "severity", "message"].map(|field| text(problem, field));
        format!("{}:{line}:{column}: {severity}: {message}", file.display())
    };
    problems.iter().map(line).collect()
}

/// Problems beside other output.
fn tell(file: &Path, problems: &[Value]) {
    for line in lines(file, problems) {
        eprintln!("{line}");
    }
}

/// Fails where a problem is an error.
fn sound(file: &Path, problems: &[Value]) -> anyhow::Result<()> {
    let errors = problems
        .iter()
        .filter(|problem| text(problem, "severity") != "warning")
        .count();
    match errors {
        0 => Ok(()),
        1 => bail!("{} has an error", file.display()),
        _ => bail!("{} has {errors} errors", file.display()),
    }
}

/// Prints a difference, which ends its own lines.
fn show(difference: &str) {
    if !difference.is_empty() {
        say(difference.trim_end_matches('\n'));
    }
}

fn agreed() -> anyhow::Result<bool> {
    eprint!("apply this? [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
