//! The model of a message: what the notation says, with every version range already cut to its parent's.

use std::collections::BTreeSet;

/// One message: a request, a response, a header, or the data in a record.
pub struct Message {
    /// What it is for.
    pub kind: Kind,
    /// Kafka's name, such as `FetchRequest`.
    pub name: String,
    /// The versions that exist.
    pub versions: Versions,
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub flexible_from: Option<i16>,
    /// The newest version is not final, so it is never advertised.
    pub unstable: Option<i16>,
    /// Kafka's listeners that serve it: `broker`, `controller`. Requests only.
    pub listeners: Vec<String>,
    /// The fields, in the order of the wire.
    pub fields: Vec<Field>,
    /// Structs used by more than one field.
    pub shared: Vec<Struct>,
}

/// What a message is for, with Kafka's number where it has one.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Request(i16),
    Response(i16),
    Header,
    Data,
    /// A record of the metadata log.
    Record(i16),
    /// A key in a coordinator's log.
    Key(i16),
    /// A value in a coordinator's log.
    Value(i16),
}

/// Fields with a name of their own.
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// One field.
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub array: bool,
    pub versions: Versions,
    /// The versions in which null may be said.
    pub nullable: Option<Versions>,
    pub tag: Option<u32>,
    pub default: Option<String>,
    /// A value that the version can't carry is dropped instead of refused.
    pub ignorable: bool,
    /// Keeps its fixed-width length in flexible versions too.
    pub inflexible: bool,
    /// The fields of the struct that this field introduces.
    pub fields: Vec<Field>,
}

/// The type of a field, or of its elements.
#[derive(Clone, PartialEq)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
}

/// Versions from `from` to `to`, both included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Versions {
    pub from: i16,
    pub to: i16,
}

impl Versions {
    pub fn contains(self, other: Versions) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

impl Message {
    /// All structs: the message itself first, then each struct it uses, once.
    pub fn structs(&self) -> Vec<(&str, Versions, &[Field])> {
        let mut found = vec![(self.name.as_str(), self.versions, self.fields.as_slice())];
        collect_structs(&self.fields, &mut found);
        for shared in &self.shared {
            found.push((&shared.name, shared.versions, &shared.fields));
            collect_structs(&shared.fields, &mut found);
        }
        found
    }

    /// The fields of the struct `name`.
    pub fn fields_of(&self, name: &str) -> Option<&[Field]> {
        self.structs()
            .into_iter()
            .find(|(found, _, _)| *found == name)
            .map(|(_, _, fields)| fields)
    }

    /// Whether the struct `name` borrows from the frame, and so has a lifetime.
    pub fn borrows(&self, name: &str) -> bool {
        let fields = self.fields_of(name).unwrap_or(&[]);
        fields.iter().any(|field| {
            field.array
                || match &field.ty {
                    Type::String | Type::Bytes | Type::Records => true,
                    Type::Struct(inner) => self.borrows(inner),
                    _ => false,
                }
        })
    }

    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }
}

fn collect_structs<'a>(fields: &'a [Field], found: &mut Vec<(&'a str, Versions, &'a [Field])>) {
    for field in fields {
        if let (Type::Struct(name), false) = (&field.ty, field.fields.is_empty()) {
            found.push((name, field.versions, &field.fields));
            collect_structs(&field.fields, found);
        }
    }
}

/// Refuses what the codec could not carry.
pub fn check(message: &Message) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (name, _, fields) in message.structs() {
        if !names.insert(name) {
            return Err(format!("{}: struct {name} is declared twice", message.name));
        }
        for field in fields {
            check_field(message, field)
                .map_err(|why| format!("{}: {name}.{}: {why}", message.name, field.name))?;
        }
    }
    Ok(())
}

fn check_field(message: &Message, field: &Field) -> Result<(), String> {
    if let Type::Struct(name) = &field.ty {
        message
            .fields_of(name)
            .ok_or_else(|| format!("struct {name} is not declared"))?;
    }
    if field.tag.is_some() {
        let flexible = message
            .flexible_from
            .ok_or("a tag in a message without flexible versions")?;
        if field.versions.from < flexible {
            return Err(format!("a tag before the first flexible version {flexible}"));
        }
        if has_records(message, field) {
            return Err("records in a tagged field, whose size must be known first".into());
        }
    }
    if field.array {
        return check_elements(message, field);
    }
    Ok(())
}

/// Elements without a single byte would let a few bytes claim endless work.
fn check_elements(message: &Message, field: &Field) -> Result<(), String> {
    let versions = field.versions.from..=field.versions.to;
    match versions
        .into_iter()
        .find(|&version| size_min(message, &field.ty, version) == 0)
    {
        Some(version) => Err(format!("elements may take no bytes at all in version {version}")),
        None => Ok(()),
    }
}

/// The fewest bytes that a value of this type takes in `version`.
fn size_min(message: &Message, ty: &Type, version: i16) -> usize {
    let flexible = message.is_flexible(version);
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String => {
            if flexible {
                1
            } else {
                2
            }
        }
        Type::Bytes | Type::Records => {
            if flexible {
                1
            } else {
                4
            }
        }
        Type::Struct(name) => {
            let fields = message.fields_of(name).unwrap_or(&[]);
            let present = fields
                .iter()
                .filter(|f| f.tag.is_none() && f.versions.contains(one(version)));
            let sizes = present.map(|f| match (f.array, &f.ty, f.nullable) {
                (true, _, _) => {
                    if flexible {
                        1
                    } else {
                        4
                    }
                }
                (false, Type::Struct(_), Some(_)) => 1,
                (false, ty, _) => size_min(message, ty, version),
            });
            sizes.sum::<usize>() + usize::from(flexible)
        }
    }
}

fn one(version: i16) -> Versions {
    Versions {
        from: version,
        to: version,
    }
}

fn has_records(message: &Message, field: &Field) -> bool {
    match &field.ty {
        Type::Records => true,
        Type::Struct(name) => message
            .fields_of(name)
            .unwrap_or(&[])
            .iter()
            .any(|inner| has_records(message, inner)),
        _ => false,
    }
}
