//! Links the unwinder into the program: the search for its shared library would be a tenth of the time that a short command
//! takes. Where the compiler has no such archive, the program is linked as any other.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|abi| abi == "gnu");
    if !gnu || env::var("HOST").ok() != env::var("TARGET").ok() {
        return;
    }
    if let Some(folder) = archive().as_deref().and_then(|archive| Path::new(archive).parent().map(Path::to_owned)) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Where the C compiler has the archive, if it has it.
fn archive() -> Option<String> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    // A compiler that does not have it says the name alone.
    Path::new(&path).is_absolute().then_some(path).filter(|path| Path::new(path).exists())
}
