//! Every command line that OpenStack's and KubeVirt's services run, and what they read of the answer.

mod cdi;
mod cinder;
mod glance;
mod ironic;
mod nova;
