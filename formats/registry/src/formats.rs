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
    #[cfg(feature = "vdi")]
    &imgfmt_vdi::Vdi,
    #[cfg(feature = "parallels")]
    &imgfmt_parallels::Parallels,
    #[cfg(feature = "qcow")]
    &imgfmt_qcow::Qcow,
    #[cfg(feature = "luks")]
    &imgfmt_luks::Luks,
    #[cfg(feature = "iso")]
    &imgfmt_iso::Iso,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::QED,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::BOCHS,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::CLOOP,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::DMG,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::EWF,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::WIM,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::VMA,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::ZIP,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::SEVEN_ZIP,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::RAR,
    #[cfg(feature = "foreign")]
    &imgfmt_foreign::LZ4,
    #[cfg(feature = "ova")]
    &imgfmt_ova::OvaFormat { disk: &imgfmt_vmdk::Vmdk },
];

/// Everything that images come wrapped in and that this build can take off.
pub static WRAPPERS: &[&dyn Wrapper] = &[
    #[cfg(feature = "compressed")]
    &imgfmt_compressed::Gzip,
    #[cfg(feature = "compressed")]
    &imgfmt_compressed::Xz,
    #[cfg(feature = "compressed")]
    &imgfmt_compressed::Zstd,
    #[cfg(feature = "compressed")]
    &imgfmt_compressed::Bzip2,
    #[cfg(feature = "ova")]
    &imgfmt_ova::Ova,
    #[cfg(feature = "ova")]
    &imgfmt_ova::Tar,
];

/// What images call the format of the file that they build on: as QEMU does, which reads it there.
pub(crate) fn name_in_images(name: &str) -> &str {
    match name {
        "vhd" => "vpc",
        "iso" => "raw",
        other => other,
    }
}
