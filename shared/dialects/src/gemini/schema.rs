//! Google's `Schema`, a part of OpenAPI's, as the JSON Schema that it stands for: <https://ai.google.dev/api/caching#Schema>.
//! It is read only; what the gateway writes to Google is JSON Schema as the client gave it.

use std::borrow::Cow;

use crate::json::{Json, Object, Problem, Raw, Writer, elements, text};

/// Deeper than Google takes schemas.
const DEEPEST: usize = 64;

/// The JSON Schema that a `Schema` stands for.
pub(super) fn json_schema(raw: Raw<'_>) -> Result<Json<'static>, Problem> {
    let mut out = Vec::with_capacity(raw.get().len());
    schema(raw, &mut Writer::new(&mut out), 0)?;
    String::from_utf8(out)
        .ok()
        .and_then(|text| Json::parse(Cow::Owned(text)))
        .ok_or_else(|| Problem::new("must be a schema"))
}

fn schema(raw: Raw<'_>, writer: &mut Writer<'_>, depth: usize) -> Result<(), Problem> {
    if depth > DEEPEST {
        return Err(Problem::new("is nested too deeply"));
    }
    let mut object = Object::of(raw)?;
    let nullable = object.boolean("nullable")?.unwrap_or(false);
    writer.open();
    for (name, value) in object.rest() {
        writer.key(&name);
        field(&name, value, nullable, writer, depth).map_err(|problem| problem.at(&name))?;
    }
    writer.close();
    Ok(())
}

fn field(
    name: &str,
    value: Raw<'_>,
    nullable: bool,
    writer: &mut Writer<'_>,
    depth: usize,
) -> Result<(), Problem> {
    match name {
        "type" => {
            let kind = text(value)?.to_ascii_lowercase();
            if nullable {
                writer.open_array().text(&kind).text("null").close_array();
            } else {
                writer.text(&kind);
            }
        }
        "properties" => {
            writer.open();
            for (name, value) in Object::of(value)?.rest() {
                writer.key(&name);
                schema(value, writer, depth + 1).map_err(|problem| problem.at(&name))?;
            }
            writer.close();
        }
        "items" => schema(value, writer, depth + 1)?,
        "anyOf" | "any_of" => {
            writer.open_array();
            for (index, value) in elements(value)?.into_iter().enumerate() {
                schema(value, writer, depth + 1).map_err(|problem| problem.at_index(index))?;
            }
            writer.close_array();
        }
        // Whole numbers of 64 bits may be written as text.
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties"
            if value.get().starts_with('"') =>
        {
            let digits = text(value)?;
            let number = digits
                .parse::<u64>()
                .map_err(|_| Problem::new("must be a whole number that is not negative"))?;
            writer.integer(number);
        }
        _ => {
            writer.raw(&value.into());
        }
    }
    Ok(())
}
