//! What a template may use up: work (about a unit a nanosecond), memory made in all, and the size
//! of any one value. A value is as large as it would be written out, however much of it is shared:
//! that bounds what printing, comparing or dropping it can cost, and its depth bounds the stack.
//!
//! The filters here are put into templates by `rewrite.rs`. They hand their value on.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use std::cell::Cell;
use std::fmt::Write;

/// Some seconds of work, a hundred times what long conversations need.
const WORK: u64 = 3_000_000_000;

/// How often a value is read to sort it.
const SORTED_READS: u64 = 20;

/// Bytes made in all, most of them gone again by the end; and what is granted at most for templates
/// that append message after message to one text.
const MADE: u64 = 512 << 20;
const MADE_FOR_INPUT: u64 = 1 << 30;

/// Bytes of one value: two million tokens of text.
const VALUE: u64 = 8 << 20;

/// Lists within lists; parsed JSON is no deeper than 128.
const MAX_DEPTH: usize = 200;

/// Of a value in a list, in bytes and in units of work.
const NODE_BYTES: u64 = 64;
const NODE_WORK: u64 = 128;

/// Bytes of text that a unit of work copies. To go through a byte of text, as most filters and
/// methods do, is a unit.
const BYTES_COPIED: u64 = 8;

thread_local! {
    /// What is left to the rendering under way on this thread.
    static WORK_LEFT: Cell<u64> = const { Cell::new(0) };
    static MADE_LEFT: Cell<u64> = const { Cell::new(0) };
    static MAX_VALUE: Cell<u64> = const { Cell::new(0) };
}

/// Begins to count; `input` is what the template is given, which may itself be large.
pub(super) fn start(input: &Value) -> Result<(), Error> {
    WORK_LEFT.set(u64::MAX);
    MAX_VALUE.set(u64::MAX);
    let size = visit(input)?.size;
    WORK_LEFT.set(WORK.saturating_add(size.saturating_mul(5000)));
    MADE_LEFT.set(MADE + size.saturating_mul(1000).min(MADE_FOR_INPUT));
    MAX_VALUE.set(VALUE.saturating_add(size.saturating_mul(2)));
    Ok(())
}

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("__seen", |value: Value| {
        let n = value.as_str().map_or(0, str::len) as u64;
        work(n).map(|()| value)
    });
    environment.add_filter("__read", |value: Value| read(&value).map(|()| value));
    environment.add_filter("__sorted", |value: Value| {
        let before = WORK_LEFT.get();
        read(&value)?;
        let once = before - WORK_LEFT.get();
        work(once.saturating_mul(SORTED_READS)).map(|()| value)
    });
    environment.add_filter("__kept", kept);
    environment.add_filter("__made", made);
}

/// A bound that is passed.
pub(super) fn exceeded(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// Takes `n` units off the work that may still be done.
pub(super) fn work(n: u64) -> Result<(), Error> {
    let left = WORK_LEFT.get().checked_sub(n);
    left.map(|left| WORK_LEFT.set(left))
        .ok_or_else(|| exceeded("the template works too long"))
}

/// Takes `n` bytes off what may still be made; none of it may be a value too large.
pub(super) fn make(n: usize) -> Result<(), Error> {
    check_size(n)?;
    let n = n as u64;
    work(n / BYTES_COPIED)?;
    let left = MADE_LEFT.get().checked_sub(n);
    left.map(|left| MADE_LEFT.set(left))
        .ok_or_else(|| exceeded("the template uses too much memory"))
}

/// Refuses a value of more bytes than one may have.
pub(super) fn check_size(n_bytes: usize) -> Result<(), Error> {
    let max = MAX_VALUE.get();
    if n_bytes as u64 <= max {
        return Ok(());
    }
    Err(exceeded(format!("a value of more than {max} bytes")))
}

/// Counts the work of going through all of `value`.
pub(super) fn read(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => work(value.as_str().map_or(0, str::len) as u64),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => visit(value).map(drop),
        _ => Ok(()),
    }
}

/// What is put into another value. Nothing may hold itself: it could be neither printed nor dropped.
/// So namespaces, and what holds variables, are kept by variables only.
fn kept(value: Value) -> Result<Value, Error> {
    if is_bound(&value) {
        return Err(no_container(&value));
    }
    visit(&value).map(|_| value)
}

/// A value that is new: counted, and no longer lazy, as lazy values made of lazy ones have no end.
fn made(value: Value) -> Result<Value, Error> {
    let visited = visit(&value)?;
    let value = visited.settled.unwrap_or(value);
    make(visited.own as usize)?;
    check_size(usize::try_from(visited.size).unwrap_or(usize::MAX))?;
    Ok(value)
}

