//! Records of Protocol Buffers: the messages of a file become plans, by which each record is read straight into the draft.
//!
//! Invariant: a field that is not on the wire is what its schema says: its default where it has no presence, and unknown where it
//! has. What a file may hold is bounded before it is parsed.
//!
//! Reading order: this file (schemas to messages), `ahead` (records without lists, into cells), `walk` (any record), `rows` (lists of
//! rows).

mod ahead;
mod rows;
mod walk;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use prost_reflect::{DescriptorPool, MessageDescriptor, prost::Message as _, prost_types::FileDescriptorProto};
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File as SourceFile, FileResolver, GoogleFileResolver},
};

use super::{
    Rejection,
    format::{Definition, Reference},
};

pub(super) use ahead::Program;
pub(super) use rows::Rows;
pub(super) use walk::read;

/// Name of the file that nobody imports.
const MAIN: &str = "thalweg-main.proto";
/// Deepest nesting of brackets in a file.
const MAX_NESTING: usize = 64;
/// Most messages of a file.
const MAX_MESSAGES: usize = 10_000;

/// The messages of a file.
#[derive(Debug)]
pub(super) struct File {
    messages: Vec<Message>,
    /// Place of the message that records without a frame hold.
    chosen: Option<usize>,
}

/// A message, and where it stands in its file: its place, its place in that message, and so on.
#[derive(Debug)]
pub(super) struct Message {
    place: Vec<usize>,
    pub(super) descriptor: MessageDescriptor,
    program: OnceLock<Option<Program>>,
}

impl Message {
    /// Returns what records without lists are read by ahead.
    pub(super) fn ahead(&self) -> Option<&Program> {
        self.program.get_or_init(|| Program::new(&self.descriptor)).as_ref()
    }
}

impl File {
    /// Reads a file with all that it imports.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub(super) fn new(definition: &Definition) -> Result<Self, String> {
        let mut messages = Vec::new();
        if is_descriptor_set(&definition.body) {
            let pool = DescriptorPool::decode(&*definition.body).map_err(|error| error.to_string())?;
            // Which of its files was meant, a set does not say.
            for message in pool.all_messages().filter(|message| !message.is_map_entry()) {
                messages.push(Message { place: Vec::new(), descriptor: message, program: OnceLock::new() });
            }
        } else {
            let mut known = HashMap::new();
            for reference in &definition.references {
                known.insert(reference.name.clone(), text(&reference.body)?);
            }
            let main = text(&definition.body)?;
            let pool = compile(&main, Given(known))?;
            let file = pool.get_file_by_name(MAIN).ok_or("it is empty")?;
            for (i, message) in file.messages().enumerate() {
                collect(vec![i], message, &mut messages)?;
            }
        }
        if messages.len() > MAX_MESSAGES {
            return Err(format!("it has more than {MAX_MESSAGES} messages"));
        }
        let chosen = match &definition.message {
            Some(name) => {
                let found = messages.iter().position(|message| message.descriptor.full_name() == name);
                Some(found.ok_or_else(|| format!("it has no message {name}; {}", names(&messages)))?)
            }
            None => None,
        };
        Ok(Self { messages, chosen })
    }

    /// Checks that records without a frame can be read.
    ///
    /// # Errors
    /// What has to be said of them.
    pub(super) fn choose(&mut self) -> Result<(), String> {
        if self.chosen.is_none() {
            let mut outer =
                (0..self.messages.len()).filter(|i| self.messages[*i].descriptor.parent_message().is_none());
            self.chosen = match (outer.next(), outer.next()) {
                (Some(only), None) => Some(only),
                _ => {
                    return Err(format!(
                        "set schema.message, which says what a record holds; {}",
                        names(&self.messages)
                    ));
                }
            };
        }
        Ok(())
    }

    /// Returns the message of a record without a frame.
    pub(super) fn chosen(&self) -> Option<&Message> {
        self.messages.get(self.chosen?)
    }

    /// Reads the place of a record's message, as Confluent's serializers write it, and returns the message and the bytes of the place.
    ///
    /// # Errors
    /// [`Rejection::DoesNotFit`].
    pub(super) fn framed(&self, bytes: &[u8]) -> Result<(&Message, usize), Rejection> {
        let misfit = |problem: &str| Rejection::DoesNotFit { schema: String::new(), problem: problem.to_owned() };
        let mut at = 0;
        let mut number = || -> Option<usize> {
            let mut raw = 0_u64;
            for shift in (0..35).step_by(7) {
                let byte = *bytes.get(at)?;
                at += 1;
                raw |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    return usize::try_from(raw >> 1).ok().filter(|_| raw & 1 == 0);
                }
            }
            None
        };
        let count = number().ok_or_else(|| misfit("the place of its message is damaged"))?;
        let mut place = Vec::new();
        // None stands for the first message.
        if count == 0 {
            place.push(0);
        }
        for _ in 0..count {
            place.push(number().ok_or_else(|| misfit("the place of its message is damaged"))?);
        }
        let found = self.messages.iter().find(|message| message.place == place);
        let found = found.ok_or_else(|| misfit("its schema has no message at the place that it names"))?;
        Ok((found, at))
    }
}

fn names(messages: &[Message]) -> String {
    let names: Vec<&str> = messages.iter().take(20).map(|message| message.descriptor.full_name()).collect();
    format!("its messages are {}", names.join(", "))
}

