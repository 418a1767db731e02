//! Compiles the schemas of proto/ into the Rust of `v1` and `link`.

#[path = "codegen/mod.rs"]
mod codegen;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use codegen::{Model, Options};

/// Schema, options.
const SCHEMAS: [(&str, Options<'static>); 2] = [
    (
        "throng/v1.proto",
        Options { json: true, element_limits: &[("ClientFrame", "CLIENT_ELEMENTS_MAX")] },
    ),
    ("throng/link.proto", Options { json: false, element_limits: &[] }),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=codegen");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (schema, options) in SCHEMAS {
        let mut compiler = protox::Compiler::new(["proto"])?;
        let compiled = compiler.include_source_info(true).open_file(schema)?.file_descriptor_set();
        let file = compiled.file.iter().find(|file| file.name() == schema);
        let model = Model::new(file.ok_or("the compiler lost the file")?)?;
        let source = codegen::generate(&model, &options);
        fs::write(out.join(schema.replace('/', ".")).with_extension("rs"), source)?;
    }
    Ok(())
}
