//! The operators that may make large values, as filters that count what they make (`rewrite.rs`
//! puts them into templates), with the meaning they have in minijinja.

use super::meter::{counted, exceeded, make, text};
use minijinja::value::{Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("__add", add);
    environment.add_filter("__mul", mul);
    environment.add_filter("__cat", |a: Value, b: Value| cat(&a, &b));
    environment.add_filter("__slice", slice);
}

/// `a ~ b`
fn cat(a: &Value, b: &Value) -> Result<Value, Error> {
    let written = |v: &Value| {
        if v.as_str().is_some() {
            Ok(None)
        } else {
            text(v).map(Some)
        }
    };
    let (a_text, b_text) = (written(a)?, written(b)?);
    let a = a_text.as_deref().or(a.as_str()).unwrap_or_default();
    let b = b_text.as_deref().or(b.as_str()).unwrap_or_default();
    make(a.len() + b.len())?;
    Ok(Value::from([a, b].concat()))
}

/// `a + b`
fn add(a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        make(a.len() + b.len())?;
        return Ok(Value::from([a, b].concat()));
    }
    if is_list(&a) && is_list(&b) && a.is_tuple() == b.is_tuple() {
        let items: Vec<Value> = a.try_iter()?.chain(b.try_iter()?).collect();
        return counted(list_like(&a, items));
    }
    arithmetic("+", &a, &b, i128::checked_add, |a, b| a + b)
}

/// `a * b`
fn mul(a: Value, b: Value) -> Result<Value, Error> {
    for (value, n) in [(&a, &b), (&b, &a)] {
        let times = || {
            let n = n.as_usize();
            n.ok_or_else(|| {
                invalid(format!(
                    "{} can only be multiplied with integers",
                    value.kind()
                ))
            })
        };
        if let Some(text) = value.as_str() {
            let n = times()?;
            make(text.len().saturating_mul(n))?;
            return Ok(Value::from(text.repeat(n)));
        }
        if is_list(value) {
            let n = times()?;
            let items: Vec<Value> = value.try_iter()?.collect();
            // Counted before it is made, by the least a value takes.
            make(
                items
                    .len()
                    .saturating_mul(n)
                    .saturating_mul(size_of::<Value>()),
            )?;
            let repeated = std::iter::repeat_n(items, n).flatten().collect();
            return counted(list_like(value, repeated));
        }
    }
    arithmetic("*", &a, &b, i128::checked_mul, |a, b| a * b)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// A list or a tuple, as `value` is one.
fn list_like(value: &Value, items: Vec<Value>) -> Value {
    match value.is_tuple() {
        true => Value::from(Tuple::from(items)),
        false => Value::from(items),
    }
}

fn arithmetic(
    op: &str,
    a: &Value,
    b: &Value,
    whole: fn(i128, i128) -> Option<i128>,
    float: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    let is_number = |v: &Value| matches!(v.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number(a) || !is_number(b) {
        let message = format!(
            "tried to use {op} operator on unsupported types {} and {}",
            a.kind(),
            b.kind()
        );
        return Err(invalid(message));
    }
    let is_float = |v: &Value| v.is_number() && !v.is_integer();
    if is_float(a) || is_float(b) {
        return Ok(Value::from(float(as_float(a)?, as_float(b)?)));
    }
    let result = whole(i128::try_from(a.clone())?, i128::try_from(b.clone())?)
        .ok_or_else(|| invalid(format!("unable to calculate {a} {op} {b}")))?;
    Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from))
}

fn as_float(value: &Value) -> Result<f64, Error> {
    match value.is_integer() || value.kind() == ValueKind::Bool {
        true => Ok(i128::try_from(value.clone())? as f64),
        false => f64::try_from(value.clone()),
    }
}

/// `value[start:stop:step]`
fn slice(value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    let number = |v: Value| {
        if v.is_none() {
            Ok(None)
        } else {
            i64::try_from(v).map(Some)
        }
    };
    let (start, stop) = (number(start)?, number(stop)?);
    let step = number(step)?.unwrap_or(1);
    if step == 0 {
        return Err(invalid("cannot slice by step size of 0".into()));
    }
    if let Some(text) = value.as_str() {
        make(text.len())?;
        let chars: Vec<char> = text.chars().collect();
        let places = places(chars.len(), start, stop, step);
        return Ok(Value::from(places.map(|i| chars[i]).collect::<String>()));
    }
    if value.is_none() || value.is_undefined() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    if !is_list(&value) {
        return Err(invalid(format!(
            "value of type {} cannot be sliced",
            value.kind()
        )));
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    let places = places(items.len(), start, stop, step);
    counted(list_like(
        &value,
        places.map(|i| items[i].clone()).collect(),
    ))
}

/// The places a slice of `n` items takes, by Python's rules.
fn places(
    n: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let n = n as i64;
    // Before the first and after the last, in the direction of the step.
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(low, high);
    let start = start.map_or(if step > 0 { low } else { high }, place);
    let stop = stop.map_or(if step > 0 { high } else { low }, place);
    let ahead = move |i: &i64| if step > 0 { *i < stop } else { *i > stop };
    std::iter::successors(Some(start), move |i| i.checked_add(step))
        .take_while(ahead)
        .map(|i| i as usize)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Refuses a number that would be a width or a count beyond reason.
pub(super) fn check_count(what: &str, n: usize) -> Result<(), Error> {
    const MAX: usize = 10_000;
    if n <= MAX {
        return Ok(());
    }
    Err(exceeded(format!("{what} {n}; expected at most {MAX}")))
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn slices_are_those_of_python() {
        let of = |start, stop, step| places(5, start, stop, step).collect::<Vec<_>>();
        assert_eq!(of(None, None, 1), [0, 1, 2, 3, 4]);
        assert_eq!(of(Some(-2), None, 1), [3, 4]);
        assert_eq!(of(Some(1), Some(-1), 2), [1, 3]);
        assert_eq!(of(None, None, -1), [4, 3, 2, 1, 0]);
        assert_eq!(of(Some(-9), Some(9), 1), [0, 1, 2, 3, 4]);
        assert_eq!(of(Some(9), Some(0), -2), [4, 2]);
        assert_eq!(of(Some(3), Some(1), 1), [0; 0]);
        assert_eq!(of(Some(0), None, i64::MAX), [0]);
        assert_eq!(of(Some(4), None, i64::MIN), [4]);
    }
}
