//! The reference page and the JSON Schema, printed from the schema's declarations.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::schema::{
    CloseCodesSection, FileKeys, GeoSection, LimitKeys, LocationKeys, LocationSection, MapSection,
    MetricsSection, PlaceZoneSection, ProxyKeys, ProxySslKeys, RateZoneSection, ServerKeys,
    ServerSection, TopSection, UpstreamKeys, UpstreamSection, WebSocketSection,
};
use super::section::{DefaultValue, Row, Section, schema_of};
use super::values::{
    AccessLogTable, AddHeaderTable, ErrorPageTable, ListenTable, LogFormatTable, PeerTable,
    ReturnTable, StepTable,
};

const PREFACE: &str = "\
# Configuration reference

This page is printed by `wayhold schema --markdown`; `wayhold schema` prints the JSON Schema for
editors. The words are nginx's wherever the meaning is.

Times and sizes are strings with a unit: `\"600s\"`, `\"500ms\"`, `\"1h30m\"`; `\"16k\"`, `\"1MiB\"`,
1024-based. Relative paths are taken from the folder of the file they stand in. A list of one may be
written without brackets. `${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` are replaced inside
strings; `$name` is a variable of the request.

A key after a header in brackets belongs to that header: keys of a server stand above its first
`[[server.location]]`.

The last column says what a reload changes: **N** new requests and tunnels; **A** live tunnels too;
**L** listeners, of which unchanged ones are kept; **R** nothing before a restart.

Variables: `$host` `$http_NAME` `$arg_NAME` `$cookie_NAME` `$remote_addr` `$remote_port` `$server_addr`
`$server_port` `$server_name` `$scheme` `$request_uri` `$uri` `$args` `$is_args` `$request_method`
`$proxy_add_x_forwarded_for` `$proxy_host` `$upstream_addr` `$request_id` `$ssl_protocol` `$ssl_cipher`
`$ssl_server_name` `$status`, `$1` to `$9`, those of `set` and of named groups, and those of `[[map]]`
and `[[geo]]`.
";

/// The configuration reference as Markdown.
pub fn reference() -> String {
    let mut page = PREFACE.to_owned();
    chapter::<TopSection>(&mut page);
    chapter::<MetricsSection>(&mut page);
    chapter::<MapSection>(&mut page);
    chapter::<GeoSection>(&mut page);
    chapter::<UpstreamSection>(&mut page);
    chapter::<UpstreamKeys>(&mut page);
    chapter::<PeerTable>(&mut page);
    chapter::<ServerSection>(&mut page);
    chapter::<ListenTable>(&mut page);
    chapter::<ServerKeys>(&mut page);
    chapter::<LocationSection>(&mut page);
    chapter::<StepTable>(&mut page);
    chapter::<ReturnTable>(&mut page);
    chapter::<LocationKeys>(&mut page);
    chapter::<AddHeaderTable>(&mut page);
    chapter::<ErrorPageTable>(&mut page);
    chapter::<FileKeys>(&mut page);
    chapter::<LimitKeys>(&mut page);
    chapter::<RateZoneSection>(&mut page);
    chapter::<PlaceZoneSection>(&mut page);
    chapter::<ProxyKeys>(&mut page);
    chapter::<ProxySslKeys>(&mut page);
    chapter::<AccessLogTable>(&mut page);
    chapter::<LogFormatTable>(&mut page);
    chapter::<WebSocketSection>(&mut page);
    chapter::<CloseCodesSection>(&mut page);
    page
}

fn chapter<S: Section>(page: &mut String) {
    let title = match S::TITLE {
        title if title.starts_with('[') => title
            .split(", ")
            .map(|part| if part.starts_with('[') { format!("`{part}`") } else { part.to_owned() })
            .collect::<Vec<_>>()
            .join(", "),
        title => capitalised(title),
    };
    let _ = write!(page, "\n## {title}\n\n{}\n\n", S::doc());
    page.push_str(
        "| key | type | default | nginx | meaning | reload |\n|---|---|---|---|---|---|\n",
    );
    for row in S::own_rows() {
        page.push_str(&line(&row));
    }
}

fn line(row: &Row) -> String {
    let default = match row.default {
        DefaultValue::Required => "required".to_owned(),
        DefaultValue::Toml(text) => {
            format!("`{}`", text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        DefaultValue::Unset(text) => text.to_owned(),
    };
    let cells = [&row.ty, &default, row.nginx, &row.doc].map(|cell: &str| cell.replace('|', "\\|"));
    let [ty, default, nginx, doc] = cells;
    format!("| `{}` | {ty} | {default} | {nginx} | {doc} | {} |\n", row.key, row.reload)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The configuration's JSON Schema, draft 2020-12.
pub fn json_schema() -> Value {
    let mut defs = Map::new();
    let mut define = |name: &str, schema: Value| defs.insert(name.to_owned(), schema);
    define("MetricsSection", schema_of::<MetricsSection>());
    define("MapSection", schema_of::<MapSection>());
    define("GeoSection", schema_of::<GeoSection>());
    define("RateZoneSection", schema_of::<RateZoneSection>());
    define("PlaceZoneSection", schema_of::<PlaceZoneSection>());
    define("UpstreamSection", schema_of::<UpstreamSection>());
    define("UpstreamKeys", schema_of::<UpstreamKeys>());
    define("PeerTable", schema_of::<PeerTable>());
    define("ServerSection", schema_of::<ServerSection>());
    define("ListenTable", schema_of::<ListenTable>());
    define("LocationSection", schema_of::<LocationSection>());
    define("ReturnTable", schema_of::<ReturnTable>());
    define("StepTable", schema_of::<StepTable>());
    define("ErrorPageTable", schema_of::<ErrorPageTable>());
    define("AddHeaderTable", schema_of::<AddHeaderTable>());
    define("AccessLogTable", schema_of::<AccessLogTable>());
    define("LogFormatTable", schema_of::<LogFormatTable>());
    define("WebSocketSection", schema_of::<WebSocketSection>());
    define("CloseCodesSection", schema_of::<CloseCodesSection>());
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wayhold's configuration",
    });
    if let (Value::Object(schema), Value::Object(top)) = (&mut schema, schema_of::<TopSection>()) {
        schema.extend(top);
        // a file that is included need not have a server of its own
        schema.remove("required");
        schema.insert("$defs".to_owned(), Value::Object(defs));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_printed_one() {
        let committed = include_str!("../../conf/reference.md");
        assert!(
            committed == reference(),
            "regenerate with `wayhold schema --markdown > conf/reference.md`"
        );
    }

    #[test]
    fn the_committed_schema_is_the_printed_one() {
        let committed = include_str!("../../conf/wayhold.schema.json");
        let printed = format!("{:#}\n", json_schema());
        assert!(
            committed == printed,
            "regenerate with `wayhold schema > conf/wayhold.schema.json`"
        );
    }

    #[test]
    fn every_reference_in_the_schema_resolves() {
        fn check(value: &Value, defs: &Map<String, Value>) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        let name = target.trim_start_matches("#/$defs/");
                        assert!(defs.contains_key(name), "{target}");
                    }
                    map.values().for_each(|inner| check(inner, defs));
                }
                Value::Array(items) => items.iter().for_each(|inner| check(inner, defs)),
                _ => {}
            }
        }
        let schema = json_schema();
        check(&schema, schema["$defs"].as_object().unwrap());
    }
}
