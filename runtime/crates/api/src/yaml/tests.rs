//! YAML as the API server reads it, with the place of every value.

use proptest::prelude::*;

use super::*;

/// A tree in one line, to compare with.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::BigInt(text) => format!("big {text}"),
        Value::Float(value) => format!("{value}f"),
        Value::Str(text) => format!("{text:?}"),
        Value::Seq(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|entry| format!("{}={}", entry.key, show(&entry.value))).collect();
            format!("{{{}}}", entries.join(" "))
        }
    }
}

fn read(text: &str) -> String {
    match parse(text.as_bytes()) {
        Ok(parsed) => parsed.documents.iter().map(show).collect::<Vec<_>>().join(" | "),
        Err(error) => format!("{}:{} {}", error.pos.line, error.pos.column, error.message),
    }
}

#[test]
fn documents_and_scalars() {
    for (text, want) in [
        ("a: 1\n---\nb: yes\n---\n# nothing\n---\n'no'\n", "{a=1} | {b=true} | \"no\""),
        ("\u{feff}a: ~\r\nb: 'x'\r\n", "{a=null b=\"x\"}"),
        ("%YAML 1.1\n---\na: 0644\n...\n", "{a=420}"),
        (
            "a: !!str 1\nb: !mine 2\nc: !!int '3'\nd: !!binary aGk=\ne: ! 5\nf: !!float 1",
            "{a=\"1\" b=\"2\" c=3 d=\"hi\" e=\"5\" f=1f}",
        ),
        ("a: !!int x", "1:4 cannot read \"x\" as !!int"),
        ("a: |\n  x\n  y\nb: >-\n  q\n  w\n", "{a=\"x\\ny\\n\" b=\"q w\"}"),
        ("1: a\ny: b\n1.5: c\n", "{1=\"a\" true=\"b\" 1.5=\"c\"}"),
        ("? [a]\n: b\n", "1:3 a key must be a string, found array"),
        (": b\n", "1:1 a key must be a string, found null"),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
    let parsed = parse(b"y: 1\n").unwrap();
    assert_eq!(parsed.notes.len(), 1);
}

#[test]
fn syntax_errors_are_explained() {
    for (text, line, column, part) in [
        ("a: 'it's'\n", 1, 8, "after the end of a quoted string"),
        ("a:\n  - b: 1\n - c: 2\n", 3, 2, "does not fit the lines before it"),
        ("a: [\"a\", \"b\"\nb: 1\n", 2, 1, "is not closed"),
        ("a: {a: b\nc: d\n", 2, 2, "is not closed"),
        ("a: 1\nkey value\nb: 2\n", 3, 1, "neither a key nor part of a value"),
        ("a: %x\n", 1, 4, "may not start with this character"),
        ("a: `x`\n", 1, 4, "may not start with this character"),
        ("a: @x\n", 1, 4, "may not start with this character"),
        ("a:\tb\n", 1, 4, "a tab after the colon"),
        ("a:\n\tb: 1\n", 2, 1, "tab character in the indentation"),
        ("a: \"\\q\"\n", 1, 4, "unknown escape"),
        ("a: - b\n", 1, 4, "a list item is not allowed here"),
        ("a: \"x\n", 1, 4, "does not end"),
        ("a: b: c\n", 1, 5, "a key is not allowed here"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(error.message.contains(part) && error.pos == Pos { line, column }, "{text:?}: {error:?}");
    }
}

#[test]
fn aliases_and_merge_keys() {
    for (text, want) in [
        ("a: &x {b: 1}\nc: *x\n", "{a={b=1} c={b=1}}"),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", "{a={b=1 c=2} d={b=1 c=3}}"),
        // go-yaml v2: what is merged wins over what stands before
        ("a: &x {b: 1}\nd:\n  b: 0\n  <<: *x\n", "{a={b=1} d={b=1}}"),
        ("a: &x {b: 1}\nc: &y {b: 2, d: 2}\ne:\n  <<: [*x, *y]\n", "{a={b=1} c={b=2 d=2} e={b=1 d=2}}"),
        ("'<<': {b: 1}\n", "{<<={b=1}}"),
        ("<<: 1\n", "1:5 a merge key (<<) needs a mapping or a sequence of mappings"),
        ("<<: [1]\n", "1:6 a merge key (<<) needs a mapping or a sequence of mappings"),
        ("a: &x [*x]\n", "1:8 the alias stands inside the value it refers to"),
        ("a: *x\n", "1:4 the alias refers to an anchor that is not defined before it"),
        ("a: 1\nb: 2\na: 3\n", "3:1 duplicate key \"a\"; it was first given on line 1"),
        ("yes: 1\n'true': 2\n", "2:1 duplicate key \"true\"; it was first given on line 1"),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn json_keeps_its_own_rules() {
    for (text, want) in [
        (r#"{"a": "\ud83d\ude00\/\u00e9\n", "b": [1, -2.5e1, true, null]}"#, "{a=\"😀/é\\n\" b=[1 -25f true null]}"),
        (r#"{"a": 18446744073709551616}"#, "{a=big 18446744073709551616}"),
        (r#"{"a": 1e400}"#, "{a=big 1e400}"),
        (r#"{"a": "\ud83d"}"#, "{a=\"\u{fffd}\"}"),
        ("{\"a\": 1}\n{\"a\": 2}\t\n", "{a=1} | {a=2}"),
        ("{a: b, c: [d]}", "{a=\"b\" c=[\"d\"]}"), // YAML in braces
        (r#"{"a": 1, "a": 2}"#, "1:10 duplicate key \"a\"; it was first given on line 1"),
        (r#"{"a": 01}"#, "1:9 JSON syntax error: a number may not start with 0"),
        ("{\"a\": \"x\n\"}", "1:7 the string that starts here does not end"),
        (r#"{"a" 1}"#, "1:6 JSON syntax error: expected ':', found '1'"),
        (r#"{"a": 1,}"#, "1:9 JSON syntax error: expected a key in double quotes, found '}'"),
        (r#"{"a": "#, "1:7 JSON syntax error: expected a value, found the end of the file"),
    ] {
        let got = read(text);
        // a trailing comma and octal numbers are YAML, and kubectl takes them as that
        if text.contains("01}") || text.contains(",}") || text.contains("\"x\n") {
            assert!(json::parse(text).is_err_and(|error| want.ends_with(&error.message)), "{text}");
            continue;
        }
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn places_of_fields() {
    let parsed = parse(b"spec:\n  containers:\n  - name: a\n    env:\n    - name: X\n  labels: {a.b/c: 1}\n").unwrap();
    let at = |path: &str| {
        let Pos { line, column } = parsed.documents[0].locate(path);
        (line, column)
    };
    assert_eq!(at(""), (1, 1));
    assert_eq!(at("spec"), (1, 1));
    assert_eq!(at("spec.containers"), (2, 3));
    assert_eq!(at("spec.containers[0]"), (3, 5));
    assert_eq!(at("spec.containers[0].name"), (3, 11));
    assert_eq!(at("spec.containers[0].image"), (3, 5)); // not there: what should have it
    assert_eq!(at("spec.containers[0].env[0].name"), (5, 13));
    assert_eq!(at("spec.containers[7].name"), (2, 3));
    assert_eq!(at("spec.labels[a.b/c]"), (6, 19));
}

#[test]
fn limits_hold() {
    let refused = |bytes: &[u8], part: &str| {
        let error = parse(bytes).unwrap_err();
        assert!(error.message.contains(part), "{}", error.message);
    };
    let at_limit = |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("- ", "")] {
        assert!(parse(at_limit(open, close, MAX_DEPTH).as_bytes()).is_ok(), "{open}");
        refused(at_limit(open, close, MAX_DEPTH + 1).as_bytes(), "levels deep");
        refused(at_limit(open, close, 100_000).as_bytes(), "levels deep");
    }
    // an alias may not go deeper than the limit, either
    let half = at_limit("[", "]", MAX_DEPTH / 2 + 1);
    refused(
        format!("a: &x {half}\nb: {}*x{}\n", "[".repeat(MAX_DEPTH / 2), "]".repeat(MAX_DEPTH / 2)).as_bytes(),
        "levels deep",
    );
    refused(&vec![b'#'; MAX_INPUT_BYTES + 1], "the limit is 3145728");
    assert!(parse(&vec![b'#'; MAX_INPUT_BYTES]).is_ok());
    refused("---\n".repeat(MAX_DOCUMENTS + 1).as_bytes(), "documents");
    refused("{}".repeat(MAX_DOCUMENTS + 1).as_bytes(), "documents");
    refused(format!("[{}1]", "1,".repeat(MAX_NODES)).as_bytes(), "values");
    refused(format!("a: [{}1]", "1,".repeat(MAX_LINE_INDICATORS + 1)).as_bytes(), "commas and colons");
    refused(format!("- {}", "\n- ".repeat(MAX_NODES)).as_bytes(), "values");
    // one long string, many times
    let text = format!("a: &x {}\nb: [{}]\n", "x".repeat(100_000), "*x,".repeat(1_000));
    refused(text.as_bytes(), "expand to more than 8 MiB");
    // nested anchors, each copied once for the anchor itself
    let mut nested = String::new();
    (0..60).for_each(|n| nested.push_str(&format!("&a{n} [")));
    nested.push_str(&"x".repeat(1_000_000));
    nested.push_str(&"]".repeat(60));
    refused(nested.as_bytes(), "expand to more than 8 MiB");
    refused(b"a: \xff", "not UTF-8");
    refused(b"a: \x00", "NUL");
    refused(b"a: \x07", "U+0007");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_yaml_like_input_panics(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \t\n\r]|a|b: |- |<<|---|\\.\\.\\.|&x |\\*x|!!str |1|\\\\u|\\\\x|é|\u{2028}){0,60}") {
        if let Ok(parsed) = parse(text.as_bytes()) {
            parsed.documents.iter().for_each(|node| assert!(node.locate("a.b[0].c").line > 0));
        }
    }

    #[test]
    fn json_reads_what_json_writes(value in json_value()) {
        let text = value.to_string();
        let parsed = json::parse(&text).unwrap();
        let mut back = String::new();
        write_json(&parsed[0], &mut back);
        prop_assert_eq!(back.parse::<serde_json::Value>().unwrap(), value);
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn write_json(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::BigInt(text) => out.push_str(text),
        Value::Float(value) => out.push_str(&value.to_string()),
        Value::Str(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
        Value::Seq(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(entry.key.as_str()).to_string());
                out.push(':');
                write_json(&entry.value, out);
            }
            out.push('}');
        }
    }
}
