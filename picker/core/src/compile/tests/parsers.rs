//! The formats that a strategy reads.

use super::*;
use crate::parse::{Formats, Parser};

fn formats(routing: &Value, scope: Scope) -> Formats {
    match compile(routing, scope, &StateStore::default()) {
        Ok(compiled) => compiled.strategy.formats,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn a_strategy_reads_what_it_lists_and_everything_without_a_list() {
    let reads = |handler: Value| {
        let plugins = json!([{"type": "queue-scorer"}, {"type": "openai-parser", "name": "mine"}]);
        [Scope::File, Scope::Resource]
            .map(|scope| formats(&json!({"plugins": plugins, "requestHandler": handler}), scope))
    };
    let list = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| json!({"pluginRef": name})).collect();
        reads(json!({"parsers": names}))
    };
    for nothing in [Value::Null, json!({}), json!({"parsers": null}), json!({"parsers": []})] {
        assert_eq!(reads(nothing), [Formats::ALL; 2]);
    }
    assert_eq!(list(&["mine"]), [Formats::of([Parser::OpenAi]); 2]);
    // A type may be named without being declared, and one twice.
    let both = Formats::of([Parser::Anthropic, Parser::OpenAi]);
    assert_eq!(list(&["anthropic-parser", "mine", "mine"]), [both; 2]);
    let types = [
        "openai-parser",
        "anthropic-parser",
        "vllmhttp-parser",
        "sglanghttp-parser",
        "vllmgrpc-parser",
        "vertexai-parser",
        "passthrough-parser",
    ];
    assert_eq!(types.map(|kind| list(&[kind])[0]), Parser::ALL.map(|parser| Formats::of([parser])));
    let declared = types.map(|kind| json!({"type": kind}));
    for (kind, parser) in types.iter().zip(Parser::ALL) {
        let handler = json!({"parsers": [{"pluginRef": kind}]});
        let routing = json!({"plugins": declared, "requestHandler": handler});
        assert_eq!(formats(&routing, Scope::File), Formats::of([parser]), "{kind}");
    }
    // Its place in older configurations of llm-d.
    let former = json!({"plugins": [{"type": "queue-scorer"}], "parser": {"pluginRef": "vllmgrpc-parser"}});
    assert_eq!(formats(&former, Scope::File), Formats::of([Parser::VllmGrpc]));
    let message = "is the former place of a parser; list it under requestHandler.parsers";
    assert_eq!(warnings(&former), [warning("parser", message)]);
}

#[test]
fn what_is_wrong_in_the_list_is_told() {
    let routing = json!({
        "plugins": [{"type": "queue-scorer"}, {"type": "openai-parser"}],
        "requestHandler": {
            "parsers": [{"pluginRef": "queue-scorer"}, {"pluginRef": "opena-parser"}, {"ref": "x"}, {}],
            "parser": 1,
        },
    });
    assert_eq!(
        errors(&routing, Scope::File),
        [
            error(
                "requestHandler.parsers[0].pluginRef",
                ErrorKind::Invalid,
                "\"queue-scorer\" is no parser; name a plugin that is"
            ),
            error(
                "requestHandler.parsers[1].pluginRef",
                ErrorKind::UnknownRef,
                "no plugin is called \"opena-parser\"; the nearest is \"openai-parser\"; there are: openai-parser, queue-scorer"
            ),
            error(
                "requestHandler.parsers[2].ref",
                ErrorKind::UnknownField,
                "unknown field; known here: pluginRef"
            ),
            error("requestHandler.parsers[2].pluginRef", ErrorKind::Missing, "is required"),
            error("requestHandler.parsers[3].pluginRef", ErrorKind::Missing, "is required"),
            error(
                "requestHandler.parser",
                ErrorKind::UnknownField,
                "unknown field; the nearest is \"parsers\"; known here: parsers"
            ),
        ]
    );
    let former = json!({"plugins": [{"type": "queue-scorer"}], "parser": {}});
    assert_eq!(errors(&former, Scope::File), [error("parser.pluginRef", ErrorKind::Missing, "is required")]);
}

#[test]
fn what_has_no_effect_is_told() {
    let unlisted = |handler: Value| {
        warnings(&json!({
            "plugins": [{"type": "queue-scorer"}, {"type": "openai-parser"}],
            "requestHandler": handler,
        }))
    };
    let has = "has no effect: \"openai-parser\" is not listed under requestHandler.parsers";
    assert_eq!(
        unlisted(json!({"parsers": [{"pluginRef": "anthropic-parser"}]})),
        [warning("plugins[1].type", &format!("{has}; list it, or take it out"))]
    );
    let all = ", and without a list every format is read";
    assert_eq!(
        unlisted(json!({})),
        [warning("plugins[1].type", &format!("{has}{all}; list it, or take it out"))]
    );
    let unread = json!({
        "plugins": [{"type": "prefix-cache-scorer"}, {"type": "passthrough-parser"}],
        "requestHandler": {"parsers": [{"pluginRef": "passthrough-parser"}]},
    });
    let message =
        "no parser reads a body here, and there are plugins that look at models or prompts: they find none";
    assert_eq!(warnings(&unread), [warning("requestHandler.parsers", message)]);
}
