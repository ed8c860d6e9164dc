//! What an image says of itself.

use imgfmt_core::Description;
use serde_json::json;

use crate::build::{Layout, Place};
use crate::open_bytes;

fn describe(layout: &Layout) -> Description {
    open_bytes(layout.build()).map(|opened| opened.image.describe()).unwrap_or_default()
}

#[test]
fn a_sparse_image_says_what_qemu_says_under_its_names() {
    let layout = Layout {
        descriptor: "CID=0000002a\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\nddb.adapterType=\"ide\"\n\
            ddb.comment=\"made by hand\"\n"
            .into(),
        redundant: true,
        ..Layout::default()
    };
    let found = describe(&layout);
    assert_eq!(found.subformat.as_deref(), Some("monolithicSparse"));
    assert_eq!((found.cluster_size, found.compressed, found.dirty), (Some(4096), false, false));
    assert_eq!(found.features, ["redundant-grain-directory"]);
    assert_eq!(found.creator.as_deref(), Some("made by hand"));
    let expected = json!({
        "create-type": "monolithicSparse", "cid": 42, "parent-cid": u32::MAX,
        "extents": [{"filename": "", "format": "", "virtual-size": 75 * 512, "cluster-size": 4096}],
    });
    assert_eq!(json!(found.specific), expected);
    assert_eq!(found.details["descriptor"]["ddb.adapterType"], "ide");
    assert_eq!(found.details["sparse-extents"][0]["grain-table-entries"], 4);
    assert!(!found.details.contains_key("redundant-grain-directory-used"));
}

#[test]
fn a_stream_says_that_it_is_one() {
    let layout = Layout { compressed: true, markers: true, zeroed: true, place: Place::Footer, ..Layout::default() };
    let found = describe(&layout);
    assert_eq!(found.subformat.as_deref(), Some("streamOptimized"));
    assert!(found.compressed);
    assert_eq!(found.features, ["zeroed-grain", "compressed-grains", "markers", "footer"]);
    assert_eq!(found.specific["extents"][0]["compressed"], true);
}

#[test]
fn a_snapshot_names_its_parent_and_leaves_bytes_to_it() {
    let layout = Layout { descriptor: "parentCID=2a\nparentFileNameHint=\"base.vmdk\"\n".into(), ..Layout::default() };
    let opened = open_bytes(layout.build()).unwrap();
    let (parent, said) = (opened.parent.unwrap(), opened.image.describe());
    assert_eq!(parent.names, [said.parent.unwrap().name]);
    assert_eq!(parent.names[0].to_str(), Some("base.vmdk"));
    assert_eq!(parent.identity.map(|cid| (cid.kind, cid.value)), Some(("CID", "0000002a".to_owned())));
    let mut sector = [0; 512];
    assert!(opened.image.read_at(&mut sector, 0).is_ok());
    let error = opened.image.read_at(&mut sector, 4096).unwrap_err();
    assert_eq!(error.kind(), imgfmt_core::ErrorKind::Missing);
}
