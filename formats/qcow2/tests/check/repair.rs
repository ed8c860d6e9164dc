//! A repair mends what it says, loses nothing, and can be cut anywhere.

use imgfmt_core::conformance::check_repair;
use imgfmt_core::{Repair, Severity};

use crate::damages::{self, Damage};
use crate::image::{COPIED, Image};
use crate::provoke::samples;

#[test]
fn every_damage_that_can_be_mended_is_and_the_disk_stays() {
    for Damage { id, severity, repair, mut image } in damages::all() {
        let content = image.content();
        let findings = image.repair(repair.unwrap_or(Repair::All));
        let found = findings.kept().iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("{id} is found"));
        assert_eq!(found.fixed, repair.is_some(), "{id}: {:?}", findings.kept());
        let (left, _) = image.check();
        let still = left.kept().iter().any(|finding| finding.id == id);
        assert_eq!(still, repair.is_none(), "{id}: {:?}", left.kept());
        assert!(content.is_none() || image.content() == content, "{id}: another disk");
        if repair.is_some() && severity == Severity::Corruption {
            let open = [Severity::Leak, Severity::Corruption, Severity::Unchecked].map(|severity| left.open(severity));
            assert_eq!(open, [0; 3], "{id}: {:?}", left.kept());
        }
    }
}

#[test]
fn what_a_repair_says_it_mended_is_gone_and_what_not_is_still_there() {
    for Damage { id, mut image, .. } in damages::all() {
        let said = image.repair(Repair::All);
        let (left, _) = image.check();
        for severity in [Severity::Leak, Severity::Corruption, Severity::Unchecked, Severity::Warning] {
            assert_eq!(left.open(severity), said.open(severity), "{id}: {:?} {:?}", said.kept(), left.kept());
        }
        let again = image.repair(Repair::All);
        assert_eq!(again.fixed(Severity::Corruption) + again.fixed(Severity::Leak), 0, "{id}: {:?}", again.kept());
    }
}

#[test]
fn a_repair_may_be_cut_at_any_write() {
    for (seed, Damage { image, .. }) in (1..).zip(damages::all()) {
        for repair in [Repair::Leaks, Repair::All] {
            let files = image.files();
            check_repair(&Image::edited(&files), repair, seed);
        }
    }
}

#[test]
fn leaks_are_given_back_flags_follow_and_nothing_else_changes() {
    let mut image = damages::small();
    let (leaked, low, flag) = (image.host(3) / 512, image.host(4) / 512, image.l2_at(5));
    image.set_refcount(leaked, 7);
    let before = image.clone();
    image.set_refcount(low, 0);
    image.change(flag, |entry| entry ^ COPIED);
    let findings = image.repair(Repair::Leaks);
    assert_eq!((findings.fixed(Severity::Leak), findings.open(Severity::Leak)), (1, 0));
    assert_eq!(findings.fixed(Severity::Corruption), 1, "{:?}", findings.kept());
    let mut expected = before;
    expected.set_refcount(leaked, 1);
    expected.set_refcount(low, 0);
    assert!(image.0 == expected.0);
}

#[test]
fn a_flag_is_not_set_for_a_cluster_that_more_entries_have_than_its_refcount_says() {
    let mut image = damages::small();
    let shared = image.host(3);
    for index in [3, 4] {
        image.put(image.l2_at(index), shared);
    }
    let findings = image.repair(Repair::Leaks);
    assert_eq!(findings.fixed(Severity::Corruption), 0, "{:?}", findings.kept());
    assert_eq!((image.u64(image.l2_at(3)), image.u64(image.l2_at(4))), (shared, shared));
    image.set_refcount(shared / 512, 2);
    image.put(image.l2_at(4), shared | COPIED);
    let findings = image.repair(Repair::Leaks);
    assert_eq!(findings.fixed(Severity::Corruption), 1, "{:?}", findings.kept());
    assert_eq!((image.u64(image.l2_at(3)), image.u64(image.l2_at(4))), (shared, shared));
}

#[test]
fn a_flag_follows_the_refcount_that_was_lowered() {
    let mut image = damages::small();
    let (cluster, entry) = (image.host(3) / 512, image.l2_at(3));
    image.set_refcount(cluster, 2);
    image.change(entry, |entry| entry & !COPIED);
    assert_eq!(image.check().0.open(Severity::Corruption), 0);
    image.repair(Repair::Leaks);
    assert_eq!(image.u64(entry) & COPIED, COPIED);
    assert_eq!(image.check().0.total(), 0);
}

