//! Other readers find the bytes that we write, and we find those that other writers wrote.
//!
//! | module | what holds |
//! |---|---|
//! | [`features`] | a new image has the features that were asked for, as `qemu-img info` sees them |
//! | [`passed`] | compressed bodies move from image to image as they are |
//! | [`read`] | what `qemu-img` writes reads to the same bytes here, and in libvmdk and libqcow |
//! | [`window`] | streams for a small window need no larger one |
//! | [`written`] | `qemu-img` and libqcow find nothing wrong with what is written here, and the same bytes |

mod features;
mod passed;
mod read;
mod window;
mod written;
