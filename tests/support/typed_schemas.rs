//! Schemas for records of Avro and of Protocol Buffers.

use thalweg_pipeline::decode::{Definition, Format, Origin, Schema};

/// Each of these for records of Avro, then each for records of Protocol Buffers.
pub fn typed(schemas: &[Schema]) -> Vec<Schema> {
    let definition = |text: &str| Definition { body: text.into(), ..Definition::default() };
    let avro = Format::Avro(Origin::File(definition(include_str!("../formats/hostile.avsc"))));
    let protobuf = Format::Protobuf(Origin::File(definition(include_str!("../formats/hostile.proto"))));
    let of = |format: &Format| {
        schemas.iter().map(|schema| Schema { format: format.clone(), ..schema.clone() }).collect::<Vec<_>>()
    };
    [&avro, &protobuf].map(of).concat()
}
