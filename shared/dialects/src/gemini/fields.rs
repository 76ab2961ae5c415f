//! Objects in Google's JSON, whose fields may be written `likeThis` or `like_this`:
//! <https://protobuf.dev/programming-guides/json/>.

use std::borrow::Cow;

use crate::json::{Json, Object, Problem, Raw, elements, integer, text};

/// An object whose fields are asked for `likeThis` and found in either spelling.
#[derive(Debug)]
pub(super) struct Fields<'a>(Object<'a>);

impl<'a> Fields<'a> {
    pub(super) fn parse(document: &'a str) -> Result<Self, Problem> {
        Object::parse(document).map(Self)
    }

    pub(super) fn of(raw: Raw<'a>) -> Result<Self, Problem> {
        Object::of(raw).map(Self)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Raw<'a>> {
        let own = self.0.take(name);
        if own.is_some() || !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return own;
        }
        self.0.take(&snake(name))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        self.read(name, text)
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<Cow<'a, str>, Problem> {
        self.text(name)?
            .ok_or_else(|| Problem::new("is missing").at(name))
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.read(name, integer)
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<Json<'a>>, Problem> {
        self.read(name, |raw| {
            let digits = |c: char| c == '-' || c.is_ascii_digit();
            if raw.get().starts_with(digits) {
                Ok(Json::from(raw))
            } else {
                Err(Problem::new("must be a number"))
            }
        })
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        self.read(name, |raw| match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::new("must be true or false")),
        })
    }

    /// An object that is passed on as it is.
    pub(super) fn opaque(&mut self, name: &str) -> Result<Option<Json<'a>>, Problem> {
        self.read(name, |raw| {
            let json = Json::from(raw);
            if json.is_object() {
                Ok(json)
            } else {
                Err(Problem::new("must be an object"))
            }
        })
    }

    /// An object whose fields `read` takes; whatever is left of it is refused, since what it means is not known.
    pub(super) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.read(name, |raw| whole(raw, read))
    }

    /// The elements of an array, each with its place for problems. Google takes one alone for a list of one.
    pub(super) fn some<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(Raw<'a>) -> Result<T, Problem>,
    ) -> Result<Option<Vec<T>>, Problem> {
        self.read(name, |raw| {
            if raw.get().starts_with('{') {
                return Ok(vec![read(raw)?]);
            }
            let one = |(index, raw)| read(raw).map_err(|problem: Problem| problem.at_index(index));
            elements(raw)?.into_iter().enumerate().map(one).collect()
        })
    }

    /// The same, none where there is no array.
    pub(super) fn each<T>(
        &mut self,
        name: &str,
        read: impl FnMut(Raw<'a>) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        self.some(name, read).map(Option::unwrap_or_default)
    }

    pub(super) fn rest(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        self.0.rest()
    }

    pub(super) fn nothing_else(self) -> Result<(), Problem> {
        match self.rest().next() {
            Some((name, _)) => Err(Problem::new("is not known here").at(&name)),
            None => Ok(()),
        }
    }

    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Raw<'a>) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.take(name)
            .map(|raw| read(raw).map_err(|problem| problem.at(name)))
            .transpose()
    }
}

/// Reads an object to its last field.
pub(super) fn whole<'a, T>(
    raw: Raw<'a>,
    read: impl FnOnce(&mut Fields<'a>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let mut fields = Fields::of(raw)?;
    let value = read(&mut fields)?;
    fields.nothing_else()?;
    Ok(value)
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
