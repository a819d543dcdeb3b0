//! Expressions, written anew with the filters that count. Two levels: an *expression* may be anything,
//! an *operand* binds tighter than any operator, so that a filter can follow it. A chain of operators
//! becomes a chain of filters and not a nest, which would run into the parser's bound.

use super::{Done, Writer, refused};
use minijinja::Value;
use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOpKind, Expr, Filter, Map, Slice, UnaryOpKind,
};

/// Filters that read no more of a value than how long it is, or one item.
const SHALLOW: &[&str] = &["length", "count", "first", "last", "default", "d", "bool"];

/// Filters that compare what they are given, many times.
const SORTING: &[&str] = &["sort", "dictsort", "unique", "groupby", "min", "max"];

impl Writer {
    /// An expression where `if` would begin something else.
    pub(super) fn condition(&mut self, expr: &Expr) -> Done {
        match expr {
            Expr::IfExpr(_) => self.operand(expr),
            _ => self.expression(expr),
        }
    }

    pub(super) fn expression(&mut self, expr: &Expr) -> Done {
        match expr {
            Expr::UnaryOp(it) => match it.op {
                UnaryOpKind::Not => {
                    self.put("not ");
                    self.operand(&it.expr)
                }
                // A filter after `-x` would take it for its own.
                UnaryOpKind::Neg => {
                    self.put("-(");
                    self.expression(&it.expr)?;
                    self.put(")");
                    Ok(())
                }
            },
            Expr::BinOp(it) => self.binary(it),
            Expr::Compare(it) => self.compare(it),
            Expr::IfExpr(it) => {
                self.operand(&it.true_expr)?;
                self.put(" if ");
                self.condition(&it.test_expr)?;
                if let Some(otherwise) = &it.false_expr {
                    self.put(" else ");
                    self.expression(otherwise)?;
                }
                Ok(())
            }
            Expr::Test(it) => {
                self.operand(&it.expr)?;
                self.put(" is ");
                self.put(it.name);
                self.put("(");
                self.arguments(&it.args, "")?;
                self.put(")");
                Ok(())
            }
            _ => self.operand(expr),
        }
    }

    /// An expression that binds tighter than any operator and can be filtered.
    pub(super) fn operand(&mut self, expr: &Expr) -> Done {
        match expr {
            Expr::Var(it) => self.put(it.id),
            Expr::Const(it) => self.constant(&it.value)?,
            Expr::Slice(it) => self.slice(it)?,
            Expr::BinOp(it) if grows(it.op).is_some() => self.binary(it)?,
            Expr::Filter(it) => self.filter(it)?,
            Expr::GetAttr(it) => {
                self.base(&it.expr, "")?;
                self.put(".");
                self.put(it.name);
            }
            Expr::GetItem(it) => {
                self.base(&it.expr, "|__seen")?;
                self.put("[");
                self.operand(&it.subscript_expr)?;
                self.unless_constant("|__seen", &it.subscript_expr);
                self.put("]");
            }
            Expr::Call(it) => {
                self.call(it)?;
                // A loop that calls itself is no function; what it writes is counted as output.
                if !matches!(&it.expr, Expr::Var(name) if name.id == "loop") {
                    self.put("|__made");
                }
            }
            Expr::List(it) => {
                self.items("[", &it.items, "]")?;
            }
            Expr::Tuple(it) => {
                let close = if it.items.len() == 1 { ",)" } else { ")" };
                self.items("(", &it.items, close)?;
            }
            Expr::Map(it) => self.map(it)?,
            Expr::UnaryOp(_)
            | Expr::BinOp(_)
            | Expr::Compare(_)
            | Expr::IfExpr(_)
            | Expr::Test(_) => {
                self.put("(");
                self.expression(expr)?;
                self.put(")");
            }
        }
        Ok(())
    }

    fn map(&mut self, it: &Map) -> Done {
        self.put("{");
        for (key, value) in it.keys.iter().zip(&it.values) {
            self.expression(key)?;
            self.put(": ");
            self.expression(value)?;
            self.put(", ");
        }
        self.put("}|__kept|__made");
        Ok(())
    }

