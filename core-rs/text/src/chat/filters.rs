//! Filters and tests of jinja2 that minijinja lacks or answers differently. Jinja2 is the rule: an
//! undefined value counts as an empty one, `none` cannot be iterated.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("indent", indent);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |v: &Value| text(v).split_whitespace().count());
    environment.add_filter("sort", sort);
    environment.add_filter("join", join);
    environment.add_filter(
        "replace",
        |v: &Value, from: &Value, to: &Value, count: Option<usize>| {
            replace(&text(v), &text(from), &text(to), count)
        },
    );
    for name in ["length", "count"] {
        environment.add_filter(name, |v: &Value| {
            if v.is_undefined() {
                Ok(0)
            } else {
                filters::length(v)
            }
        });
    }
    environment.add_filter("last", |v: Value| {
        if v.is_undefined() {
            Ok(v)
        } else {
            filters::last(v)
        }
    });
    environment.add_filter("items", |v: &Value| {
        if v.is_undefined() {
            Ok(Value::from_iter(None::<Value>))
        } else {
            filters::items(v)
        }
    });
    environment.add_test("iterable", |v: &Value| {
        v.is_undefined() || (!v.is_none() && v.try_iter().is_ok())
    });
}

fn text(value: &Value) -> String {
    if value.is_undefined() {
        String::new()
    } else {
        value.to_string()
    }
}

/// `text` with the first `count` (or all) of `from` made `to`: refused before it grows too large,
/// since every replacement may square the length.
pub(super) fn replace(
    text: &str,
    from: &str,
    to: &str,
    count: Option<usize>,
) -> Result<String, Error> {
    let n = text.matches(from).count().min(count.unwrap_or(usize::MAX));
    super::check_size(n.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replacen(from, to, n))
}

/// `indent(width=4, first=false, blank=false)`; `width` may be the text to indent with.
fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| options.get::<Option<Value>>("width"), |w| Ok(Some(w)))?;
    let first = first.map_or_else(|| options.get::<Option<bool>>("first"), |b| Ok(Some(b)))?;
    let blank = blank.map_or_else(|| options.get::<Option<bool>>("blank"), |b| Ok(Some(b)))?;
    options.assert_all_used()?;
    let indent = match width.unwrap_or(Value::from(4)) {
        w if w.as_str().is_some() => w.to_string(),
        w => " ".repeat(w.as_usize().filter(|&n| n <= MAX_INDENT).ok_or_else(|| {
            let message = format!("indent by {w}; expected 0 to {MAX_INDENT}");
            Error::new(ErrorKind::InvalidOperation, message)
        })?),
    };
    let text = text(value);
    let mut out = if first.unwrap_or(false) {
        indent.clone()
    } else {
        String::new()
    };
    for (i, line) in text
        .split('\n')
        .map(|l| l.strip_suffix('\r').unwrap_or(l))
        .enumerate()
    {
        if i > 0 {
            out.push('\n');
            if !line.is_empty() || blank.unwrap_or(false) {
                out.push_str(&indent);
            }
        }
        out.push_str(line);
        super::check_size(out.len())?;
    }
    Ok(out)
}

const MAX_INDENT: usize = 1000;

/// `truncate(length=255, killwords=false, end='...', leeway=5)`, the last by name only.
fn truncate(
    value: &Value,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = length
        .map_or_else(|| options.get("length"), |n| Ok(Some(n)))?
        .unwrap_or(255usize);
    let kill = killwords.map_or_else(|| options.get("killwords"), |b| Ok(Some(b)))?;
    let end = end
        .map_or_else(|| options.get("end"), |e| Ok(Some(e)))?
        .unwrap_or("...".to_string());
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    let text = text(value);
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let keep = length.saturating_sub(end.chars().count());
    let head: String = text.chars().take(keep).collect();
    let head = match head.rfind(' ') {
        Some(at) if !kill.unwrap_or(false) => &head[..at],
        _ => &head,
    };
    Ok(format!("{head}{end}"))
}

/// As minijinja's, but `attribute` may be a number too.
fn sort(state: &State, value: Value, options: Kwargs) -> Result<Value, Error> {
    let names: Vec<String> = options.args().map(String::from).collect();
    let mut pairs = Vec::new();
    for name in names {
        let option: Value = options.get(&name)?;
        let is_path = name == "attribute" && option.is_integer();
        pairs.push((
            name,
            if is_path {
                Value::from(option.to_string())
            } else {
                option
            },
        ));
    }
    filters::sort(state, value, pairs.into_iter().collect())
}

/// `join(d='', attribute=none)`; `attribute` is a path or a number.
fn join(value: &Value, joiner: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let joiner = joiner.map_or_else(|| options.get::<Option<Value>>("d"), |d| Ok(Some(d)))?;
    let joiner = joiner.map_or_else(String::new, |d| text(&d));
    let attribute = options
        .get::<Option<Value>>("attribute")?
        .map(|a| a.to_string());
    options.assert_all_used()?;
    let mut out = String::new();
    let items: Vec<Value> = match value.as_str() {
        Some(word) => word.chars().map(Value::from).collect(),
        None if value.is_undefined() => Vec::new(),
        None => value.try_iter()?.collect(),
    };
    for (i, item) in items.into_iter().enumerate() {
        let mut item = item;
        for part in attribute.iter().flat_map(|path| path.split('.')) {
            item = match part.parse::<i64>() {
                Ok(index) => item.get_item(&Value::from(index))?,
                Err(_) => item.get_item(&Value::from(part))?,
            };
        }
        if i > 0 {
            out.push_str(&joiner);
        }
        out.push_str(&text(&item));
        super::check_size(out.len())?;
    }
    Ok(out)
}
