//! Dependencies run one way, and every format is on the list: the plan of the house as a test.
//!
//! ```text
//! imgfmt-core ← imgfmt-crypt, formats/<each> ← formats/registry (imgfmt) ← imgfmt-cli, imgfmt-benches
//! imgfmt-core ← imgfmt-nbd ← imgfmt-rbd ← imgfmt-cli
//! ```
//!
//! Every rule is a pure function from what was found to a list of complaints. The second half of
//! this file feeds the rules a house that is built wrongly, so that they are known to complain.
//! Sources are read line by line; what that relies on (a `}` stands under the item that it closes)
//! is the layout that `cargo fmt --check` demands.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The core's package, below everything.
const CORE: &str = "imgfmt-core";
/// The package that lists the formats, and what programs link.
const REGISTRY: &str = "imgfmt";
/// The package that encrypted formats share: ciphers and LUKS headers.
const CRYPT: &str = "imgfmt-crypt";
/// The package of exports of NBD servers.
const NBD: &str = "imgfmt-nbd";
/// The package of images in Ceph's pools.
const RBD: &str = "imgfmt-rbd";
/// The package that looks into disks.
const INSIDE: &str = "imgfmt-inside";
/// Formats the core must not name even before a folder of theirs exists.
const KNOWN_FORMATS: [&str; 7] = ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "parallels", "qed"];
/// What only programs may do: print, read the environment, end the process.
const PROGRAMS_ONLY: [&str; 8] =
    ["println!", "print!", "eprintln!", "eprint!", "std::env", "env::var", "process::exit", "process::abort"];

/// What this file has to know about a package of the workspace.
struct Package {
    /// Its name in `Cargo.toml`.
    name: String,
    /// Its folder, relative to the root of the workspace.
    folder: PathBuf,
    /// Packages of ours that it links.
    normal: BTreeSet<String>,
    /// Packages of ours that its tests and build script use besides.
    other: BTreeSet<String>,
}

#[test]
fn dependencies_run_one_way() -> Result<(), Box<dyn Error>> {
    let packages = packages()?;
    let formats = format_folders()?;
    let complaints: Vec<_> = packages.iter().flat_map(|package| wrong_dependencies(package, &formats)).collect();
    assert_eq!(complaints, [""; 0]);
    Ok(())
}

#[test]
fn every_format_is_on_the_list() -> Result<(), Box<dyn Error>> {
    let packages = packages()?;
    let registry = packages.iter().find(|package| package.name == REGISTRY).ok_or("the workspace has no registry")?;
    let mut list = String::new();
    for path in rust_files(&root().join(&registry.folder).join("src"))? {
        list.push_str(&code(&std::fs::read_to_string(path)?));
    }
    let complaints = missing_formats(&format_folders()?, &registry.normal, &list);
    assert_eq!(complaints, [""; 0]);
    Ok(())
}

#[test]
fn the_core_names_no_format() -> Result<(), Box<dyn Error>> {
    let formats = format_folders()?;
    // `raw` and `compressed` are English words first: raw bytes, compressed units.
    let names: BTreeSet<&str> = formats
        .iter()
        .map(String::as_str)
        .filter(|name| !["raw", "compressed"].contains(name))
        .chain(KNOWN_FORMATS)
        .collect();
    let complaints = complain_about_sources("imgfmt-core", |line| named_format(line, &names))?;
    assert_eq!(complaints, [""; 0]);
    Ok(())
}

#[test]
fn only_programs_print_read_the_environment_or_exit() -> Result<(), Box<dyn Error>> {
    let mut libraries: Vec<String> =
        ["imgfmt-core", "crypt", "inside", "formats/registry", "remote/nbd", "remote/rbd"].map(str::to_owned).to_vec();
    libraries.extend(format_folders()?.iter().map(|name| format!("formats/{name}")));
    for folder in libraries {
        let complaints = complain_about_sources(&folder, act_of_a_program)?;
        assert_eq!(complaints, [""; 0]);
    }
    Ok(())
}

// The rules.

