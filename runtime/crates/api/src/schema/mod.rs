//! Which fields there are, and of what type: Kubernetes' own schema, and a tree checked against it.
//!
//! - `v1_36.txt` is that schema, written by `examples/trim_schema.rs`; here it is read, once, when first needed
//! - `check` walks a tree, reports what does not fit, and gives JSON that does
//! - `suggest` finds the field that was probably meant
//!
//! Does not own values: whether a port is a port is the business of `validate`.

pub(crate) mod check;
mod suggest;

pub(crate) use suggest::distance;

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The schema, in the notation that `examples/trim_schema.rs` explains.
static TEXT: &str = include_str!("v1_36.txt");

/// Reading it takes some tens of microseconds, so it is done once and only if a manifest is decoded.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(TEXT));

/// The type of a field.
#[derive(Debug, PartialEq, Eq)]
enum Type {
    Str,
    Bool,
    Int32,
    Int64,
    Quantity,
    IntOrString,
    Time,
    Bytes,
    Any,
    Array(Box<Type>),
    Map(Box<Type>),
    /// By index in [`Schema::objects`].
    Object(usize),
}

#[derive(Debug)]
struct ObjectType {
    name: &'static str,
    /// Sorted by name.
    fields: Vec<(&'static str, Type)>,
}

impl ObjectType {
    fn field(&self, name: &str) -> Option<&Type> {
        self.fields.binary_search_by(|(field, _)| (*field).cmp(name)).ok().map(|at| &self.fields[at].1)
    }
}

struct Schema {
    objects: Vec<ObjectType>,
    index: BTreeMap<&'static str, usize>,
}

impl Schema {
    fn read(text: &'static str) -> Self {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let name = |line: &'static str| line.split(' ').next().unwrap_or_default();
        let index: BTreeMap<_, _> = lines().enumerate().map(|(at, line)| (name(line), at)).collect();
        let objects = lines()
            .map(|line| {
                let mut fields: Vec<_> = line
                    .split(' ')
                    .skip(1)
                    .filter_map(|field| field.split_once(':'))
                    .map(|(field, notation)| (field, read_type(notation, &index)))
                    .collect();
                fields.sort_unstable_by_key(|(field, _)| *field);
                ObjectType { name: name(line), fields }
            })
            .collect();
        Self { objects, index }
    }

    fn kind(&self, kind: &str) -> Option<usize> {
        self.index.get(kind).copied()
    }
}

fn read_type(notation: &str, index: &BTreeMap<&'static str, usize>) -> Type {
    let inner = || Box::new(read_type(&notation[1..notation.len() - 1], index));
    match notation {
        "s" => Type::Str,
        "b" => Type::Bool,
        "i" => Type::Int32,
        "l" => Type::Int64,
        "q" => Type::Quantity,
        "p" => Type::IntOrString,
        "t" => Type::Time,
        "B" => Type::Bytes,
        _ if notation.starts_with('[') => Type::Array(inner()),
        _ if notation.starts_with('{') => Type::Map(inner()),
        name => index.get(name).map_or(Type::Any, |at| Type::Object(*at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let schema = &*SCHEMA;
        assert_eq!(schema.objects.len(), TEXT.lines().count() - 1);
        for kind in ["Pod", "ConfigMap", "Secret"] {
            assert!(schema.kind(kind).is_some(), "{kind}");
        }
        // `Any` is what a name that is not in the file becomes: only the one field that is anything may have it
        let any: Vec<_> = schema
            .objects
            .iter()
            .flat_map(|object| object.fields.iter().map(move |(field, kind)| (object.name, *field, kind)))
            .filter(|(.., kind)| matches!(kind, Type::Any))
            .map(|(object, field, _)| (object, field))
            .collect();
        assert_eq!(any, [("ManagedFieldsEntry", "fieldsV1")]);
        let container = &schema.objects[schema.index["Container"]];
        assert_eq!(container.field("image"), Some(&Type::Str));
        assert_eq!(container.field("args"), Some(&Type::Array(Box::new(Type::Str))));
        assert!(container.field("imagee").is_none());
    }
}
