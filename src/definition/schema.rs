//! The JSON schemas by which editors complete definitions and contracts.
//!
//! Properties, descriptions and defaults come from the types of the blocks; only the nesting of
//! names and kinds is written here. A test compares them with the keys that the parser takes.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::align::Align;
use super::caption::Caption;
use super::contract::{CheckKind, ColumnBlock, TableBlock};
use super::embed_captions::EmbedCaptions;
use super::embed_images::EmbedImages;
use super::evaluate::Evaluate;
use super::index_images::IndexImages;
use super::model::{
    Gpt2Files, HuggingFaceFiles, ModelLayout, ModelSettings, OpenAiFiles, OpenClipFiles,
    TrainedFiles,
};
use super::names;
use super::pipeline::PipelineBlock;
use super::read_captions::ReadCaptions;
use super::source::SourceKind;
use super::source_captions::{CaptionFiles, CsvColumns, JsonField};
use super::source_images::ImageFiles;
use super::source_splits::SplitFiles;
use super::stage::Operator;
use super::train::Train;
use super::train_clip::TrainClip;

/// What every stage has beside its operator's settings.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a key for the JSON schema; `Stage` holds it")]
struct StageSettings {
    /// A contract file in place of the operator's built-in one, relative to the definition.
    contract: Option<String>,
}

/// The schema of a pipeline definition, as `schemas/pipeline.schema.json` has it.
#[must_use]
pub fn json_schema() -> String {
    let mut generator = generator();
    let sources = SourceKind::NAMES.map(|kind| (kind, source_schema(kind, &mut generator)));
    let models = ModelLayout::NAMES.map(|kind| (kind, model_schema(kind, &mut generator)));
    let stages = Operator::NAMES.map(|kind| (kind, stage_schema(kind, &mut generator)));
    let pipeline = merged(&mut generator, &[PipelineBlock::json_schema]);
    text(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clipmill pipeline",
        "type": "object",
        "properties": {
            "pipeline": pipeline,
            "sources": named("What is read: [sources.<name>.<kind>].", sources),
            "models": named("What is computed with: [models.<name>.<kind>].", models),
            "stages": named("What is made: [stages.<table>.<operator>].", stages),
        },
        "required": ["pipeline", "stages"],
        "additionalProperties": false,
    }))
}

/// The schema of a contract, as `schemas/contract.schema.json` has it.
#[must_use]
pub fn contract_json_schema() -> String {
    let mut generator = generator();
    let table = TableBlock::json_schema(&mut generator);
    let column = ColumnBlock::json_schema(&mut generator);
    let checks = CheckKind::json_schema(&mut generator);
    let kinds: Map<String, Value> = checks
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|kind| {
            let (name, schema) = kind.get("properties")?.as_object()?.iter().next()?;
            let mut schema = schema.clone();
            let object = schema.as_object_mut()?;
            object.insert("additionalProperties".into(), false.into());
            if let Some(about) = kind.get("description") {
                object.insert("description".into(), about.clone());
            }
            Some((name.clone(), schema))
        })
        .collect();
    text(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clipmill contract",
        "type": "object",
        "properties": {
            "table": table,
            "columns": {
                "description": "The columns: [columns.<name>].",
                "type": "object",
                "patternProperties": { names::PATTERN: column },
                "additionalProperties": false,
                "minProperties": 1,
            },
            "checks": named("What must hold: [checks.<name>.<kind>].", kinds),
        },
        "required": ["table", "columns"],
        "additionalProperties": false,
    }))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true).into_generator()
}

type Part = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn source_schema(kind: &str, generator: &mut SchemaGenerator) -> Value {
    let captions: Part = CaptionFiles::json_schema;
    match kind {
        "tar" | "folder" | "webdataset" => merged(generator, &[ImageFiles::json_schema]),
        "csv" => merged(generator, &[captions, CsvColumns::json_schema]),
        "webdataset_json" => merged(generator, &[captions, JsonField::json_schema]),
        "splits" => merged(generator, &[SplitFiles::json_schema]),
        _ => merged(generator, &[captions]),
    }
}

pub(super) fn model_schema(kind: &str, generator: &mut SchemaGenerator) -> Value {
    let layout: Part = match kind {
        "openai" => OpenAiFiles::json_schema,
        "open_clip" => OpenClipFiles::json_schema,
        "trained" => TrainedFiles::json_schema,
        "gpt2" => Gpt2Files::json_schema,
        _ => HuggingFaceFiles::json_schema,
    };
    merged(generator, &[layout, ModelSettings::json_schema])
}

