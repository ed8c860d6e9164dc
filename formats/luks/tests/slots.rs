//! Key slots: filled, replaced and erased; cut at any write, a passphrase that is not to be erased opens the container.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Done, Failing, Fault, Noise, Recording};
use imgfmt_core::{
    AmendRequest, Blank, CreateRequest, DenyAll, ErrorKind, Format, Limits, Medium, MemoryMedium, MemoryTarget,
    OpenContext, Options, Result, Secrets, Storage, Target, convert::Convert,
};
use imgfmt_luks::Luks;

/// The secrets of these tests: each id is its passphrase.
fn secrets() -> Secrets {
    let mut secrets = Secrets::new();
    ["one", "two", "three"].iter().for_each(|id| secrets.add(*id, *id));
    secrets
}

/// A container that the passphrase `one` opens.
fn container() -> Vec<u8> {
    let (options, secrets, target) =
        (options("key-secret=one,iterations=1000"), secrets(), Arc::new(MemoryTarget::new()));
    let request = CreateRequest { secrets: &secrets, ..CreateRequest::new(4096, &options) };
    let writer = Luks.create(Arc::clone(&target) as Arc<dyn Target>, &request).expect("it works");
    Convert::default().run(&Blank::new(4096), writer).expect("it works");
    target.to_vec()
}

/// Options out of text.
fn options(text: &str) -> Options {
    Options::parse(text).expect("it works")
}

/// Changes the slots of `medium` as `text` says, with a passphrase that opens it.
fn amend(medium: &Arc<dyn Medium>, secret: &str, text: &str, force: bool) -> Result<()> {
    let (limits, open, secrets) = (Limits::default(), options(&format!("key-secret={secret}")), secrets());
    let context = OpenContext { options: &open, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
    let options = options(text);
    let request = AmendRequest { force, ..AmendRequest::new(&options) };
    Luks.abilities().amend.expect("it amends").amend(Arc::clone(medium), &request, &context)
}

/// Whether a passphrase opens the container, and its disk is zero.
fn opens(storage: Arc<dyn Storage>, secret: &str) -> bool {
    let (limits, open, secrets) = (Limits::default(), options(&format!("key-secret={secret}")), secrets());
    let context = OpenContext { options: &open, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
    match Luks.open(storage, &context) {
        Ok(opened) => {
            let mut bytes = [1; 4096];
            opened.image.read_at(&mut bytes, 0).expect("it works");
            assert!(bytes == [0; 4096], "another key opens it");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            false
        }
    }
}

/// Which of the passphrases open it.
fn known(medium: &Arc<dyn Medium>) -> Vec<&'static str> {
    let storage = || Arc::clone(medium) as Arc<dyn Storage>;
    ["one", "two", "three"].into_iter().filter(|secret| opens(storage(), secret)).collect()
}

#[test]
fn slots_are_filled_replaced_and_erased() {
    let medium: Arc<dyn Medium> = Arc::new(MemoryMedium::new(&container()));
    amend(&medium, "one", "state=active,new-secret=two,iterations=1000", false).unwrap();
    assert_eq!(known(&medium), ["one", "two"]);
    amend(&medium, "two", "state=active,new-secret=three,keyslot=7,iterations=1000", false).unwrap();
    assert_eq!(known(&medium), ["one", "two", "three"]);
    let taken = amend(&medium, "two", "state=active,new-secret=three,keyslot=0,iterations=1000", false);
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::Invalid);
    amend(&medium, "two", "state=active,new-secret=three,keyslot=0,iterations=1000", true).unwrap();
    assert_eq!(known(&medium), ["two", "three"]);
    amend(&medium, "three", "state=inactive,old-secret=three", false).unwrap();
    assert_eq!(known(&medium), ["two"]);
    let last = amend(&medium, "two", "state=inactive,keyslot=1", false);
    assert_eq!(last.unwrap_err().kind(), ErrorKind::Invalid);
    amend(&medium, "two", "state=inactive,keyslot=1", true).unwrap();
    assert_eq!(known(&medium), [""; 0]);
}

