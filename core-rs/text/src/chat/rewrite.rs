//! Makes a template measure itself: it is parsed, and written anew with a filter around whatever
//! makes, keeps or reads through a value (`meter.rs`, `ops.rs`). minijinja counts instructions, not
//! what they handle, and has no hook for that; names of filters, unlike those of functions, cannot
//! be taken by a template's variables.
//!
//! | template | becomes |
//! |---|---|
//! | `a ~ b`, `a + b`, `a * b`, `a[i:j]` | `a\|__cat(b)`, `a\|__add(b)`, `a\|__mul(b)`, `a\|__slice(i, j, none)` |
//! | `a == b`, `a in b`, … | `a\|__read == b\|__read` |
//! | `a\|f(b)` | `a\|__read\|f(b)\|__made` |
//! | `a.f(b)`, `f(b)` | `a\|__read.f(b\|__kept)\|__made`, `f(b)\|__made` |
//! | `[a, b]`, `{a: b}` | `[a, b]\|__kept\|__made` |
//! | `{% set ns.x = a %}` | `{% set ns.x = a\|__kept %}` |
//!
//! Every statement stays in its line, so that errors tell the right one.

use minijinja::machinery::ast::{Expr, ForLoop, IfCond, Macro, Set, SetBlock, Stmt, WithBlock};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

mod expressions;

/// Tokens between two delimiters, and `elif` in all: what lies in chains (`a.b.c`) costs stack for
/// each link. Templates in use have 260 and 20.
const MAX_TAG_TOKENS: usize = 1500;
const MAX_ELIF: usize = 200;

/// The template that does what `source` does, measured; to be run with plain delimiters, no blanks
/// trimmed.
pub(super) fn rewrite(source: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    check_chains(source, &syntax)?;
    let Stmt::Template(template) = parse(source, super::NAME, syntax)? else {
        return Err(refused("a template", "an expression"));
    };
    let mut writer = Writer {
        out: String::with_capacity(source.len() * 2),
        line: 1,
    };
    writer.block(&template.children)?;
    Ok(writer.out)
}

/// Refuses what would overflow the stack of parser or compiler.
fn check_chains(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    let (mut n_tokens, mut n_elif) = (0, 0);
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token?;
        match token {
            Token::VariableStart | Token::BlockStart => n_tokens = 0,
            Token::Ident("elif") => n_elif += 1,
            _ => {}
        }
        n_tokens += 1;
        if n_tokens > MAX_TAG_TOKENS || n_elif > MAX_ELIF {
            let message = format!(
                "line {}: too long; expected at most {MAX_TAG_TOKENS} tokens in a tag, {MAX_ELIF} elif in all",
                span.start_line
            );
            return Err(Error::new(ErrorKind::SyntaxError, message));
        }
    }
    Ok(())
}

fn refused(found: &str, expected: &str) -> Error {
    Error::new(
        ErrorKind::SyntaxError,
        format!("{found}; expected {expected}"),
    )
}

struct Writer {
    out: String,
    line: usize,
}

