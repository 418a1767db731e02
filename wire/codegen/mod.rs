//! The schema compiler: descriptors of one Protobuf package in, Rust source out.
//!
//! Why not prost at run time: prost owns every string of a message (three to four allocations for a
//! `send`), and has no JSON. The code generated here borrows strings and bytes from the input, and
//! one struct has both encodings. prost remains the oracle that the tests compare with.
//!
//! The generated code is as thin as it can be: a struct for each message, an enum for each oneof,
//! and tables ("field 5 is the string `text`") that call into `protobuf` and `json` of the crate,
//! where every rule of the two encodings lives once, in code that is read and tested as such.
//!
//! What it refuses (so that what is left needs no check at run time): recursive messages, which
//! bounds the depth of decoding; groups, enums, maps, signed and floating numbers, which the
//! protocol does not use; field numbers above 63, which lets one word remember the fields seen.

mod json;
mod model;
mod protobuf;
mod types;

pub(crate) use model::Model;

/// What to generate for one package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    /// Also the JSON mapping.
    pub(crate) json: bool,
    /// Messages whose decoding has a limit of elements of its own: name, constant in `limits`.
    pub(crate) element_limits: &'a [(&'a str, &'a str)],
}

/// Rust source of all messages of `model`, to be included in a module of its own.
#[must_use]
pub(crate) fn generate(model: &Model, options: &Options<'_>) -> String {
    let mut source =
        String::from("// Generated from the schema by wire/codegen. Not to be edited.\n");
    types::emit_oneofs(model, &mut source);
    for message in &model.messages {
        types::emit_message(message, &mut source);
        protobuf::emit(message, options, &mut source);
        if options.json {
            json::emit(message, &mut source);
        }
    }
    source
}