/// What is wrong with the dependencies of `package` on other packages of ours.
fn wrong_dependencies(package: &Package, formats: &BTreeSet<String>) -> Vec<String> {
    let name = package.name.as_str();
    let Some(allowed) = allowed_dependencies(package, formats) else {
        return vec![format!("{name}: no rule says what it may depend on")];
    };
    let used = package.normal.union(&package.other);
    let mut complaints: Vec<_> = used
        // Tests may use their own package with more of its features.
        .filter(|dependency| !allowed.contains(*dependency) && **dependency != package.name)
        .map(|dependency| format!("{name} must not depend on {dependency}"))
        .collect();
    if is_format(package, formats) && !package.normal.contains(CORE) {
        complaints.push(format!("{name} must depend on {CORE}"));
    }
    complaints
}

/// The packages of ours that `package` may use; `None` for one that the plan does not know.
fn allowed_dependencies(package: &Package, formats: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let core = || [CORE.to_owned()].into_iter();
    match package.name.as_str() {
        CORE => Some(BTreeSet::new()),
        INSIDE | CRYPT | NBD => Some(core().collect()),
        RBD => Some(core().chain([NBD.to_owned()]).collect()),
        REGISTRY => Some(core().chain([INSIDE.to_owned()]).chain(formats.iter().map(|x| package_of(x))).collect()),
        "imgfmt-cli" => Some([REGISTRY, NBD, RBD].map(str::to_owned).into()),
        "imgfmt-benches" => Some(BTreeSet::from([REGISTRY.to_owned()])),
        _ if is_format(package, formats) => Some(core().chain([CRYPT.to_owned()]).collect()),
        _ => None,
    }
}

/// Whether `package` is `imgfmt-<x>` in the folder `formats/<x>`.
fn is_format(package: &Package, formats: &BTreeSet<String>) -> bool {
    formats
        .iter()
        .any(|folder| package.name == package_of(folder) && package.folder == Path::new("formats").join(folder))
}

/// The package that lives in `formats/<folder>`.
fn package_of(folder: &str) -> String {
    format!("imgfmt-{folder}")
}

/// Which of `formats` the registry does not depend on, or does not have on its `list`.
fn missing_formats(formats: &BTreeSet<String>, dependencies: &BTreeSet<String>, list: &str) -> Vec<String> {
    let unlinked = formats
        .iter()
        .filter(|folder| !dependencies.contains(&package_of(folder)))
        .map(|folder| format!("{REGISTRY} does not depend on formats/{folder}"));
    let unlisted = formats
        .iter()
        .filter(|folder| !list.contains(&format!("imgfmt_{}::", folder.replace('-', "_"))))
        .map(|folder| format!("formats/{folder} is not on the list of formats"));
    unlinked.chain(unlisted).collect()
}

/// The first of `names` that a line of code has as a word, also as part of an identifier.
fn named_format(line: &str, names: &BTreeSet<&str>) -> Option<String> {
    words(line).into_iter().find(|word| names.contains(word.as_str()))
}

/// The lower-case words of a line; `Qcow2Writer` and `qcow2_writer` are two words each.
fn words(line: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut previous = ' ';
    for char in line.chars() {
        if char.is_uppercase() && !previous.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(if char.is_alphanumeric() { char } else { ' ' });
        previous = char;
    }
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

/// What a line of code does that is for programs to do.
fn act_of_a_program(line: &str) -> Option<String> {
    let joins = |char: char| char.is_alphanumeric() || char == '_';
    PROGRAMS_ONLY
        .iter()
        .find(|act| line.match_indices(**act).any(|(at, _)| !line[..at].ends_with(joins)))
        .map(|act| (*act).to_owned())
}

/// `source` line by line, with comments and items under `#[cfg(test)]` emptied.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut test_item_indent = None;
    for line in source.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text == "#[cfg(test)]" {
            test_item_indent = Some(indent);
        } else if let Some(start) = test_item_indent {
            if indent <= start && text.ends_with([';', '}']) {
                test_item_indent = None;
            }
        } else if !text.starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or(line));
        }
        code.push('\n');
    }
    code
}

// What is there.

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All packages of the workspace, as cargo sees them.
fn packages() -> Result<Vec<Package>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    parse_metadata(&output.stdout)
}

/// The packages in the output of `cargo metadata`.
fn parse_metadata(json: &[u8]) -> Result<Vec<Package>, Box<dyn Error>> {
    let metadata: serde_json::Value = serde_json::from_slice(json)?;
    let root = metadata["workspace_root"].as_str().ok_or("no root")?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    packages
        .iter()
        .map(|package| parse_package(package, Path::new(root)))
        .collect::<Option<_>>()
        .ok_or_else(|| "cargo metadata has changed its shape".into())
}