fn collect(place: Vec<usize>, descriptor: MessageDescriptor, messages: &mut Vec<Message>) -> Result<(), String> {
    if messages.len() >= MAX_MESSAGES {
        return Err(format!("it has more than {MAX_MESSAGES} messages"));
    }
    for (i, child) in descriptor.child_messages().enumerate() {
        collect([place.as_slice(), &[i]].concat(), child, messages)?;
    }
    messages.push(Message { place, descriptor, program: OnceLock::new() });
    Ok(())
}

/// Says whether bytes are a descriptor set: it has bytes that no text has.
fn is_descriptor_set(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte < b' ' && !b"\t\n\r\x0c".contains(byte)) || std::str::from_utf8(bytes).is_err()
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())
}

/// Returns the definition of a file with all that it imports, which `open` finds by the names in it.
///
/// # Errors
/// The reason why it cannot be read.
pub fn with_imports(
    body: Vec<u8>,
    message: Option<String>,
    open: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Result<Definition, String> {
    let opened = Arc::<Mutex<Vec<Reference>>>::default();
    if !is_descriptor_set(&body) {
        compile(&text(&body)?, Opened { open: Box::new(open), opened: Arc::clone(&opened) })?;
    }
    let references = std::mem::take(&mut *opened.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Definition { body, references, message })
}

fn compile(main: &str, others: impl FileResolver + 'static) -> Result<DescriptorPool, String> {
    // The compiler panics on some texts.
    let compiled = catch_unwind(AssertUnwindSafe(|| compile_trusted(main, others)));
    compiled.unwrap_or_else(|_| Err("the compiler of .proto files fails on it".to_owned()))
}

fn compile_trusted(main: &str, others: impl FileResolver + 'static) -> Result<DescriptorPool, String> {
    let mut chain = ChainFileResolver::new();
    chain.add(Given(HashMap::from([(MAIN.to_owned(), main.to_owned())])));
    chain.add(GoogleFileResolver::new());
    chain.add(others);
    let mut compiler = Compiler::with_file_resolver(chain);
    compiler.open_file(MAIN).map_err(|error| error.to_string())?;
    Ok(compiler.descriptor_pool())
}

/// Files that are there, by their names.
struct Given(HashMap<String, String>);

impl FileResolver for Given {
    fn resolve_path(&self, _: &Path) -> Option<String> {
        None
    }

    fn open_file(&self, name: &str) -> Result<SourceFile, Error> {
        match self.0.get(name) {
            Some(source) => parsed(name, source),
            None => Err(Error::file_not_found(name)),
        }
    }
}

/// Finds a file by the name of an import.
type Open = Box<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// Files that somebody opens, and those that were.
struct Opened {
    open: Open,
    opened: Arc<Mutex<Vec<Reference>>>,
}

impl FileResolver for Opened {
    fn resolve_path(&self, _: &Path) -> Option<String> {
        None
    }

    fn open_file(&self, name: &str) -> Result<SourceFile, Error> {
        let body = (self.open)(name).ok_or_else(|| Error::file_not_found(name))?;
        let file = parsed(name, std::str::from_utf8(&body).map_err(Error::new)?)?;
        let reference = Reference { name: name.to_owned(), body };
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(reference);
        Ok(file)
    }
}

/// Returns the bytes of a file that is there as its descriptor in base64: registries give a file as a serializer registered it, and
/// no text of a .proto goes without a semicolon.
fn serialized(source: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(source.trim_ascii()).ok().filter(|bytes| !bytes.is_empty())
}

/// Parses a file. The parser calls itself for each bracket, so that they are counted first.
fn parsed(name: &str, source: &str) -> Result<SourceFile, Error> {
    if let Some(bytes) = serialized(source) {
        let mut file = FileDescriptorProto::decode(&*bytes).map_err(Error::new)?;
        // Others import it by the name that the registry has for it.
        file.name = Some(name.to_owned());
        return Ok(SourceFile::from_file_descriptor_proto(file));
    }
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'{' | b'[' | b'(' | b'<' => depth += 1,
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_NESTING {
        return Err(Error::new(TooDeep));
    }
    SourceFile::from_source(name, source)
}

#[derive(Debug, thiserror::Error)]
#[error("its brackets are nested deeper than {MAX_NESTING}")]
struct TooDeep;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_in_base64_is_the_file_that_it_describes() {
        let part = "syntax = \"proto3\"; package p; message Part { double x = 1; }";
        let whole =
            "syntax = \"proto3\"; import \"part.proto\"; message Whole { message In { bool b = 1; } p.Part part = 1; }";
        let given = Given(HashMap::from([("part.proto".to_owned(), part.to_owned())]));
        let pool = compile(whole, given).expect("compiled");
        let encoded = |name: &str| {
            let file = pool.get_file_by_name(name).expect("a file");
            BASE64_STANDARD.encode(file.encode_to_vec()).into_bytes()
        };
        let read = |body: Vec<u8>, part: Vec<u8>| {
            let references = vec![Reference { name: "part.proto".to_owned(), body: part }];
            File::new(&Definition { body, references, message: None })
        };
        let messages = |file: Result<File, String>| -> Vec<(Vec<usize>, String)> {
            let messages = file.expect("read").messages.into_iter();
            messages.map(|it| (it.place, format!("{:?}", it.descriptor))).collect()
        };
        let expected = messages(read(whole.into(), part.into()));
        assert_eq!(expected.len(), 2);
        for (body, part) in [
            (encoded(MAIN), encoded("part.proto")),
            (encoded(MAIN), part.into()),
            (whole.into(), encoded("part.proto")),
        ] {
            assert_eq!(messages(read(body, part)), expected);
        }
        let cut = BASE64_STANDARD.encode([10, 200, 1]).into_bytes();
        assert!(read(cut, part.into()).is_err());
    }
}
