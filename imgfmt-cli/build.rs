//! Links the program statically, C library and all, where the C compiler can: to a short command, such as `info`, the dynamic
//! linker would add half of its time. Where it cannot, the program is linked as any other.
//!
//! `-C target-feature=+crt-static` does the same, but holds for procedural macros too, which have to be dynamic.

use std::env;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let folder = PathBuf::from(env::var("OUT_DIR")?).join("static");
    if is_wanted()
        && gather(&folder)?
        && let Some(way) = working(&folder)?
    {
        for argument in way.arguments {
            println!("cargo::rustc-link-arg-bin=imgfmt={argument}");
        }
        println!("cargo::rustc-link-arg-bin=imgfmt=-L{}", folder.display());
    }
    Ok(())
}

/// Whether this is a build of the kind that the trial stands for, and nobody has asked for another way to link.
fn is_wanted() -> bool {
    let set = |name: &str| env::var(name).unwrap_or_default();
    let flags = set("CARGO_ENCODED_RUSTFLAGS");
    set("CARGO_CFG_TARGET_OS") == "linux"
        && set("CARGO_CFG_TARGET_ENV") == "gnu"
        && set("HOST") == set("TARGET")
        && !["crt-static", "prefer-dynamic", "relocation-model", "sanitizer"].iter().any(|flag| flags.contains(flag))
}

/// Links to the static libraries, under the names by which Rust asks for the dynamic ones; false where one is missing. They
/// have a folder of their own because others than the program are linked dynamically.
fn gather(folder: &Path) -> Result<bool, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for (wanted, has) in LIBRARIES {
        let Some(archive) = archive(has)? else {
            return Ok(false);
        };
        let link = folder.join(format!("lib{wanted}.a"));
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => symlink(archive, link)?,
        }
    }
    Ok(true)
}

/// Where the C compiler has the static library `name`, if it has it.
fn archive(name: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let Ok(output) = Command::new(compiler()).arg(format!("-print-file-name=lib{name}.a")).output() else {
        return Ok(None);
    };
    // A compiler that does not have it says the name alone.
    let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(Some(path).filter(|path| path.is_absolute() && path.exists()))
}

/// The first way to link by which a program can be made that runs, if there is one.
fn working(folder: &Path) -> Result<Option<&'static Way>, Box<dyn Error>> {
    for way in WAYS {
        if trial(folder, way)? {
            return Ok(Some(way));
        }
    }
    Ok(None)
}

/// Whether a program that is linked in this way can be made, and runs.
fn trial(folder: &Path, way: &Way) -> Result<bool, Box<dyn Error>> {
    let (source, program) = (folder.join("trial.c"), folder.join("trial"));
    fs::write(&source, format!("{}{TRIAL}", way.demand))?;
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let mut link = Command::new(compiler());
    link.args(way.arguments).arg("-o").arg(&program).arg(&source).arg("-L").arg(folder);
    Ok(quiet(&mut link) && quiet(&mut Command::new(&program)))
}

/// The C compiler, which links Rust's programs.
fn compiler() -> String {
    env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

/// A way to link.
struct Way {
    /// What the linker is told.
    arguments: &'static [&'static str],
    /// C that compiles only where the C library is fit for it: a linker may pass over what it does not know, and the one of the
    /// trial need not be the one of the program.
    demand: &'static str,
}

/// The ways to link, the best first: addresses to relocate take a hundredth of the space where they are packed, and so many pages
/// fewer to read before the program starts.
const WAYS: &[Way] = &[
    Way {
        arguments: &["-static-pie", "-Wl,-z,pack-relative-relocs"],
        demand: "#include <features.h>\n#if !__GLIBC_PREREQ(2, 36)\n#error \"does not unpack relocations\"\n#endif\n",
    },
    Way { arguments: &["-static-pie"], demand: "" },
];

/// A program that succeeds where an address in its data has been relocated.
const TRIAL: &str = "\
static int there;
static int *volatile where = &there;
int main(void) { return where != &there; }
";

/// The libraries that Rust's standard library asks for, and those that stand for them.
const LIBRARIES: &[(&str, &str)] = &[
    ("c", "c"),
    ("dl", "dl"),
    ("gcc_s", "gcc_eh"),
    ("m", "m"),
    ("pthread", "pthread"),
    ("rt", "rt"),
    ("util", "util"),
];