/// One entry of `packages` in the output of `cargo metadata`.
fn parse_package(package: &serde_json::Value, root: &Path) -> Option<Package> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let mut found = Package {
        name: package["name"].as_str()?.to_owned(),
        folder: manifest.parent()?.strip_prefix(root).ok()?.to_owned(),
        normal: BTreeSet::new(),
        other: BTreeSet::new(),
    };
    for dependency in package["dependencies"].as_array()? {
        let (normal, ours) = (dependency["kind"].is_null(), dependency["path"].is_string());
        let kind = if normal { &mut found.normal } else { &mut found.other };
        if ours {
            kind.insert(dependency["name"].as_str()?.to_owned());
        }
    }
    Some(found)
}

/// The folders of `formats/`, apart from the registry.
fn format_folders() -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut folders = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("formats"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != "registry" {
            folders.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(folders)
}

/// `file:line: what` for each line of code below `folder/src` about which `rule` complains.
fn complain_about_sources(folder: &str, rule: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, Box<dyn Error>> {
    let mut complaints = Vec::new();
    for path in rust_files(&root().join(folder).join("src"))? {
        let source = code(&std::fs::read_to_string(&path)?);
        let file = path.strip_prefix(root())?.display().to_string();
        for (index, line) in source.lines().enumerate() {
            let complaint = rule(line).map(|what| format!("{file}:{}: {what}", index + 1));
            complaints.extend(complaint);
        }
    }
    Ok(complaints)
}

/// All `.rs` files below `folder`, apart from programs, tests, and the conformance kit, which is tests to use.
fn rust_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default();
        let is_test = ["tests", "conformance", "bin"].iter().any(|name| stem == *name);
        if path.is_dir() && !is_test {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            files.push(path);
        }
    }
    Ok(files)
}

// A house built wrongly.

/// The set of `items`.
fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// What the rules say of package `name` in `folder` that links `normal` and tests with `other`,
/// where `formats/` has `vmdk` and `qcow2`.
fn verdict(name: &str, folder: &str, normal: &[&str], other: &[&str]) -> Vec<String> {
    let package = Package { name: name.to_owned(), folder: folder.into(), normal: set(normal), other: set(other) };
    wrong_dependencies(&package, &set(&["qcow2", "vmdk"]))
}

#[test]
fn a_house_built_as_planned_has_no_complaints() {
    let (none, core) = ([""; 0], ["imgfmt-core"]);
    let all = ["imgfmt-core", "imgfmt-qcow2", "imgfmt-vmdk"];
    assert_eq!(verdict("imgfmt-core", "imgfmt-core", &[], &[]), none);
    assert_eq!(verdict("imgfmt-vmdk", "formats/vmdk", &core, &core), none);
    assert_eq!(verdict("imgfmt", "formats/registry", &all, &core), none);
    assert_eq!(verdict("imgfmt-cli", "imgfmt-cli", &["imgfmt"], &[]), none);
}

#[test]
fn a_core_that_knows_a_format_is_found() {
    assert_eq!(
        verdict("imgfmt-core", "imgfmt-core", &["imgfmt-qcow2"], &[]),
        ["imgfmt-core must not depend on imgfmt-qcow2"]
    );
    assert_eq!(verdict("imgfmt-core", "imgfmt-core", &[], &["imgfmt"]), ["imgfmt-core must not depend on imgfmt"]);
}

#[test]
fn a_format_that_knows_more_or_less_than_the_core_is_found() {
    let vmdk = |normal: &[&str], other: &[&str]| verdict("imgfmt-vmdk", "formats/vmdk", normal, other);
    assert_eq!(vmdk(&["imgfmt-core", "imgfmt-qcow2"], &[]), ["imgfmt-vmdk must not depend on imgfmt-qcow2"]);
    assert_eq!(vmdk(&["imgfmt-core"], &["imgfmt"]), ["imgfmt-vmdk must not depend on imgfmt"]);
    assert_eq!(vmdk(&[], &["imgfmt-core"]), ["imgfmt-vmdk must depend on imgfmt-core"]);
}