#[test]
fn clusters_that_two_entries_share_get_a_count_of_two_and_no_flag() {
    let mut image = damages::small();
    let shared = image.u64(image.l2_at(4));
    image.put(image.l2_at(3), shared);
    let content = image.content();
    image.repair(Repair::All);
    assert_eq!((image.u64(image.l2_at(3)), image.u64(image.l2_at(4))), (shared & !COPIED, shared & !COPIED));
    assert_eq!(image.check().0.total(), 0);
    assert!(content.is_some() && image.content() == content);
}

#[test]
fn nothing_is_given_back_while_a_table_cannot_be_followed() {
    let mut image = damages::small();
    image.change(image.l1_at(0), |_| 1 << 30);
    let before = image.0.clone();
    let findings = image.repair(Repair::Leaks);
    assert!(findings.open(Severity::Leak) > 0 && findings.fixed(Severity::Leak) == 0);
    assert!(image.0 == before);
}

#[test]
fn refcounts_of_every_width_are_mended_and_made_anew() {
    for bits in [1, 2, 4, 8, 16, 32, 64] {
        for damage in 0..3 {
            let mut image = Image::written(&format!("cluster_size=512,refcount_bits={bits}"), false);
            let content = image.content();
            match damage {
                0 => (0..20).for_each(|cluster| image.set_refcount(cluster, cluster % 2)),
                1 => image.put(image.u64(48), 0),
                _ => image.put32(56, 0),
            }
            assert!(image.check().0.open(Severity::Corruption) > 0, "{bits} {damage}");
            image.repair(Repair::All);
            assert_eq!(image.check().0.total(), 0, "{bits} {damage}: {:?}", image.check().0.kept());
            assert!(image.content() == content, "{bits} {damage}");
        }
    }
}

#[test]
fn samples_that_are_whole_are_not_touched() {
    for (name, mut image) in samples() {
        if image.check().0.total() == 0 {
            let before = image.0.clone();
            assert_eq!(image.repair(Repair::All).total(), 0, "{name}");
            assert!(image.0 == before, "{name}");
        }
    }
}

#[test]
fn new_refcounts_are_not_put_where_an_entry_points_behind_the_file() {
    let mut image = damages::small();
    let end = image.0.len() as u64;
    image.put(image.l2_at(3), (end.next_multiple_of(512) + 512) | COPIED);
    image.put(image.u64(48), 0);
    let before = image.0.clone();
    assert!(image.content().is_none());
    let findings = image.repair(Repair::All);
    assert!(findings.open(Severity::Corruption) > 0 && image.0 == before);
}

#[test]
fn a_table_that_was_cut_is_not_made_to_look_whole() {
    let mut image = Image::sample("valid/map-l2-cut.qcow2");
    assert!(image.content().is_some());
    let length = image.0.len();
    image.0.truncate(length - 16);
    assert!(image.content().is_none(), "entries are lost");
    let before = image.0.clone();
    for repair in [Repair::Leaks, Repair::All] {
        image.repair(repair);
        assert!(image.0 == before && image.content().is_none());
    }
}

#[test]
fn a_table_that_is_a_refcount_block_too_is_left_alone_where_blocks_cannot_be_made_anew() {
    let mut image = damages::small();
    // An entry that cannot be followed keeps refcounts from being made anew; the block has what looks like a flaw.
    let block = image.u64(image.u64(48));
    image.put(image.l1_at(1), block);
    image.change(image.l1_at(2), |_| 1 << 30);
    let before = image.0.clone();
    image.repair(Repair::All);
    assert!(image.0 == before);
}

#[test]
fn a_stream_that_was_cut_is_not_filled_up_with_zeros() {
    // The lower 58 bits are the place; the 4 above say how many more sectors there are.
    let mut whole = Image::written("cluster_size=4k", true);
    let entry = whole.l2_at(0);
    let (place, sectors) = (whole.u64(entry) & ((1 << 58) - 1), whole.u64(entry) >> 58 & 15);
    let from = usize::try_from(place).unwrap();
    let stream = whole.0[from..from + usize::try_from((sectors + 1) * 512 - place % 512).unwrap()].to_vec();
    let end = (whole.0.len() as u64).next_multiple_of(4096) + place % 512;
    whole.0.resize(usize::try_from(end).unwrap(), 0);
    whole.0.extend_from_slice(&stream);
    whole.put(entry, 1 << 62 | sectors << 58 | end);
    whole.put(whole.u64(48), 0);
    let mut cut = whole.clone();
    let content = whole.content();
    whole.repair(Repair::All);
    assert_eq!(whole.check().0.total(), 0, "a whole file has its refcounts made anew");
    assert!(content.is_some() && whole.content() == content);
    cut.0.truncate(cut.0.len() - stream.len() / 2);
    let before = cut.0.clone();
    assert!(cut.content().is_none(), "the end of a stream is lost");
    cut.repair(Repair::All);
    assert!(cut.0 == before);
}