    fn items(&mut self, open: &str, items: &[Expr], close: &str) -> Done {
        self.put(open);
        for (i, item) in items.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.expression(item)?;
        }
        self.put(close);
        self.put("|__kept|__made");
        Ok(())
    }

    /// What an attribute or an item is taken from, through `filter`.
    fn base(&mut self, expr: &Expr, filter: &str) -> Done {
        let plain = matches!(expr, Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_));
        if plain && (filter.is_empty() || matches!(expr, Expr::Var(name) if name.id == "loop")) {
            return self.operand(expr);
        }
        self.put("(");
        self.operand(expr)?;
        self.put(filter);
        self.put(")");
        Ok(())
    }

    fn binary(&mut self, it: &BinOp) -> Done {
        if let Some(filter) = grows(it.op) {
            self.operand(&it.left)?;
            self.put("|");
            self.put(filter);
            self.put("(");
            self.expression(&it.right)?;
            self.put(")");
            return Ok(());
        }
        let (op, reads) = operator(it.op);
        // A chain of one operator needs no brackets on its left side.
        match &it.left {
            Expr::BinOp(left) if operator(left.op) == (op, false) && op != "**" => {
                self.binary(left)?;
            }
            left => self.compared(left, &it.right, reads)?,
        }
        self.put(op);
        // What is searched is read, however short the thing that is looked for.
        let other = match it.op {
            BinOpKind::In => &it.right,
            _ => &it.left,
        };
        self.compared(&it.right, other, reads)
    }

    fn compare(&mut self, it: &Compare) -> Done {
        let first = it.ops.first().map_or(&it.expr, |op| &op.expr);
        self.compared(&it.expr, first, true)?;
        let mut left = &it.expr;
        for op in &it.ops {
            self.put(match op.op {
                CompareOpKind::Eq => " == ",
                CompareOpKind::Ne => " != ",
                CompareOpKind::Lt => " < ",
                CompareOpKind::Lte => " <= ",
                CompareOpKind::Gt => " > ",
                CompareOpKind::Gte => " >= ",
                CompareOpKind::In => " in ",
                CompareOpKind::NotIn => " not in ",
            });
            let is_in = matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn);
            let other = if is_in { &op.expr } else { left };
            self.compared(&op.expr, other, true)?;
            left = &op.expr;
        }
        Ok(())
    }

    /// One side of a comparison; with a constant it costs no more than that is long.
    fn compared(&mut self, expr: &Expr, other: &Expr, reads: bool) -> Done {
        self.operand(expr)?;
        if reads && (std::ptr::eq(expr, other) || !matches!(other, Expr::Const(_))) {
            self.unless_constant("|__read", expr);
        }
        Ok(())
    }

    fn unless_constant(&mut self, filter: &str, expr: &Expr) {
        if !matches!(expr, Expr::Const(_)) {
            self.put(filter);
        }
    }

    fn slice(&mut self, it: &Slice) -> Done {
        self.operand(&it.expr)?;
        self.put("|__slice(");
        for (i, part) in [&it.start, &it.stop, &it.step].into_iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            match part {
                Some(part) => self.expression(part)?,
                None => self.put("none"),
            }
        }
        self.put(")");
        Ok(())
    }

    fn filter(&mut self, it: &Filter) -> Done {
        let Some(input) = &it.expr else {
            return Err(refused("a filter", "what it filters"));
        };
        self.operand(input)?;
        let through = match it.name {
            name if SHALLOW.contains(&name) => "|__seen",
            name if SORTING.contains(&name) => "|__sorted",
            _ => "|__read",
        };
        self.unless_constant(through, input);
        self.put("|");
        self.filter_call(it)
    }

    /// Filters of a block: what they filter is not among them.
    pub(super) fn chain(&mut self, expr: &Expr) -> Done {
        let Expr::Filter(it) = expr else {
            return Err(refused(expr.description(), "a filter"));
        };
        if let Some(before) = &it.expr {
            self.chain(before)?;
            self.put("|");
        }
        self.filter_call(it)
    }

    fn filter_call(&mut self, it: &Filter) -> Done {
        self.put(it.name);
        self.put("(");
        self.arguments(&it.args, "")?;
        self.put(")");
        if !SHALLOW.contains(&it.name) {
            self.put("|__made");
        }
        Ok(())
    }

    pub(super) fn call(&mut self, it: &Call) -> Done {
        let mut through = "";
        match &it.expr {
            Expr::GetAttr(method) => {
                through = "|__kept";
                self.base(&method.expr, "|__read")?;
                self.put(".");
                self.put(method.name);
            }
            function => self.base(function, "")?,
        }
        self.put("(");
        self.arguments(&it.args, through)?;
        self.put(")");
        Ok(())
    }

    fn arguments(&mut self, args: &[CallArg], through: &str) -> Done {
        for (i, arg) in args.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            let value = match arg {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.put(name);
                    self.put("=");
                    value
                }
                CallArg::PosSplat(value) => {
                    self.put("*");
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.put("**");
                    value
                }
            };
            if through.is_empty() {
                self.expression(value)?;
            } else {
                self.operand(value)?;
                self.unless_constant(through, value);
            }
        }
        Ok(())
    }

    fn constant(&mut self, value: &Value) -> Done {
        if let Some(text) = value.as_str() {
            self.text(text);
        } else if value.is_none() {
            self.put("none");
        } else {
            // In brackets, lest a dot after a number make it another.
            let text = match value.is_number() && !value.is_integer() {
                true => format!("({:?})", f64::try_from(value.clone())?),
                false if value.is_number() => format!("({value})"),
                false => value.to_string(),
            };
            self.put(&text);
        }
        Ok(())
    }

    /// A string that is read as `text`; on one line.
    pub(super) fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.put("\\\""),
                '\\' => self.put("\\\\"),
                '\n' => self.put("\\n"),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// The filter for an operator whose result may be larger than what it is made of.
fn grows(op: BinOpKind) -> Option<&'static str> {
    match op {
        BinOpKind::Add => Some("__add"),
        BinOpKind::Mul => Some("__mul"),
        BinOpKind::Concat => Some("__cat"),
        _ => None,
    }
}

/// An operator, and whether it reads through what stands beside it.
fn operator(op: BinOpKind) -> (&'static str, bool) {
    match op {
        BinOpKind::Eq => (" == ", true),
        BinOpKind::Ne => (" != ", true),
        BinOpKind::Lt => (" < ", true),
        BinOpKind::Lte => (" <= ", true),
        BinOpKind::Gt => (" > ", true),
        BinOpKind::Gte => (" >= ", true),
        BinOpKind::In => (" in ", true),
        BinOpKind::ScAnd => (" and ", false),
        BinOpKind::ScOr => (" or ", false),
        BinOpKind::Add => (" + ", false),
        BinOpKind::Sub => (" - ", false),
        BinOpKind::Mul => (" * ", false),
        BinOpKind::Div => (" / ", false),
        BinOpKind::FloorDiv => (" // ", false),
        BinOpKind::Rem => (" % ", false),
        BinOpKind::Pow => (" ** ", false),
        BinOpKind::Concat => (" ~ ", false),
    }
}