/// As [`made`], for the operators and filters of this room.
pub(super) fn counted(value: Value) -> Result<Value, Error> {
    made(value)
}

/// Text of `value`, as printed; refused before it grows too large.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    let mut out = Limited(String::new());
    match value.as_str() {
        Some(text) => out.0.push_str(text),
        None if value.is_undefined() => {}
        None => write!(out, "{value}").map_err(|_| {
            check_size(usize::MAX)
                .err()
                .unwrap_or_else(|| exceeded("text"))
        })?,
    }
    make(out.0.len())?;
    Ok(out.0)
}

/// Text that stops where a value would be too large.
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        check_size(self.0.len() + text.len()).map_err(|_| std::fmt::Error)?;
        self.0.push_str(text);
        Ok(())
    }
}

/// What [`visit`] finds.
#[derive(Default)]
struct Visited {
    /// Bytes of everything in it, shared or not.
    size: u64,
    /// Bytes of itself and the texts directly in it.
    own: u64,
    /// The same with lists for what was lazy, where that is something else.
    settled: Option<Value>,
}

fn visit(value: &Value) -> Result<Visited, Error> {
    visit_at(value, 0)
}

fn visit_at(value: &Value, depth: usize) -> Result<Visited, Error> {
    work(NODE_WORK)?;
    if depth > MAX_DEPTH {
        return Err(exceeded(format!(
            "values nested more than {MAX_DEPTH} deep"
        )));
    }
    if depth > 0 && is_bound(value) {
        return Err(no_container(value));
    }
    match value.kind() {
        ValueKind::String => {
            let n = value.as_str().map_or(0, str::len) as u64;
            Ok(Visited {
                size: n + NODE_BYTES,
                own: n,
                settled: None,
            })
        }
        ValueKind::Seq | ValueKind::Iterable => visit_items(value, depth),
        ValueKind::Map => visit_pairs(value, depth),
        _ => Ok(Visited {
            size: NODE_BYTES,
            ..Visited::default()
        }),
    }
}

fn visit_items(value: &Value, depth: usize) -> Result<Visited, Error> {
    let mut sum = Visited {
        size: NODE_BYTES,
        own: NODE_BYTES,
        settled: None,
    };
    let is_lazy = value.kind() == ValueKind::Iterable;
    let mut settled: Option<Vec<Value>> = is_lazy.then(Vec::new);
    for (i, item) in value.try_iter()?.enumerate() {
        let visited = visit_at(&item, depth + 1)?;
        add(&mut sum, &item, &visited)?;
        if visited.settled.is_some() && settled.is_none() {
            settled = Some(value.try_iter()?.take(i).collect());
        }
        if let Some(settled) = &mut settled {
            settled.push(visited.settled.unwrap_or(item));
        }
    }
    sum.settled = settled.map(|items| match value.is_tuple() {
        true => Value::from(Tuple::from(items)),
        false => Value::from(items),
    });
    Ok(sum)
}

fn visit_pairs(value: &Value, depth: usize) -> Result<Visited, Error> {
    let mut sum = Visited {
        size: NODE_BYTES,
        own: NODE_BYTES,
        settled: None,
    };
    if is_function(value) {
        return Ok(sum);
    }
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        for part in [key, item] {
            let visited = visit_at(&part, depth + 1)?;
            add(&mut sum, &part, &visited)?;
            if visited.settled.is_some() {
                return Err(exceeded(
                    "a lazy list in a mapping; expected one made by list",
                ));
            }
        }
    }
    Ok(sum)
}

fn add(sum: &mut Visited, item: &Value, visited: &Visited) -> Result<(), Error> {
    sum.size = sum.size.saturating_add(visited.size);
    sum.own += NODE_BYTES;
    if item.kind() == ValueKind::String {
        sum.own = sum.own.saturating_add(visited.own);
    }
    check_size(usize::try_from(sum.size).unwrap_or(usize::MAX))
}

/// Whether a value holds variables, or is held by one: namespaces, macros, loops and the like.
fn is_bound(value: &Value) -> bool {
    type_ends(value, "Namespace") || is_function(value)
}

/// What is no data at all. Some of it looks like a mapping.
fn is_function(value: &Value) -> bool {
    value.kind() == ValueKind::Plain || type_ends(value, "Macro") || type_ends(value, "Loop")
}

fn type_ends(value: &Value, name: &str) -> bool {
    let object = value.as_object();
    object.is_some_and(|object| object.type_name().ends_with(name))
}

fn no_container(value: &Value) -> Error {
    let name = value
        .as_object()
        .map_or("value", |object| object.type_name());
    let name = name.rsplit("::").next().unwrap_or(name).to_lowercase();
    exceeded(format!(
        "a {name} in another value; expected text, numbers, lists or mappings"
    ))
}
