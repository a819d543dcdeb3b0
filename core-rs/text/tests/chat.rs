//! Chat templates against jinja2 (as `transformers` sets it up) and llama.cpp's cases.

mod support;

use puna_text::{ChatTemplate, RenderOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Cases of llama.cpp that do not hold here, each with its reason.
const CANNOT_HOLD: &[(&str, &str)] = &[
    (
        "ai-sage/GigaChat-20B-A3B-instruct",
        "recognised by its text in llama.cpp, never run: it needs \
        additional_special_tokens, which GGUF does not carry",
    ),
    (
        "object comparison",
        "True and 1 are different keys in minijinja",
    ),
    (
        "print dict with mixed type keys",
        "True and 1 are different keys in minijinja",
    ),
    (
        "empty computed member is undefined",
        "`a[]` is a syntax error in jinja2 too",
    ),
    ("is callable", "minijinja has no bound methods as values"),
    (
        "array.pop() last",
        "the sandbox of transformers refuses to change a list, as minijinja does",
    ),
    ("array.pop() with index", "as above"),
    ("array.append()", "as above"),
];

/// Of those, the ones that hold by chance: equal keys of unequal hashes meet once in a hundred maps.
const HOLD_BY_CHANCE: &[&str] = &["object comparison", "print dict with mixed type keys"];

/// Whether a case holds or is listed as one that cannot.
fn as_listed(name: &str, holds: bool) -> bool {
    HOLD_BY_CHANCE.contains(&name) || holds != CANNOT_HOLD.iter().any(|(listed, _)| *listed == name)
}

/// 2025-02-03 04:05:06 UTC, as in make_chat.py.
const NOW: i64 = 1_738_555_506;

fn fnv1a(text: &str) -> String {
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    });
    format!("{hash:016x}")
}

fn render(source: &str, conversation: &Value) -> puna_text::Result<String> {
    let options = RenderOptions {
        add_generation_prompt: conversation["add_generation_prompt"] == json!(true),
        tools: conversation.get("tools").cloned(),
        extra: conversation["extra"]
            .as_object()
            .cloned()
            .unwrap_or_default(),
        now: Some(NOW),
    };
    ChatTemplate::new(source, "<s>", "</s>")?.render(&conversation["messages"], &options)
}

