//! Images are changed in place, and survive being cut at any write.

#[cfg(test)]
#[path = "../sparse/build.rs"]
#[expect(dead_code, reason = "it is for other tests, too")]
mod build;
#[cfg(test)]
mod children;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod images;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reparent;
#[cfg(test)]
mod sizes;

/// Options of every kind of image that is edited.
#[cfg(test)]
const KINDS: [&str; 6] = [
    "grain_size=8k",
    "grain_size=8k,zeroed_grain=on",
    "subformat=twoGbMaxExtentSparse,grain_size=8k",
    "subformat=monolithicFlat",
    "subformat=twoGbMaxExtentFlat",
    "subformat=vmfs",
];
