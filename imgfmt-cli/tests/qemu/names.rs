//! Names of images: files, addresses and specifications; and images that are locked.

use crate::desk::Desk;

#[test]
fn a_specification_is_a_name_on_the_command_line_alone() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.ok("convert -f raw -O qcow2 raw base");
    let json = r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"base"}}"#;
    assert_eq!(desk.json(&format!("info --output=json {json}"))["format"], "qcow2");
    desk.ok(&format!("convert {json} out"));
    assert!(desk.read("out") == desk.read("raw"));
    // In an image, it is the name of a file.
    desk.ok("create -f qcow2 -u -b nowhere -F qcow2 top 1M");
    let name = "json:{}";
    std::fs::copy(desk.path("base"), desk.path(name)).unwrap();
    let image = String::from_utf8_lossy(&desk.read("top")).into_owned();
    assert!(image.contains("nowhere"));
    let bytes = desk.read("top");
    let at = bytes.windows(7).position(|window| window == b"nowhere").unwrap();
    let mut bytes = bytes;
    bytes[at..at + 7].copy_from_slice(name.as_bytes());
    desk.write("top", bytes);
    desk.ok("convert -f qcow2 top out2");
    assert!(desk.read("out2") == desk.read("raw"));
}

#[test]
fn data_files_lie_beside_their_image() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("images")).unwrap();
    let folder = desk.folder();
    desk.ok("create -f qcow2 -o data_file=data.raw images/fine.qcow2 1M");
    desk.ok("convert -f qcow2 images/fine.qcow2 out");
    desk.write("secret", vec![7; 1 << 20]);
    let mut image = desk.read("images/fine.qcow2");
    let at = image.windows(8).position(|window| window == b"data.raw").unwrap();
    image[at..at + 8].copy_from_slice(b"./../../");
    desk.write("images/bad.qcow2", &image);
    assert_eq!(desk.json("info -f qcow2 --output=json images/bad.qcow2")["format"], "qcow2");
    assert!(!desk.fails(&format!("convert -f qcow2 {folder}/images/bad.qcow2 out2")).is_empty());
    assert!(!desk.path("out2").exists());
}

#[test]
fn images_in_use_are_left_alone_unless_they_are_shared() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.ok("convert -f raw -O qcow2 raw img");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(desk.path("img")).unwrap();
    let holder = lock(&file);
    for line in ["info img", "convert img out", "check img", "map img"] {
        let told = desk.fails(line);
        assert!(told.contains("Could not open 'img': Failed to get shared \"write\" lock"), "{line}: {told}");
        assert!(told.contains("Is another process using the image [img]?"), "{line}: {told}");
    }
    for line in
        ["resize -f qcow2 img 2M", "snapshot -f qcow2 -c x img", "commit -f qcow2 img", "check -r all -f qcow2 img"]
    {
        let told = desk.fails(line);
        assert!(
            told.contains("Failed to get \"write\" lock") || told.contains("Failed to get shared"),
            "{line}: {told}"
        );
    }
    for line in ["convert -O qcow2 raw img", "create -f qcow2 img 1M", "dd -O qcow2 if=raw of=img"] {
        let told = desk.fails(line);
        assert!(
            told.contains("Failed to get \"write\" lock\nIs another process using the image [img]?"),
            "{line}: {told}"
        );
    }
    desk.ok("info -U img");
    desk.ok("convert -U img out");
    desk.ok("check -U img");
    desk.ok("convert -U --bitmaps -O qcow2 img out");
    desk.ok("info --image-opts driver=qcow2,file.filename=img,force-share=on");
    desk.fails("info --image-opts driver=qcow2,file.filename=img,force-share=off");
    desk.ok("create -f qcow2 -b img -F qcow2 top");
    let told = desk.fails("map top");
    assert!(told.contains("Could not open backing file: ") && told.contains("using the image [img]?"), "{told}");
    drop(holder);
}

#[test]
fn plain_bytes_in_use_are_told_of_and_not_copied() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.disk("other", 1 << 20, &[0]);
    desk.ok("create -f qcow2 -b raw -F raw top");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(desk.path("raw")).unwrap();
    let holder = lock(&file);
    for line in ["info raw", "map raw", "measure -O qcow2 raw", "snapshot -l raw", "map top", "measure -O qcow2 top"] {
        desk.ok(line);
    }
    assert_eq!(desk.run("check raw").code, Some(63));
    for line in ["convert raw out", "convert top out", "dd if=raw of=out", "resize -f raw raw 2M"] {
        desk.fails(line);
    }
    assert_eq!(desk.run("compare raw other").code, Some(2));
    drop(holder);
}

/// Holds the locks of a machine that writes to an image.
fn lock(file: &std::fs::File) -> impl Drop + use<> {
    use std::os::fd::AsFd;
    imgfmt::lock(file.as_fd(), imgfmt::Locking::Write).unwrap();
    Held(file.try_clone().unwrap())
}

/// A file that stays open.
struct Held(std::fs::File);

impl Drop for Held {
    fn drop(&mut self) {
        assert!(self.0.metadata().is_ok());
    }
}
