//! Records of Apache Avro: a schema becomes a plan once, by which each record is read straight into the draft.
//!
//! Invariant: a plan is never larger than a constant times its schema, whatever that refers to, and reading by it takes no more
//! steps than the record has bytes, times a constant. What stands for what is decided here once for both ways of reading.
//!
//! Reading order: this file (schemas to plans), `wire`, `walk` (any record), `ahead` (records without lists, into cells), `extent`
//! (where a record ends), `rows` (arrays of rows).

mod ahead;
mod extent;
mod fingerprint;
mod rows;
mod walk;
mod wire;

use std::{collections::HashMap, sync::Arc};

use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, Name, UuidSchema},
};

use super::{datum::MAX_DEPTH, format::Definition};

pub(super) use extent::end;
pub(crate) use fingerprint::of as fingerprint;
pub(super) use rows::Rows;
pub(super) use walk::read;

/// Most types with a name.
const MAX_TYPES: usize = 10_000;

/// How records of one schema are read.
#[derive(Debug)]
pub(super) struct Plan {
    types: Arc<Types>,
    ahead: Option<ahead::Program>,
    /// Of the schema's canonical form (CRC-64-AVRO).
    pub(super) fingerprint: u64,
}

/// What its records are made of.
#[derive(Debug)]
struct Types {
    root: Node,
    records: Vec<RecordPlan>,
}

/// A record's type.
#[derive(Debug)]
struct RecordPlan {
    fields: Vec<FieldPlan>,
}

#[derive(Debug)]
struct FieldPlan {
    name: Box<str>,
    /// Names of before.
    aliases: Box<[Box<str>]>,
    node: Node,
}

/// A type, and what its values stand for.
#[derive(Clone, Debug)]
enum Node {
    Null,
    Leaf(Leaf),
    /// By its place among the records.
    Record(usize),
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    Duration,
}

/// A type whose values have no parts.
#[derive(Clone, Debug)]
enum Leaf {
    Boolean,
    Integer,
    /// A whole number times this is milliseconds since 1970.
    Time(f64),
    /// A whole number times this is milliseconds since midnight.
    TimeOfDay(f64),
    Float,
    Double,
    Text,
    /// Bytes, so many where that is fixed.
    Bytes(Option<usize>),
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// 16 bytes.
    Uuid {
        sized: bool,
    },
    Symbols(Arc<[Box<str>]>),
}

impl Plan {
    /// Makes the plan of a schema.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub(super) fn new(definition: &Definition) -> Result<Self, String> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
        let references: Vec<&str> =
            definition.references.iter().map(|reference| text(&reference.body)).collect::<Result<_, _>>()?;
        let (schema, others) =
            Schema::parse_str_with_list(text(&definition.body)?, references).map_err(|error| error.to_string())?;
        let mut types = HashMap::new();
        for schema in others.iter().chain([&schema]) {
            collect(schema, &mut types, 0)?;
        }
        let mut compiler = Compiler { types, places: HashMap::new(), records: Vec::new(), pending: Vec::new() };
        let root = compiler.node(&schema, 0)?;
        compiler.finish()?;
        let types = Arc::new(Types { root, records: compiler.records });
        let fingerprint = fingerprint::of(text(&definition.body)?).unwrap_or_default();
        let ahead = ahead::Program::new(&types);
        Ok(Self { types, ahead, fingerprint })
    }

    /// Returns what records without lists are read by ahead.
    pub(super) fn ahead(&self) -> Option<&ahead::Program> {
        self.ahead.as_ref()
    }
}

/// Collects the types that have names.
fn collect<'s>(schema: &'s Schema, types: &mut HashMap<&'s Name, &'s Schema>, depth: usize) -> Result<(), String> {
    if depth > 2 * MAX_DEPTH || types.len() > MAX_TYPES {
        return Err("it is too deep, or has too many types".to_owned());
    }
    let depth = depth + 1;
    match schema {
        Schema::Record(record) => {
            types.insert(&record.name, schema);
            record.fields.iter().try_for_each(|field| collect(&field.schema, types, depth))
        }
        Schema::Enum(of) => {
            types.insert(&of.name, schema);
            Ok(())
        }
        Schema::Fixed(of) | Schema::Duration(of) | Schema::Uuid(UuidSchema::Fixed(of)) => {
            types.insert(&of.name, schema);
            Ok(())
        }
        Schema::Decimal(of) => {
            if let InnerDecimalSchema::Fixed(fixed) = &of.inner {
                types.insert(&fixed.name, schema);
            }
            Ok(())
        }
        Schema::Array(of) => collect(&of.items, types, depth),
        Schema::Map(of) => collect(&of.types, types, depth),
        Schema::Union(of) => of.variants().iter().try_for_each(|schema| collect(schema, types, depth)),
        _ => Ok(()),
    }
}

