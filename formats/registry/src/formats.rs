//! The list of formats: the one place that names them all.

use imgfmt_core::{Format, Wrapper};

/// Every format that this build knows, in the order in which help shows them.
pub static FORMATS: &[&dyn Format] = &[
    #[cfg(feature = "raw")]
    &imgfmt_raw::Raw,
    #[cfg(feature = "qcow2")]
    &imgfmt_qcow2::Qcow2,
    #[cfg(feature = "vmdk")]
    &imgfmt_vmdk::Vmdk,
    #[cfg(feature = "vhd")]
    &imgfmt_vhd::Vhd,
    #[cfg(feature = "vhdx")]
    &imgfmt_vhdx::Vhdx,
    #[cfg(feature = "iso")]
    &imgfmt_iso::Iso,
];

/// Everything that images come wrapped in and that this build can take off.
pub static WRAPPERS: &[&dyn Wrapper] = &[];
