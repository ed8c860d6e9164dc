//! Whatever a driver pushes, what a sink hands on keeps the contract, or is an error.

use std::ops::Range;

use imgfmt_core::{Codec, Encoded, Extent, ExtentKind, ExtentSink, SourceId};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::config;

/// A push: where it starts against what is wanted next, how long it is, and its kind.
type Push = (i64, u64, ExtentKind);

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn a_hostile_driver_breaks_nothing(
        start in prop_oneof![0..5000u64, u64::MAX - 5000..u64::MAX],
        len in 0..4000u64,
        max in 0..6usize,
        pushes in proptest::collection::vec(pushes(), 0..12),
        polite in any::<bool>(),
    ) {
        let range = start..start.saturating_add(len);
        let mut extents = vec![MARK];
        let mut sink = ExtentSink::new(range.clone(), max, &mut extents);
        let mut accepted = Vec::new();
        for (shift, len, kind) in pushes {
            if polite && sink.is_full() {
                break;
            }
            let before = sink.rest();
            let at = before.start.saturating_add_signed(shift);
            sink.push(at, len, kind);
            let after = sink.rest();
            assert!(after.start >= before.start && after.end == range.end);
            if after.start > before.start {
                accepted.push((before.start..after.start, at, kind));
            }
        }
        let outcome = sink.finish();
        assert_eq!(extents[0], MARK, "what was there before has changed");
        check_contract(&extents[1..], &range);
        check_kinds(&extents[1..], &accepted);
        let end = extents.last().map_or(range.start, |last| if extents.len() > 1 { last.end() } else { range.start });
        match outcome {
            Ok(answered) => assert!(answered == end && (answered > range.start || range.is_empty())),
            Err(error) => assert_eq!(error.kind(), imgfmt_core::ErrorKind::Malformed),
        }
    }
}

/// Pushes that fit, nearly fit, and do not fit at all.
fn pushes() -> impl Strategy<Value = Push> {
    let shifts = prop_oneof![6 => Just(0), 3 => -600..=0i64, 1 => 1..600i64, 1 => any::<i64>()];
    let lens = prop_oneof![8 => 0..2000u64, 1 => any::<u64>()];
    let unit = (any::<u32>(), 0..3000u32, 0..500u32).prop_map(|(host, unit, skip)| {
        let host = u64::from(host);
        ExtentKind::Encoded(Encoded { source: SourceId(1), host, stored_len: 9, codec: Codec::Zlib, unit, skip })
    });
    let kinds = prop_oneof![
        (0..2u32, prop_oneof![0..4000u64, any::<u64>()])
            .prop_map(|(source, host)| ExtentKind::Data { source: SourceId(source), host }),
        unit,
        any::<bool>().prop_map(|explicit| ExtentKind::Zero { explicit }),
        Just(ExtentKind::Parent),
        Just(ExtentKind::Opaque),
    ];
    (shifts, lens, kinds)
}

/// Checks that extents ascend, touch, start with the request, stay within, and that units are not overdrawn.
fn check_contract(extents: &[Extent], range: &Range<u64>) {
    let mut next = range.start;
    for extent in extents {
        assert!(extent.len > 0 && extent.start == next, "{extent:?} where {next} follows");
        next = extent.end();
        if let ExtentKind::Encoded(unit) = extent.kind {
            assert!(u64::from(unit.skip) + extent.len <= u64::from(unit.unit), "{extent:?}");
        }
    }
    assert!(next <= range.end);
}

/// Checks that every byte is of the kind that was pushed for it.
fn check_kinds(extents: &[Extent], accepted: &[(Range<u64>, u64, ExtentKind)]) {
    for (range, at, kind) in accepted {
        for byte in [range.start, range.end - 1] {
            let extent = extents.iter().find(|extent| extent.start <= byte && byte < extent.end()).unwrap();
            let within = byte - extent.start;
            let wanted = byte - at;
            let same = match (extent.kind, *kind) {
                (ExtentKind::Data { source: a, host }, ExtentKind::Data { source: b, host: pushed }) => {
                    a == b && host.saturating_add(within) == pushed.saturating_add(wanted)
                }
                (ExtentKind::Encoded(a), ExtentKind::Encoded(b)) => {
                    a.host == b.host && u64::from(a.skip) + within == u64::from(b.skip) + wanted
                }
                (a, b) => a == b,
            };
            assert!(same, "byte {byte} of {extent:?} was pushed as {kind:?} from {at} on");
        }
    }
}

/// What is in the vector before.
const MARK: Extent = Extent { start: 1, len: 2, layer: 3, kind: ExtentKind::Opaque };
