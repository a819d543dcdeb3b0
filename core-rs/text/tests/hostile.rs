//! Templates that loop for ever, eat memory or overflow the stack end as errors, in seconds. Each
//! runs on a small stack, as a browser has it.

use puna_text::{ChatTemplate, RenderOptions};
use serde_json::json;
use std::time::{Duration, Instant};

const STACK_BYTES: usize = 1 << 20;

/// Unoptimised and on a busy machine; a release build takes a tenth.
const MAX_TIME: Duration = Duration::from_secs(40);

/// What one rendering may make, its copies on the way, and what the test harness has.
const MAX_RESIDENT_BYTES: u64 = 2 << 30;

fn render(template: String) -> puna_text::Result<String> {
    let run = move || {
        let messages = json!([{"role": "user", "content": "Hello, world"}]);
        ChatTemplate::new(&template, "<s>", "</s>")?.render(&messages, &RenderOptions::default())
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let handle = thread.spawn(run).expect("a thread");
    handle.join().expect("no panic")
}

/// Each is an error whose text has `reason` in it.
fn all_refused(reason: &str, templates: impl IntoIterator<Item = impl Into<String>>) {
    for template in templates {
        let template = template.into();
        let shown: String = template.chars().take(200).collect();
        let start = Instant::now();
        let output = render(template).map(|out| out.len());
        let time = start.elapsed();
        let error = output.expect_err(&shown).to_string();
        assert!(error.contains(reason), "{shown}\n{error}");
        assert!(
            error.len() < 1000,
            "{shown}\n{} bytes of error",
            error.len()
        );
        assert!(time < MAX_TIME, "{shown}\n{time:?}");
        assert!(resident_bytes() < MAX_RESIDENT_BYTES, "{shown}");
    }
}

/// The most memory this process has had; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// `ns.a` made anew from itself, a thousand times.
fn again(start: &str, step: &str) -> String {
    format!(
        "{{% set ns = namespace(a={start}, n=0) %}}{{% for i in range(1000) %}}\
         {{% set ns.a = {step} %}}{{% endfor %}}{{{{ ns.a }}}}"
    )
}

/// `statement` a hundred million times, were there the time.
fn forever(before: &str, statement: &str) -> String {
    format!(
        "{before}{{% for i in range(10000) %}}{{% for j in range(10000) %}}{statement}\
         {{% endfor %}}{{% endfor %}}"
    )
}

/// A text of 4 MB in `s`.
const BIG: &str = "{% set s = 'ab' * 2000000 %}";

#[test]
fn texts_that_double_are_refused() {
    all_refused(
        "bytes",
        [
            again("'x'", "ns.a ~ ns.a"),
            again("'x'", "ns.a + ns.a"),
            again("'x'", "ns.a * 2"),
            again("'xy'", "ns.a|replace('x', ns.a)"),
            again("'xy'", "ns.a.replace('x', ns.a)"),
            again("'xy'", "[ns.a, ns.a]|join('-')"),
            again("'xy'", "ns.a.join(['a', 'b', 'c'])"),
            again("'xy'", "'%s%s'|format(ns.a, ns.a)"),
            again("'xy'", "'{0}{0}'.format(ns.a)"),
            again("'xy'", "ns.a|indent(ns.a, true)"),
            again("'xy'", "([ns.a, ns.a]|string)"),
            again("'xy'", "([ns.a, ns.a]|tojson)"),
            again("'xy'", "(ns.a ~ ns.a)|upper|trim"),
            again("'xy'", "[ns.a, ns.a]|map('replace', 'x', ns.a)|join"),
            again("'\"'", "ns.a|tojson|tojson"),
        ],
    );
}

#[test]
fn lists_that_double_are_refused() {
    all_refused(
        "bytes",
        [
            again("['x']", "ns.a + ns.a"),
            again("['x']", "ns.a * 2"),
            again("(1, 2)", "ns.a + ns.a"),
            again("['x']", "[ns.a, ns.a]"),
            again("['x']", "(ns.a, ns.a)"),
            again("['x']", "{'a': ns.a, 'b': ns.a}"),
            again("['x']", "dict(a=ns.a, b=ns.a)"),
            again("['x']", "[ns.a, ns.a]|list"),
            again("['x']", "[ns.a, ns.a]|map('list')|list"),
            again("'x'", "[ns.a, ns.a]"),
        ],
    );
}

#[test]
fn values_that_nest_without_end_are_refused() {
    all_refused(
        "nested more than",
        [
            again("1", "[ns.a]"),
            again("1", "(ns.a,)"),
            again("1", "{'a': ns.a}"),
            again("1", "dict(a=ns.a)"),
            again("1", "[[ns.a]|list]|reverse"),
        ],
    );
}

#[test]
fn values_that_hold_themselves_are_refused() {
    let macro_ = "{% macro f() %}{% endmacro %}";
    all_refused(
        "in another value",
        [
            again("1", "ns"),
            again("1", "[ns]"),
            again("1", "dict(a=ns)"),
            again("1", "[{}]|map(attribute='x', default=ns)|list"),
            again("1", "loop"),
            again("1", "cycler([ns])"),
            again("1", "joiner('x')"),
            again("1", "range"),
            format!("{macro_}{}", again("1", "f")),
            format!("{macro_}{{{{ [f] }}}}"),
            "{% set ns = namespace() %}{{ messages[0].get('x', ns) }}".into(),
            "{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}".into(),
        ],
    );
}

#[test]
fn lazy_values_do_not_pile_up() {
    for step in [
        "ns.a|reverse",
        "ns.a[0:]",
        "ns.a[::-1]",
        "ns.a|map('string')",
        "ns.a|select",
        "ns.a|list|batch(9)|first",
        "(ns.a + [])",
    ] {
        let output = render(again("[1, 2]", step)).expect(step);
        assert!(output.starts_with('['), "{step}: {output}");
    }
    let step = "[ns.a|reverse|list]|map('reverse')|first";
    assert!(render(again("[1, 2]", step)).is_ok());
}

#[test]
fn work_without_end_is_refused() {
    let cases = [
        (BIG, "{% if s ~ 'a' == s %}{% endif %}"),
        (BIG, "{% if s == s %}{% endif %}"),
        (BIG, "{% if 'c' in s %}{% endif %}"),
        (BIG, "{% if s is in(['x', s]) %}{% endif %}"),
        (BIG, "{% if s is eq(s) %}{% endif %}"),
        (BIG, "{% if s|upper %}{% endif %}"),
        (BIG, "{% if s.find('c') %}{% endif %}"),
        (BIG, "{% if s[5] %}{% endif %}"),
        (BIG, "{% if {'a': 1}[s] %}{% endif %}"),
        (BIG, "{% for c in s %}{% break %}{% endfor %}"),
        (
            "{% set l = range(9999)|list %}",
            "{% if l|sort %}{% endif %}",
        ),
        (
            "{% set l = range(9999)|list %}",
            "{% if l == l %}{% endif %}",
        ),
        (
            "{% set l = range(9999)|list %}",
            "{% if l|select('in', l)|list %}{% endif %}",
        ),
        (
            "{% macro f() %}{{ caller() }}{% endmacro %}",
            "{% call f() %}{% endcall %}",
        ),
    ];
    all_refused(
        "",
        cases.map(|(before, statement)| forever(before, statement)),
    );
}

#[test]
fn widths_and_counts_without_bounds_are_refused() {
    all_refused(
        "",
        [
            "{{ '%1000000000s'|format('x') }}",
            "{{ '%.1000000000f'|format(1.5) }}",
            "{{ '%*s'|format(1000000000, 'x') }}",
            "{{ '{:>1000000000}'.format('x') }}",
            "{{ 'x'|indent(1000000000) }}",
            "{{ [1]|batch(1000000000, 0)|list }}",
            "{{ [1]|slice(1000000000)|list }}",
            "{{ 'x' * 1000000000000 }}",
            "{{ [1] * 1000000000000 }}",
            "{{ range(1000000000)|list }}",
            "{{ lipsum(1000000000) }}",
            "{{ 'a'.strip('b' * 100000) }}",
            "{{ [1, 2]|chain([3]) }}",
            "{{ 9999999999999999999999999999 ** 99 }}",
        ],
    );
}

#[test]
fn recursion_without_end_is_refused() {
    all_refused(
        "",
        [
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
            "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        ],
    );
}

#[test]
fn chains_and_nests_without_end_are_refused() {
    let long = |open: &str, link: &str, close: &str| {
        format!("{open}{}{close}", link.repeat(600_000 / link.len()))
    };
    let nested = |open: &str, close: &str| open.repeat(20_000) + &close.repeat(20_000);
    all_refused(
        "",
        [
            long("{{ messages", ".a", " }}"),
            long("{{ messages", "[0]", " }}"),
            long("{{ 1", "|abs", " }}"),
            long("{{ 1", "+1", " }}"),
            long("{{ 1", "~1", " }}"),
            long("{{ 1", " and 1", " }}"),
            long("{{ 1", "-1", " }}"),
            long("{{ 1", "**1", " }}"),
            long("{{ ", "not ", "1 }}"),
            long("{{ ", "-", "1 }}"),
            long("{{ 1 ", "if 1 else 1 ", " }}"),
            long("{{ raise_exception", "()", " }}"),
            long("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
            nested("{% if 1 %}", "{% endif %}"),
            nested("{% for a in [1] %}", "{% endfor %}"),
            nested("{{ (", ") }}"),
            format!("{{{{ {} }}}}", nested("(", ")")),
            format!("{{{{ {} }}}}", nested("[", "]")),
            format!("{{{{ {} }}}}", nested("{1:", "}")),
            format!("{{{{ {} }}}}", nested("f(", ")")),
        ],
    );
}

#[test]
fn chains_and_nests_at_their_bounds_render() {
    let long =
        |open: &str, link: &str, n: usize, close: &str| format!("{open}{}{close}", link.repeat(n));
    for template in [
        long("{{ 1", "|abs", 700, " }}"),
        long("{{ 1", "+1", 700, " }}"),
        long("{{ ''", "~1", 700, " }}"),
        long("{{ 1", " and 1", 700, " }}"),
        long("{{ 1", "-1", 700, " }}"),
        long("{% if 0 %}", "{% elif 0 %}", 190, "{% endif %}"),
        long("{{ messages", "[0:]", 300, " }}"),
    ] {
        render(template.clone()).expect(&template);
    }
}

#[test]
fn the_filters_that_count_cannot_be_taken_over() {
    let grow = again("'x'", "ns.a ~ ns.a");
    for before in [
        "{% set __cat = 1 %}",
        "{% macro __cat(a, b) %}{% endmacro %}",
        "{% macro __made(a) %}{% endmacro %}",
    ] {
        all_refused("bytes", [format!("{before}{grow}")]);
    }
}

#[test]
fn errors_tell_the_line() {
    let template =
        "{% set a = 1 %}\n\n{% for m in messages %}\n\n  text\n{{ 1 + 'a' }}{% endfor %}";
    let error = render(template.into())
        .expect_err("a wrong operator")
        .to_string();
    assert!(error.contains("(line 6)"), "{error}");
}
