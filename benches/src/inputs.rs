//! What the rows read: the disk, and conversions of it that qemu-img makes once.

use std::fs::rename;
use std::process::Command;

use crate::disk::RAW;
use crate::error::{Error, io};
use crate::measure::Setup;
use crate::{say, tools};

/// An input of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The disk itself.
    Raw,
    /// A VMDK of deflated grains, as in an OVA.
    StreamVmdk,
    /// A VMDK of plain grains.
    SparseVmdk,
    /// A qcow2 of plain clusters.
    PlainQcow2,
    /// A qcow2 of deflated clusters.
    ZlibQcow2,
    /// A qcow2 of zstd clusters.
    ZstdQcow2,
    /// A VHD of blocks.
    DynamicVhd,
    /// A VHD that is the disk and a footer.
    FixedVhd,
    /// A VHDX of blocks.
    Vhdx,
}

impl Input {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Raw,
        Self::StreamVmdk,
        Self::SparseVmdk,
        Self::PlainQcow2,
        Self::ZlibQcow2,
        Self::ZstdQcow2,
        Self::DynamicVhd,
        Self::FixedVhd,
        Self::Vhdx,
    ];

    /// How names of rows call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::StreamVmdk => "stream-vmdk",
            Self::SparseVmdk => "sparse-vmdk",
            Self::PlainQcow2 => "qcow2",
            Self::ZlibQcow2 => "zlib-qcow2",
            Self::ZstdQcow2 => "zstd-qcow2",
            Self::DynamicVhd => "dynamic-vhd",
            Self::FixedVhd => "fixed-vhd",
            Self::Vhdx => "vhdx",
        }
    }

    /// Whether the peer reads it on one thread, or reads what is not there.
    pub(crate) fn is_slow_for_the_peer(self) -> bool {
        matches!(self, Self::StreamVmdk | Self::SparseVmdk | Self::Vhdx)
    }

    /// Its file, in the folder of the disk.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Raw => RAW,
            Self::StreamVmdk => "stream.vmdk",
            Self::SparseVmdk => "sparse.vmdk",
            Self::PlainQcow2 => "plain.qcow2",
            Self::ZlibQcow2 => "zlib.qcow2",
            Self::ZstdQcow2 => "zstd.qcow2",
            Self::DynamicVhd => "dynamic.vhd",
            Self::FixedVhd => "fixed.vhd",
            Self::Vhdx => "disk.vhdx",
        }
    }

    /// Its format, as both programs call it.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::StreamVmdk | Self::SparseVmdk => "vmdk",
            Self::PlainQcow2 | Self::ZlibQcow2 | Self::ZstdQcow2 => "qcow2",
            Self::DynamicVhd | Self::FixedVhd => "vpc",
            Self::Vhdx => "vhdx",
        }
    }

    /// The options of `qemu-img convert` that make it.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Raw | Self::PlainQcow2 => &[],
            Self::StreamVmdk => &["-o", "subformat=streamOptimized"],
            Self::SparseVmdk => &["-o", "subformat=monolithicSparse"],
            Self::ZlibQcow2 => &["-c", "-W", "-o", "compression_type=zlib"],
            Self::ZstdQcow2 => &["-c", "-W", "-o", "compression_type=zstd"],
            Self::DynamicVhd => &["-o", "subformat=dynamic,force_size=on"],
            Self::FixedVhd => &["-o", "subformat=fixed,force_size=on"],
            Self::Vhdx => &["-o", "subformat=dynamic"],
        }
    }
}

/// Makes `input` unless it is there.
pub(crate) fn prepare(setup: &Setup, input: Input) -> Result<(), Error> {
    let file = setup.folder.join(input.file());
    if file.exists() {
        return Ok(());
    }
    say(&format!("making {}", file.display()))?;
    let part = setup.folder.join(format!("part.{}", input.file()));
    let mut command = Command::new(&setup.qemu_img);
    command.args(["convert", "-f", "raw", "-O", input.format()]).args(input.options());
    tools::run(command.arg(setup.folder.join(RAW)).arg(&part))?;
    rename(&part, &file).map_err(io(format!("cannot rename {}", part.display())))
}
