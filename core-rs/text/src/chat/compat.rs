//! What templates expect beyond minijinja: the functions `transformers` adds, filters and tests of
//! jinja2 that it lacks, and methods of Python's types.

use super::{NOW, date, filters, json, ops};
use minijinja::formatting::FormatStyle;
use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

pub(super) fn add_to(environment: &mut Environment<'static>) {
    minijinja_contrib::add_to_environment(environment);
    // Not jinja2's: what they make is lazy, or tells of the program.
    environment.remove_filter("chain");
    environment.remove_filter("zip");
    environment.remove_global("debug");
    environment.add_function(
        "raise_exception",
        |message: &Value| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message.to_string()))
        },
    );
    environment.add_function("strftime_now", |format: &str| {
        date::strftime(format, NOW.get())
    });
    environment.add_filter("tojson", json::tojson);
    environment.set_unknown_method_callback(method);
}

/// Methods of Python's types: those of `minijinja_contrib`, and the ones it lacks.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.kind(), name) {
        (
            ValueKind::String,
            "rsplit" | "removeprefix" | "removesuffix" | "partition" | "rpartition",
        ) => string_method(value.as_str().unwrap_or_default(), name, args),
        (ValueKind::String, "replace") => {
            let (from, to, count): (&str, &str, Option<i64>) = from_args(args)?;
            let count = count.and_then(|n| usize::try_from(n).ok()); // below 0: all
            let text = value.as_str().unwrap_or_default();
            filters::replace(text, from, to, count).map(Value::from)
        }
        (ValueKind::String, "join") => {
            let (values,): (&Value,) = from_args(args)?;
            filters::join(
                values,
                Some(value.clone()),
                Kwargs::from_iter([] as [(String, Value); 0]),
            )
            .map(Value::from)
        }
        (ValueKind::String, "format") => {
            let text = value.as_str().unwrap_or_default();
            filters::format(FormatStyle::StrFormat, text, args)
        }
        (ValueKind::String, "strip" | "lstrip" | "rstrip") => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            ops::check_count("characters to strip:", chars.map_or(0, str::len))?;
            minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn string_method(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == "rsplit" {
        return rsplit(text, args);
    }
    let (what,): (&str,) = from_args(args)?;
    let parts = |at: Option<usize>, empty: [&str; 3]| {
        let parts = at.map_or(empty, |at| [&text[..at], what, &text[at + what.len()..]]);
        Value::from_iter(parts.map(Value::from))
    };
    Ok(match name {
        "removeprefix" => Value::from(text.strip_prefix(what).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(what).unwrap_or(text)),
        "partition" => parts(text.find(what), [text, "", ""]),
        _ => parts(text.rfind(what), ["", "", text]),
    })
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, max): (Option<&str>, Option<i64>) = from_args(args)?;
    let n = max
        .and_then(|m| usize::try_from(m).ok())
        .map_or(usize::MAX, |m| m.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some("") => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "rsplit: empty separator",
            ));
        }
        Some(separator) => text.rsplitn(n, separator).collect(),
        None => rsplit_blanks(text, n),
    };
    parts.reverse();
    Ok(Value::from_iter(parts.into_iter().map(Value::from)))
}

/// At most `n` words from the end; the last part keeps the blanks within.
fn rsplit_blanks(text: &str, n: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        if parts.len() + 1 >= n {
            parts.push(rest);
            break;
        }
        let at = rest.rfind(char::is_whitespace).map_or(0, |at| {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        });
        parts.push(&rest[at..]);
        rest = rest[..at].trim_end();
    }
    parts
}