type Done = Result<(), Error>;

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Opens a tag, and goes on to the line where it was.
    fn open(&mut self, tag: &str, span: Span) {
        self.put(tag);
        while self.line < span.start_line as usize {
            self.line += 1;
            self.out.push('\n');
        }
    }

    fn block(&mut self, statements: &[Stmt]) -> Done {
        statements.iter().try_for_each(|s| self.statement(s))
    }

    fn statement(&mut self, statement: &Stmt) -> Done {
        match statement {
            Stmt::EmitRaw(raw) => {
                self.open("{{", raw.span());
                self.text(raw.raw);
                self.put("}}");
                Ok(())
            }
            Stmt::EmitExpr(emit) => {
                self.open("{{ ", emit.span());
                self.expression(&emit.expr)?;
                self.put(" }}");
                Ok(())
            }
            Stmt::ForLoop(it) => self.for_loop(it, it.span()),
            Stmt::IfCond(it) => {
                self.open("{% if ", it.span());
                self.conditions(it)?;
                self.put("{% endif %}");
                Ok(())
            }
            Stmt::WithBlock(it) => self.with(it, it.span()),
            Stmt::Set(it) => self.set(it, it.span()),
            Stmt::SetBlock(it) => self.set_block(it, it.span()),
            Stmt::AutoEscape(it) => {
                self.open("{% autoescape ", it.span());
                self.expression(&it.enabled)?;
                self.body(&it.body, "{% endautoescape %}")
            }
            Stmt::FilterBlock(it) => {
                self.open("{% filter ", it.span());
                self.chain(&it.filter)?;
                self.body(&it.body, "{% endfilter %}")
            }
            Stmt::Macro(it) => {
                self.open("{% macro ", it.span());
                self.put(it.name);
                self.parameters(it)?;
                self.body(&it.body, "{% endmacro %}")
            }
            _ => self.other_statement(statement),
        }
    }

    fn other_statement(&mut self, statement: &Stmt) -> Done {
        match statement {
            Stmt::CallBlock(it) => {
                self.open("{% call", it.span());
                self.parameters(&it.macro_decl)?;
                self.put(" ");
                self.call(&it.call)?;
                self.body(&it.macro_decl.body, "{% endcall %}")
            }
            Stmt::Do(it) => {
                self.open("{% do ", it.span());
                self.call(&it.call)?;
                self.put(" %}");
                Ok(())
            }
            Stmt::Continue(it) => {
                self.open("{% continue %}", it.span());
                Ok(())
            }
            Stmt::Break(it) => {
                self.open("{% break %}", it.span());
                Ok(())
            }
            Stmt::Template(it) => self.block(&it.children),
            _ => Err(refused("a part of another template", "one template")),
        }
    }

    /// The end of a tag, what stands in it, and the tag that closes it.
    fn body(&mut self, statements: &[Stmt], close: &str) -> Done {
        self.put(" %}");
        self.block(statements)?;
        self.put(close);
        Ok(())
    }

    fn with(&mut self, it: &WithBlock, span: Span) -> Done {
        self.open("{% with ", span);
        for (i, (target, value)) in it.assignments.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.nested_target(target)?;
            self.put(" = ");
            self.expression(value)?;
        }
        self.body(&it.body, "{% endwith %}")
    }

    fn set(&mut self, it: &Set, span: Span) -> Done {
        self.open("{% set ", span);
        self.target(&it.target)?;
        self.put(" = ");
        match it.target {
            Expr::GetAttr(_) => {
                self.operand(&it.expr)?;
                self.put("|__kept");
            }
            _ => self.expression(&it.expr)?,
        }
        self.put(" %}");
        Ok(())
    }

    fn set_block(&mut self, it: &SetBlock, span: Span) -> Done {
        self.open("{% set ", span);
        self.target(&it.target)?;
        if let Some(filter) = &it.filter {
            self.put("|");
            self.chain(filter)?;
        }
        self.body(&it.body, "{% endset %}")
    }

    fn for_loop(&mut self, it: &ForLoop, span: Span) -> Done {
        self.open("{% for ", span);
        self.target(&it.target)?;
        self.put(" in ");
        self.operand(&it.iter)?;
        self.put("|__seen");
        if let Some(filter) = &it.filter_expr {
            self.put(" if ");
            self.condition(filter)?;
        }
        self.put(if it.recursive { " recursive %}" } else { " %}" });
        self.block(&it.body)?;
        if !it.else_body.is_empty() {
            self.put("{% else %}");
            self.block(&it.else_body)?;
        }
        self.put("{% endfor %}");
        Ok(())
    }

    /// What follows `if`, up to the end. `elif` stays one: as a statement within `else` it would
    /// nest.
    fn conditions(&mut self, it: &IfCond) -> Done {
        self.condition(&it.expr)?;
        self.put(" %}");
        self.block(&it.true_body)?;
        match it.false_body.as_slice() {
            [] => Ok(()),
            [Stmt::IfCond(next)] => {
                self.open("{% elif ", next.span());
                self.conditions(next)
            }
            body => {
                self.put("{% else %}");
                self.block(body)
            }
        }
    }

    fn parameters(&mut self, it: &Macro) -> Done {
        let n_required = it.args.len().saturating_sub(it.defaults.len());
        self.put("(");
        for (i, name) in it.args.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.nested_target(name)?;
            if let Some(default) = i.checked_sub(n_required).and_then(|i| it.defaults.get(i)) {
                self.put("=");
                self.expression(default)?;
            }
        }
        self.put(")");
        Ok(())
    }

    /// Names that are assigned to.
    fn target(&mut self, target: &Expr) -> Done {
        let Expr::List(list) = target else {
            return self.nested_target(target);
        };
        for name in &list.items {
            self.nested_target(name)?;
            self.put(", ");
        }
        Ok(())
    }

    fn nested_target(&mut self, target: &Expr) -> Done {
        match target {
            Expr::Var(name) => self.put(name.id),
            Expr::GetAttr(attr) => {
                self.nested_target(&attr.expr)?;
                self.put(".");
                self.put(attr.name);
            }
            Expr::List(_) => {
                self.put("(");
                self.target(target)?;
                self.put(")");
            }
            other => return Err(refused(other.description(), "a name to assign to")),
        }
        Ok(())
    }
}