pub(super) fn stage_schema(kind: &str, generator: &mut SchemaGenerator) -> Value {
    let operator: Part = match kind {
        "index_images" => IndexImages::json_schema,
        "embed_images" => EmbedImages::json_schema,
        "read_captions" => ReadCaptions::json_schema,
        "embed_captions" => EmbedCaptions::json_schema,
        "align" => Align::json_schema,
        "train_clip" => TrainClip::json_schema,
        "train" => Train::json_schema,
        "caption" => Caption::json_schema,
        _ => Evaluate::json_schema,
    };
    merged(generator, &[operator, StageSettings::json_schema])
}

/// One table that has the keys of all parts and no others.
fn merged(generator: &mut SchemaGenerator, parts: &[Part]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut description = None;
    for part in parts {
        let schema = part(generator);
        if let Some(part) = schema.get("properties").and_then(Value::as_object) {
            properties.extend(part.clone());
        }
        required.extend(
            schema.get("required").and_then(Value::as_array).into_iter().flatten().cloned(),
        );
        description = description.or_else(|| schema.get("description").cloned());
    }
    json!({
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// `[<group>.<name>.<kind>]`: any right name, exactly one kind.
fn named<K: Into<String>>(about: &str, kinds: impl IntoIterator<Item = (K, Value)>) -> Value {
    let kinds: Map<String, Value> =
        kinds.into_iter().map(|(kind, schema)| (kind.into(), schema)).collect();
    json!({
        "description": about,
        "type": "object",
        "patternProperties": {
            names::PATTERN: {
                "type": "object",
                "properties": kinds,
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            },
        },
        "additionalProperties": false,
    })
}

fn text(schema: &Value) -> String {
    // `{:#}` of a JSON value is its indented text.
    format!("{schema:#}\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostic::SourceText;
    use crate::definition::findings::Findings;
    use crate::definition::model::ModelSettings;
    use crate::definition::reader::{Asked, TableReader};
    use crate::definition::span::Span;
    use crate::definition::tree::{Node, Table, Value as Tree};

    /// What a block's reader asks for, of a block that has nothing.
    fn asked(read: impl FnOnce(&mut TableReader<'_, '_>)) -> Vec<Asked> {
        let text = SourceText { name: String::new(), text: String::new() };
        let mut findings = Findings::new(Arc::new(text));
        let node = Node { span: Span::default(), value: Tree::Table(Table::default()) };
        let mut reader =
            TableReader::open(&node, "block".into(), Span::default(), &mut findings).unwrap();
        read(&mut reader);
        reader.finish()
    }

    fn compare(block: &str, schema: &Value, asked: &[Asked]) {
        let properties = schema["properties"].as_object().unwrap();
        let mut in_schema: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut in_parser: Vec<&str> = asked.iter().map(|key| key.key).collect();
        in_schema.sort_unstable();
        in_parser.sort_unstable();
        assert_eq!(in_schema, in_parser, "keys of {block}");
        for key in asked {
            let property = &properties[key.key];
            assert!(property["description"].is_string(), "{block}.{}: no description", key.key);
            let required = schema["required"].as_array().unwrap();
            let required = required.iter().any(|name| name == key.key);
            assert_eq!(required, key.required, "{block}.{}: required", key.key);
            let default = property.get("default").filter(|value| !value.is_null());
            assert_eq!(default, key.default.as_ref(), "{block}.{}: default", key.key);
        }
    }

    #[test]
    fn the_schema_has_the_keys_that_the_parser_takes() {
        let mut generator = generator();
        for kind in SourceKind::NAMES {
            let keys = asked(|table| drop(SourceKind::read(kind, table)));
            compare(kind, &source_schema(kind, &mut generator), &keys);
        }
        for kind in ModelLayout::NAMES {
            let keys = asked(|table| {
                drop(ModelLayout::read(kind, table));
                drop(ModelSettings::read(table));
            });
            compare(kind, &model_schema(kind, &mut generator), &keys);
        }
        for kind in Operator::NAMES {
            let keys = asked(|table| {
                drop(Operator::read(kind, table));
                drop(table.optional::<String>("contract"));
            });
            compare(kind, &stage_schema(kind, &mut generator), &keys);
        }
    }
}
