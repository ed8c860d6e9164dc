//! What was found, for programs to read.

use serde_json::{Map, Value, json};

use crate::found::{Finding, Inside, Partition, Signature, Table};

/// What was found as JSON; what is not known is left out.
#[must_use]
pub fn to_json(inside: &Inside) -> Value {
    json!({
        "size": inside.size,
        "tables": inside.tables.iter().map(table).collect::<Vec<_>>(),
        "partitions": inside.partitions.iter().map(partition).collect::<Vec<_>>(),
        "signatures": inside.signatures.iter().map(signature).collect::<Vec<_>>(),
        "findings": inside.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// A partition table.
fn table(table: &Table) -> Value {
    let mut map = Map::new();
    map.insert("type".into(), json!(table.kind.name()));
    map.insert("sector-size".into(), json!(table.sector_len));
    put(&mut map, "id", table.id.clone());
    put(&mut map, "protective", table.protective.then_some(true));
    put(&mut map, "hybrid", table.hybrid.then_some(true));
    if let Some(gpt) = &table.gpt {
        map.insert("primary".into(), json!(gpt.primary.name()));
        map.insert("backup".into(), json!(gpt.backup.name()));
        map.insert("first-usable".into(), json!(gpt.first_usable));
        map.insert("usable-end".into(), json!(gpt.usable_end));
    }
    Value::Object(map)
}

/// A partition.
fn partition(partition: &Partition) -> Value {
    let mut map = Map::new();
    map.insert("table".into(), json!(partition.table.name()));
    map.insert("number".into(), json!(partition.number));
    map.insert("start".into(), json!(partition.start));
    map.insert("size".into(), json!(partition.len));
    map.insert("type".into(), json!(partition.type_id));
    put(&mut map, "type-name", partition.type_name);
    put(&mut map, "id", partition.id.clone());
    put(&mut map, "name", partition.name.clone());
    put(&mut map, "bootable", partition.bootable.then_some(true));
    put(&mut map, "attributes", Some(partition.attributes).filter(|&attributes| attributes != 0));
    put(&mut map, "extended", partition.container.then_some(true));
    map.insert("signatures".into(), partition.signatures.iter().map(signature).collect());
    Value::Object(map)
}

/// A signature.
fn signature(signature: &Signature) -> Value {
    let mut map = Map::new();
    map.insert("type".into(), json!(signature.kind));
    map.insert("class".into(), json!(signature.class.name()));
    map.insert("offset".into(), json!(signature.at));
    put(&mut map, "label", signature.label.clone());
    put(&mut map, "uuid", signature.uuid.clone());
    put(&mut map, "version", signature.version.clone());
    put(&mut map, "block-size", signature.block_len);
    put(&mut map, "size", signature.len);
    Value::Object(map)
}

/// A finding.
fn finding(finding: &Finding) -> Value {
    let mut map = Map::new();
    map.insert("code".into(), json!(finding.code));
    map.insert("severity".into(), json!(finding.severity.name()));
    put(&mut map, "offset", finding.at);
    map.insert("message".into(), json!(finding.what));
    Value::Object(map)
}

/// Adds what is known.
fn put<T: Into<Value>>(map: &mut Map<String, Value>, name: &str, value: Option<T>) {
    map.extend(value.map(|value| (name.to_owned(), value.into())));
}
