//! The same lines, given to `qemu-img` too.

mod change;
mod check;
mod compare;
mod convert;
mod create;
mod data_file;
mod faults;
mod info;
mod luks;
mod map;
mod nbd;
mod parallels;
mod states;