struct Compiler<'s> {
    types: HashMap<&'s Name, &'s Schema>,
    places: HashMap<&'s Name, usize>,
    records: Vec<RecordPlan>,
    /// Records that have a place and no fields yet.
    pending: Vec<(usize, &'s Schema)>,
}

impl<'s> Compiler<'s> {
    /// Makes the fields of all records that were met; a record may hold itself.
    fn finish(&mut self) -> Result<(), String> {
        while let Some((place, schema)) = self.pending.pop() {
            let Schema::Record(record) = schema else { continue };
            let mut fields = Vec::with_capacity(record.fields.len());
            for field in &record.fields {
                let aliases = field.aliases.iter().map(|alias| alias.as_str().into()).collect();
                fields.push(FieldPlan {
                    name: field.name.as_str().into(),
                    aliases,
                    node: self.node(&field.schema, 0)?,
                });
            }
            if let Some(record) = self.records.get_mut(place) {
                record.fields = fields;
            }
        }
        Ok(())
    }

    fn node(&mut self, schema: &'s Schema, depth: usize) -> Result<Node, String> {
        if depth > 2 * MAX_DEPTH {
            return Err("it is too deep".to_owned());
        }
        let depth = depth + 1;
        const DAY: f64 = 86_400_000.0;
        Ok(match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Leaf(Leaf::Boolean),
            Schema::Int | Schema::Long => Node::Leaf(Leaf::Integer),
            Schema::Float => Node::Leaf(Leaf::Float),
            Schema::Double => Node::Leaf(Leaf::Double),
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Leaf(Leaf::Text),
            Schema::Bytes | Schema::BigDecimal => Node::Leaf(Leaf::Bytes(None)),
            Schema::Fixed(fixed) => Node::Leaf(Leaf::Bytes(Some(fixed.size))),
            Schema::Decimal(decimal) => {
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                };
                let scale = u32::try_from(decimal.scale).map_err(|_| "a decimal's scale is too large".to_owned())?;
                Node::Leaf(Leaf::Decimal { size, scale })
            }
            Schema::Uuid(UuidSchema::Bytes) => Node::Leaf(Leaf::Uuid { sized: false }),
            Schema::Uuid(UuidSchema::Fixed(fixed)) if fixed.size == 16 => Node::Leaf(Leaf::Uuid { sized: true }),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => Node::Leaf(Leaf::Bytes(Some(fixed.size))),
            Schema::Date => Node::Leaf(Leaf::Time(DAY)),
            Schema::TimestampMillis | Schema::LocalTimestampMillis => Node::Leaf(Leaf::Time(1.0)),
            Schema::TimestampMicros | Schema::LocalTimestampMicros => Node::Leaf(Leaf::Time(1e-3)),
            Schema::TimestampNanos | Schema::LocalTimestampNanos => Node::Leaf(Leaf::Time(1e-6)),
            Schema::TimeMillis => Node::Leaf(Leaf::TimeOfDay(1.0)),
            Schema::TimeMicros => Node::Leaf(Leaf::TimeOfDay(1e-3)),
            Schema::Duration(_) => Node::Duration,
            Schema::Enum(of) => Node::Leaf(Leaf::Symbols(of.symbols.iter().map(|it| it.as_str().into()).collect())),
            Schema::Record(record) => Node::Record(self.place(&record.name, schema)),
            Schema::Array(of) => Node::Array(Box::new(self.node(&of.items, depth)?)),
            Schema::Map(of) => Node::Map(Box::new(self.node(&of.types, depth)?)),
            Schema::Union(of) => {
                let nodes = of.variants().iter().map(|schema| self.node(schema, depth));
                Node::Union(nodes.collect::<Result<_, _>>()?)
            }
            Schema::Ref { name } => {
                let known = *self.types.get(name).ok_or_else(|| format!("the type {name} is nowhere defined"))?;
                match known {
                    Schema::Ref { .. } => return Err(format!("the type {name} is nowhere defined")),
                    known => self.node(known, depth)?,
                }
            }
        })
    }

    fn place(&mut self, name: &'s Name, schema: &'s Schema) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.records.len();
        self.records.push(RecordPlan { fields: Vec::new() });
        self.places.insert(name, place);
        self.pending.push((place, schema));
        place
    }
}
