//! The options of a new image.

use imgfmt_core::OptionSpec;

use crate::crypto::options as crypto;

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "compat",
        values: "0.10|1.1",
        default: "1.1",
        help: "version of the format: 0.10 (or v2) for QEMU before 1.1, 1.1 (or v3) for any since",
    },
    OptionSpec {
        name: "cluster_size",
        values: "SIZE",
        default: "64k",
        help: "bytes that are allocated as one, a power of two from 512 to 2M",
    },
    OptionSpec {
        name: "extended_l2",
        values: "on|off",
        default: "off",
        help: "divide clusters of 16k or more into 32 subclusters, for QEMU 5.2 and later",
    },
    OptionSpec {
        name: "data_file",
        values: "NAME",
        default: "",
        help: "put guest data into this file beside the image, which then holds tables alone",
    },
    OptionSpec {
        name: "data_file_raw",
        values: "on|off",
        default: "off",
        help: "keep the data file a raw disk that can be read without the image",
    },
    OptionSpec { name: "refcount_bits", values: "1|2|4|8|16|32|64", default: "16", help: "width of a reference count" },
    OptionSpec {
        name: "lazy_refcounts",
        values: "on|off",
        default: "off",
        help: "let QEMU write reference counts late, and repair them after a crash",
    },
    OptionSpec {
        name: "compression_type",
        values: "zlib|zstd",
        default: "zlib",
        help: "how compressed clusters are compressed",
    },
    OptionSpec {
        name: "compression_level",
        values: "NUM",
        default: "3",
        help: "1 to 12 for zlib, 1 to 22 for zstd; clusters that are compressed already are compressed anew",
    },
    OptionSpec {
        name: "compression_window",
        values: "512|1k|2k|4k|8k|16k|32k",
        default: "32k",
        help: "window of zlib streams; 4k for readers that insist on QEMU's own",
    },
    OptionSpec {
        name: "preallocation",
        values: "off|metadata|falloc|full",
        default: "off",
        help: "give every cluster its place; falloc takes the space, full writes zeros",
    },
    crypto::FORMAT,
    crypto::KEY_SECRET,
    crypto::CIPHER_ALG,
    crypto::CIPHER_MODE,
    crypto::IVGEN_ALG,
    crypto::IVGEN_HASH_ALG,
    crypto::HASH_ALG,
    crypto::ITER_TIME,
    crypto::ITERATIONS,
    crypto::ENCRYPTION,
];
