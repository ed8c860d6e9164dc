//! Proof that images keep their bytes on every way that this build knows, with other programs as judges.
//!
//! One program, so that it links once and its tests share the cores. What is missing on a machine is skipped,
//! and said; `docs/ci.md` names the variables that make it a failure instead.
//!
//! | module | what holds |
//! |---|---|
//! | [`corpus`] | images of other producers convert to their known content, or are refused |
//! | [`oracles`] | other readers find our bytes, and we find those of other writers |
//! | [`matrix`] | everything that can be read converts to everything that can be written |
//! | [`samples`] | every valid image of the repository converts to its content |
//! | [`copy`] | it makes no difference to the guest who copies |
//! | [`faults`] | errors, full disks, panics and cancellations end in order and leave nothing |

mod copy;
mod corpus;
mod faults;
mod matrix;
mod oracles;
mod samples;
mod support;