#[test]
fn a_program_that_goes_past_the_registry_is_found() {
    assert_eq!(
        verdict("imgfmt-cli", "imgfmt-cli", &["imgfmt", "imgfmt-core"], &[]),
        ["imgfmt-cli must not depend on imgfmt-core"]
    );
}

#[test]
fn a_package_outside_the_plan_is_found() {
    let unknown = "no rule says what it may depend on";
    assert_eq!(verdict("imgfmt-extra", "extra", &["imgfmt-core"], &[]), [format!("imgfmt-extra: {unknown}")]);
    assert_eq!(verdict("imgfmt-vmdk", "formats/vmware", &["imgfmt-core"], &[]), [format!("imgfmt-vmdk: {unknown}")]);
}

#[test]
fn a_format_that_is_nowhere_listed_is_found() {
    let formats = set(&["qcow2", "vmdk"]);
    let (one, both) = (set(&["imgfmt-vmdk"]), set(&["imgfmt-vmdk", "imgfmt-qcow2"]));
    let (unlinked, unlisted) =
        ("imgfmt does not depend on formats/qcow2", "formats/qcow2 is not on the list of formats");
    let list = "&[&imgfmt_vmdk::Vmdk]";
    assert_eq!(missing_formats(&formats, &one, list), [unlinked, unlisted]);
    assert_eq!(missing_formats(&formats, &both, list), [unlisted]);
    let list = "&[&imgfmt_qcow2::Qcow2, &imgfmt_vmdk::Vmdk]";
    assert_eq!(missing_formats(&formats, &both, list), [""; 0]);
}

#[test]
fn the_name_of_a_format_is_found_in_any_spelling() {
    let names = BTreeSet::from(["qcow2", "vhd"]);
    for line in ["\"qcow2\"", "Qcow2Writer", "is_qcow2()", "QCOW2 = 1", "writeQcow2"] {
        assert_eq!(named_format(line, &names).as_deref(), Some("qcow2"), "{line}");
    }
    assert_eq!(named_format("vhdx, qcow, vhdset, raw", &names), None);
}

#[test]
fn what_only_programs_do_is_found() {
    let act = |line| act_of_a_program(line).unwrap_or_default();
    assert_eq!(act("    println!(\"done\");"), "println!");
    assert_eq!(act("    eprintln!(\"done\");"), "eprintln!");
    assert_eq!(act("use std::env;"), "std::env");
    assert_eq!(act("std::process::exit(1)"), "process::exit");
    assert_eq!(act("env!(\"CARGO_PKG_VERSION\"); my_print!()"), "");
}

#[test]
fn comments_and_tests_are_no_code() {
    let source = "\
//! Not qcow2.
use a::B; // nor vmdk
#[cfg(test)]
mod tests;
fn kept() {
    #[cfg(test)]
    fn inner() {
        qcow2();
    }
    body();
}
#[cfg(test)]
#[expect(clippy::x, reason = \"y\")]
mod more {
    fn vmdk() {}
}
fn last() {}
";
    let code = code(source);
    let kept: Vec<&str> = code.lines().filter(|line| !line.is_empty()).collect();
    let expected = ["use a::B;", "fn kept() {", "    body();", "}", "fn last() {}"];
    assert_eq!(kept, expected);
    assert_eq!(code.lines().count(), source.lines().count());
}

#[test]
fn dependencies_of_all_kinds_are_read() -> Result<(), Box<dyn Error>> {
    let json = br#"{"workspace_root": "/w", "packages": [{
        "name": "imgfmt-vmdk", "manifest_path": "/w/formats/vmdk/Cargo.toml",
        "dependencies": [
            {"name": "imgfmt-core", "kind": null, "path": "/w/imgfmt-core"},
            {"name": "imgfmt", "kind": "dev", "path": "/w/formats/registry"},
            {"name": "zstd", "kind": null}
        ]}]}"#;
    let packages = parse_metadata(json)?;
    let [package] = packages.as_slice() else {
        return Err("one package was expected".into());
    };
    assert_eq!(package.folder, Path::new("formats/vmdk"));
    assert_eq!(package.normal, set(&["imgfmt-core"]));
    assert_eq!(package.other, set(&["imgfmt"]));
    assert!(parse_metadata(br#"{"workspace_root": "/w", "packages": [{}]}"#).is_err());
    Ok(())
}