#[test]
fn real_templates_give_what_jinja2_gives() {
    let Some(folder) = support::data("llamacpp/templates") else {
        return;
    };
    let golden: BTreeMap<String, String> =
        serde_json::from_str(include_str!("golden/chat.json")).expect("JSON");
    let conversations: Value =
        serde_json::from_str(include_str!("golden/conversations.json")).expect("JSON");
    let outputs = std::env::var("PUNA_CHAT_OUTPUTS").map(|path| {
        let text = std::fs::read_to_string(path).expect("PUNA_CHAT_OUTPUTS is readable");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    let mut wrong = Vec::new();
    for (key, expected) in &golden {
        let (template, conversation) = key.rsplit_once(' ').expect("template conversation");
        let source = std::fs::read_to_string(folder.join(template)).expect("readable");
        let output = render(&source, &conversations[conversation]);
        let right = match (expected.as_str(), &output) {
            ("error", _) => true, // Python is stricter about types
            ("refused", output) => output.is_err(),
            (hash, output) => output.as_ref().is_ok_and(|o| fnv1a(o) == hash),
        };
        if !right {
            wrong.push(format!("{key}: {output:?}"));
            if let Ok(outputs) = &outputs {
                wrong.push(format!("  jinja2: {:?}", outputs[key].as_str()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        golden.len(),
        wrong.join("\n")
    );
}

#[test]
fn llama_cpp_chat_cases_hold() {
    let Some(cases) = support::json("llamacpp/chat_template.json") else {
        return;
    };
    let mut wrong = Vec::new();
    for case in cases.as_array().expect("a list") {
        let text = |key: &str| case[key].as_str().unwrap_or("");
        let conversation = |folded: bool| {
            let mut messages = vec![
                json!({"role": "user", "content": "Hello"}),
                json!({"role": "assistant", "content": "Hi there"}),
                json!({"role": "user", "content": "Who are you"}),
                json!({"role": "assistant", "content": "   I am an assistant   "}),
                json!({"role": "user", "content": "Another question"}),
            ];
            if text("name").ends_with("(tool call)") {
                messages.extend([
                    json!({"role": "user", "content": "What is the weather?"}),
                    json!({"role": "assistant_tool_call", "content": "<tool_call>\n{\"name\": \
                        \"get_weather\", \"arguments\": {\"location\": \"NYC\"}}\n</tool_call>"}),
                    json!({"role": "tool_response", "content": "{\"temperature\": 72}"}),
                ]);
            }
            if folded {
                messages[0]["content"] = json!("You are a helpful assistant\nHello");
            } else {
                let system = json!({"role": "system", "content": "You are a helpful assistant"});
                messages.insert(0, system);
            }
            Value::from(messages)
        };
        let options = RenderOptions {
            add_generation_prompt: true,
            ..RenderOptions::default()
        };
        let template = ChatTemplate::new(text("template"), text("bos"), text("eos"));
        let outputs: Vec<_> = [false, true]
            .map(|folded| {
                template.as_ref().map_err(|e| e.to_string()).and_then(|t| {
                    t.render(&conversation(folded), &options)
                        .map_err(|e| e.to_string())
                })
            })
            .into();
        let holds = outputs.iter().any(|o| o.as_deref() == Ok(text("expect")));
        if !as_listed(text("name"), holds) {
            wrong.push(format!(
                "{}:\n  {outputs:?}\n  expected {:?}",
                text("name"),
                text("expect")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn llama_cpp_jinja_cases_hold() {
    let Some(cases) = support::json("llamacpp/jinja.json") else {
        return;
    };
    let cases = cases.as_array().expect("a list");
    let mut wrong = Vec::new();
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap_or("");
        let output = ChatTemplate::new(text("template"), "", "")
            .and_then(|t| t.render_variables(&case["vars"]));
        if !as_listed(text("name"), output.as_deref().ok() == Some(text("expect"))) {
            wrong.push(format!(
                "{}: {}\n  {output:?}\n  expected {:?}",
                text("name"),
                text("template"),
                text("expect")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn refusals_carry_the_template_s_words() {
    let error = render(
        "{{ raise_exception('roles must alternate') }}",
        &json!({"messages": []}),
    );
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("roles must alternate"), "{error}");
}

#[test]
fn endless_templates_are_stopped() {
    let template =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    assert!(render(template, &json!({"messages": []})).is_err());
    let template = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(render(template, &json!({"messages": []})).is_err());
}

#[test]
fn endless_output_is_stopped() {
    let template = "{% for a in range(100000) %}{{ 'x' * 100000 }}{% endfor %}";
    assert!(render(template, &json!({"messages": []})).is_err());
    let template = "{% set ns = namespace(s='x') %}{% for a in range(60) %}\
        {% set s %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = s %}{% endfor %}";
    assert!(render(template, &json!({"messages": []})).is_err());
}

#[test]
fn replacements_that_square_a_text_are_stopped() {
    for replaced in ["s|replace('x', s)", "s.replace('x', s)"] {
        let template = format!("{{% set s = 'x' * 100000 %}}{{% set t = {replaced} %}}");
        let error = render(&template, &json!({"messages": []})).expect_err("too large");
        assert!(error.to_string().contains("bytes"), "{error}");
    }
    let template = "{{ 'aaa'.replace('a', 'b', 2) }}{{ 'aaa'|replace('a', 'c') }}";
    assert_eq!(
        render(template, &json!({"messages": []})).expect("renders"),
        "bbaccc"
    );
}

#[test]
fn generation_marks_are_passed_over() {
    let template = "{% for m in messages %}\n{%- generation %}\n{{ m.content }}!\n{% endgeneration -%}\n{% endfor %}";
    let plain = template
        .replace("endgeneration", "endif")
        .replace("generation", "if true");
    let conversation = json!({"messages": [{"content": "a"}, {"content": "generation"}]});
    let output = render(template, &conversation).expect("renders");
    assert_eq!(output, render(&plain, &conversation).expect("renders"));
}

#[test]
fn operators_bind_as_in_jinja2() {
    for (expression, result) in [
        ("-(1 + 2)", "-3"),
        ("-(1 + 2)|abs", "3"),
        ("-3|abs + 1", "4"),
        ("- 2 ** 2", "4"),
        ("2 ** 3 ** 2 if true", "64"),
        ("1 ~ 2 * 3 ~ 4", "164"),
        ("1 - 2 - 3", "-4"),
        ("1 - (2 - 3)", "2"),
        ("12 / 2 * 3", "18.0"),
        ("7 // 2 % 2", "1"),
        ("not 1 == 2 and 3 < 4 < 5", "True"),
        ("1 in [1] + [2] or false", "True"),
        ("'a' ~ 'b'|upper ~ 'c'", "aBc"),
        ("('a' ~ 'b')|upper ~ 'c'", "ABc"),
        ("'abc'[::-1][:2] ~ 'abc'[-1]", "cbc"),
        ("''[::-1] ~ [][::-1]", "[]"),
        ("1 if 0 else 2 if 0 else 3", "3"),
        ("(1 if 1 else 2) + 1", "2"),
        ("2 is even and 3 is not even", "True"),
        ("{'a': 1 + 1}.a * 'x'.join(['b', 'c'])", "bxcbxc"),
        ("(1, 2)[0] - -1", "2"),
    ] {
        let template = format!("{{{{ {expression} }}}}");
        let output =
            ChatTemplate::new(&template, "", "").and_then(|t| t.render_variables(&json!({})));
        assert_eq!(
            output.as_deref().ok(),
            Some(result),
            "{expression}: {output:?}"
        );
    }
}