#[test]
fn what_is_not_said_well_changes_nothing() {
    let bytes = container();
    let medium: Arc<dyn Medium> = Arc::new(MemoryMedium::new(&bytes));
    for (secret, text, kind) in [
        ("one", "state=active", ErrorKind::Invalid),
        ("one", "state=inactive", ErrorKind::Invalid),
        ("one", "state=gone,keyslot=1", ErrorKind::Invalid),
        ("one", "keyslot=1", ErrorKind::Invalid),
        ("one", "state=active,new-secret=two,keyslot=8", ErrorKind::Invalid),
        ("one", "state=active,new-secret=two,old-secret=one", ErrorKind::Invalid),
        ("one", "state=inactive,old-secret=two", ErrorKind::Invalid),
        ("one", "state=active,new-secret=four", ErrorKind::Invalid),
        ("two", "state=active,new-secret=two,iterations=1000", ErrorKind::Refused),
        ("one", "encrypt.state=active,encrypt.new-secret=two", ErrorKind::Invalid),
    ] {
        assert_eq!(amend(&medium, secret, text, false).unwrap_err().kind(), kind, "{text}");
    }
    let mut now = vec![0; bytes.len()];
    medium.read_at(&mut now, 0).unwrap();
    assert!(now == bytes, "it was changed");
}

#[test]
fn on_a_medium_that_fails_a_passphrase_that_stays_opens_it() {
    for (step, stays) in [
        ("state=active,new-secret=two,iterations=1000", "one"),
        ("state=active,new-secret=two,keyslot=0,iterations=1000", ""),
        ("state=active,new-secret=two,keyslot=3,iterations=1000", "one"),
    ] {
        let container = [("disk".to_owned(), container())];
        let mut number = 0;
        loop {
            let once = |done| Fault::Operations(number..number + 1, done);
            let faults = [once(Done::Half), once(Done::All), Fault::Operations(number..usize::MAX, Done::Nothing)];
            let mut failed = 0;
            for fault in faults {
                let recording = Recording::new(&container);
                let failing = Failing::new(&recording.files(), &["disk"], fault);
                let medium = failing.files().medium(Path::new("disk")).expect("it works");
                let outcome = amend(&medium, "one", step, true);
                assert_eq!(outcome.is_err(), failing.failed() > 0, "{step}, operation {number}");
                assert_eq!(failing.changed_after_failed_flush(), None, "{step}, operation {number}");
                failed += failing.failed();
                let medium: Arc<dyn Medium> = Arc::new(MemoryMedium::new(&recording.now()[0].1));
                let known = known(&medium);
                let opens = !known.is_empty() && (stays.is_empty() || known.contains(&stays));
                assert!(opens, "{step}, operation {number}: {known:?}");
            }
            if failed == 0 {
                break;
            }
            number += 1;
        }
        assert!(number > 2, "{step}: {number} operations");
    }
}

#[test]
fn cut_at_any_write_a_passphrase_that_stays_opens_it() {
    for (steps, stays) in [
        (&["state=active,new-secret=two,iterations=1000", "state=inactive,old-secret=one"][..], ""),
        (&["state=active,new-secret=two,keyslot=0,iterations=1000"], ""),
        (&["state=active,new-secret=two,keyslot=3,iterations=1000"], "one"),
    ] {
        let recording = Recording::new(&[("disk".to_owned(), container())]);
        let medium = recording.files().medium(Path::new("disk")).unwrap();
        let mut secret = "one";
        for step in steps {
            amend(&medium, secret, step, true).unwrap();
            secret = "two";
        }
        let mut noise = Noise(0x5eed);
        for cut in 0..=recording.len() {
            for way in 0..3 {
                let mut keep = || if way < 2 { way == 1 } else { noise.below(2) == 0 };
                let state = recording.cut(cut, &mut keep);
                let medium: Arc<dyn Medium> = Arc::new(MemoryMedium::new(&state[0].1));
                let known = known(&medium);
                assert!(
                    !known.is_empty() && (stays.is_empty() || known.contains(&stays)),
                    "{steps:?} {cut}: {known:?}"
                );
            }
        }
    }
}
