//! Proof of the verbs that look into images and change them: over every format that can, against a vector of bytes, and with
//! another program as the judge where it reads the format.

mod bench;
mod bitmap;
mod check;
mod commit;
mod compact;
mod create;
mod dd;
mod holes;
mod locks;
mod rebase;
mod resize;
mod salvage;
mod sequences;
mod snapshot;
mod support;
