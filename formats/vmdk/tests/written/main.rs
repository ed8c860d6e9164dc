//! What is written: by every subformat, into files, and read back by this crate and by others.

#[cfg(test)]
mod chains;
#[cfg(test)]
mod device;
#[cfg(test)]
mod far;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod pipe;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod streams;

/// Options of every kind of image, and of combinations that have shown faults in writers.
#[cfg(test)]
const KINDS: [&str; 16] = [
    "subformat=monolithicSparse",
    "subformat=monolithicSparse,grain_size=8k",
    "subformat=monolithicSparse,grain_size=2M,adapter_type=lsilogic",
    "subformat=monolithicSparse,zeroed_grain=on,compat6=on",
    "subformat=streamOptimized,adapter_type=lsilogic",
    "subformat=streamOptimized,grain_size=8k",
    "subformat=streamOptimized,grain_size=1M,compression_level=9",
    "subformat=streamOptimized,zeroed_grain=on,compression_level=1",
    "subformat=monolithicFlat",
    "subformat=monolithicFlat,adapter_type=buslogic,hwversion=21",
    "subformat=twoGbMaxExtentFlat",
    "subformat=twoGbMaxExtentSparse",
    "subformat=twoGbMaxExtentSparse,grain_size=32k,zeroed_grain=on",
    "subformat=vmfs,adapter_type=pvscsi,uuid=6000c29f-4866-aea5-2f18-d3030ba914ff",
    "subformat=vmfs,adapter_type=legacyESX,toolsversion=10240",
    "",
];
