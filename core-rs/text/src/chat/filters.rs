//! Filters and tests of jinja2 that minijinja lacks or answers differently. Jinja2 is the rule: an
//! undefined value counts as an empty one, `none` cannot be iterated.

use super::meter;
use super::ops::check_count;
use minijinja::formatting::FormatStyle;
use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, tests};

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("indent", indent);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |v: &Value| {
        meter::text(v).map(|text| text.split_whitespace().count())
    });
    environment.add_filter("sort", sort);
    environment.add_filter("join", join);
    environment.add_filter(
        "replace",
        |v: &Value, from: &Value, to: &Value, count: Option<usize>| {
            replace(
                &meter::text(v)?,
                &meter::text(from)?,
                &meter::text(to)?,
                count,
            )
        },
    );
    add_lenient(environment);
    add_bounded(environment);
    add_comparisons(environment);
    environment.add_test("iterable", |v: &Value| {
        v.is_undefined() || (!v.is_none() && v.try_iter().is_ok())
    });
}

/// Filters to which an undefined value is an empty one.
fn add_lenient(environment: &mut Environment<'static>) {
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
}

/// Filters that minijinja has, within bounds.
fn add_bounded(environment: &mut Environment<'static>) {
    for name in ["string", "pprint"] {
        environment.add_filter(name, |v: &Value| meter::text(v));
    }
    environment.add_filter("trim", |v: &Value, chars: Option<&str>| {
        check_count("characters to trim:", chars.map_or(0, str::len))?;
        let chars: Option<Vec<char>> = chars.map(|c| c.chars().collect());
        let text = meter::text(v)?;
        Ok::<_, Error>(Value::from(match chars {
            Some(chars) => text.trim_matches(&chars[..]),
            None => text.trim(),
        }))
    });
    environment.add_filter(
        "batch",
        |s: &State, v: Value, n: usize, fill: Option<Value>| {
            check_count("batches of", n)?;
            filters::batch(s, v, n, fill)
        },
    );
    environment.add_filter(
        "slice",
        |s: &State, v: Value, n: usize, fill: Option<Value>| {
            check_count("slices:", n)?;
            filters::slice(s, v, n, fill)
        },
    );
    environment.add_filter("format", |v: &str, args: Rest<Value>| {
        format(FormatStyle::Printf, v, &args)
    });
}

/// Comparing tests count what they read, as `select` runs them for each item.
fn add_comparisons(environment: &mut Environment<'static>) {
    type Compare = fn(&Value, &Value) -> bool;
    let comparisons: [(&[&'static str], Compare); 6] = [
        (&["eq", "equalto", "=="], |a, b| a == b),
        (&["ne", "!="], |a, b| a != b),
        (&["lt", "lessthan", "<"], |a, b| a < b),
        (&["le", "<="], |a, b| a <= b),
        (&["gt", "greaterthan", ">"], |a, b| a > b),
        (&["ge", ">="], |a, b| a >= b),
    ];
    for (names, compare) in comparisons {
        for &name in names {
            environment.add_test(name, move |a: &Value, b: &Value| {
                meter::read(a)?;
                meter::read(b)?;
                Ok::<_, Error>(compare(a, b))
            });
        }
    }
    environment.add_test("in", |state: &State, a: &Value, b: &Value| {
        meter::read(a)?;
        meter::read(b)?;
        tests::is_in(state, a, b)
    });
}

/// `text` with values in its places, where no width and no number of places makes it too large.
pub(super) fn format(style: FormatStyle, text: &str, args: &[Value]) -> Result<Value, Error> {
    let widest = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .fold(0usize, usize::max);
    check_count("a width of", widest)?;
    if matches!(style, FormatStyle::Printf) && text.contains('*') {
        for n in args.iter().filter_map(Value::as_usize) {
            check_count("a width of", n)?;
        }
    }
    let mut n_args = if text.contains('*') { 10_000 } else { 0 };
    for arg in args {
        n_args += meter::text(arg)?.len();
    }
    let n_places = text.matches(['%', '{']).count();
    meter::make(
        n_places
            .saturating_mul(widest + n_args)
            .saturating_add(text.len()),
    )?;
    minijinja::formatting::format(style, text, args).map(Value::from)
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
    meter::make(n.saturating_mul(to.len()).saturating_add(text.len()))?;
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
    let text = meter::text(value)?;
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
        meter::check_size(out.len())?;
    }
    meter::make(out.len())?;
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
    let text = meter::text(value)?;
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
pub(super) fn join(value: &Value, joiner: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let joiner = joiner.map_or_else(|| options.get::<Option<Value>>("d"), |d| Ok(Some(d)))?;
    let joiner = joiner.map_or_else(|| Ok(String::new()), |d| meter::text(&d))?;
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
        out.push_str(&meter::text(&item)?);
        meter::check_size(out.len())?;
    }
    meter::make(out.len())?;
    Ok(out)
}
