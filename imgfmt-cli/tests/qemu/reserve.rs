//! File systems that cannot take space: zeros are written, as the C library does for QEMU. They are of ext2, on loop devices, which
//! take root.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::desk::Desk;

/// A folder in which a file system of its own is mounted, as long as this is there.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Mounts a new file system of ext2 at `mnt` in the folder of `desk`; nothing, and the reason said, where that cannot be done.
fn mount(desk: &Desk) -> Option<Mounted> {
    std::fs::File::create(desk.path("ext2")).unwrap().set_len(64 << 20).unwrap();
    std::fs::create_dir(desk.path("mnt")).unwrap();
    for line in ["mkfs.ext2 -q -F ext2", "mount -o loop ext2 mnt"] {
        let mut words = line.split(' ');
        let done = Command::new(words.next().unwrap()).args(words).current_dir(desk.folder()).output();
        match done {
            Ok(done) if done.status.success() => {}
            other => {
                println!("skipped: {line}: {other:?}");
                return None;
            }
        }
    }
    Some(Mounted(desk.path("mnt")))
}

#[test]
fn preallocation_falloc_takes_space_where_the_file_system_knows_no_such_thing() {
    let desk = Desk::new();
    let Some(_mounted) = mount(&desk) else { return };
    let taken = |name: &str| desk.path(name).metadata().unwrap().blocks() * 512;
    for (format, least) in [("raw", 4 << 20), ("qcow2", 4 << 20)] {
        let name = format!("mnt/{format}");
        desk.ok(&format!("create -q -f {format} -o preallocation=falloc {name} 4M"));
        assert!(taken(&name) >= least, "{format}: {}", taken(&name));
        desk.ok(&format!("resize -q -f {format} --preallocation=falloc {name} 8M"));
        assert!(taken(&name) >= least + (4 << 20), "{format}: {}", taken(&name));
        assert_eq!(desk.json(&format!("info --output=json -f {format} {name}"))["virtual-size"], 8 << 20);
    }
    desk.ok("check -q -f qcow2 mnt/qcow2");
    desk.ok("compare -f raw -F qcow2 mnt/raw mnt/qcow2");
    desk.ok("create -q -f vpc -o subformat=fixed,force_size=on mnt/vhd 4M");
    desk.ok("resize -q -f vpc --preallocation=falloc mnt/vhd 8M");
    desk.ok("compare -f raw -F vpc mnt/raw mnt/vhd");
    assert!(taken("mnt/vhd") >= 4 << 20);
    // Where there is no room, the image is as it was.
    let told = desk.fails("resize -q -f raw --preallocation=falloc mnt/raw 80M");
    assert!(told.contains("No space left"), "{told}");
    assert_eq!(desk.read("mnt/raw").len(), 8 << 20);
}
