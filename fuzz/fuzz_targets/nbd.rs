//! Nothing that an NBD server sends hurts a client, and nothing that a client sends hurts a server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::talk_to_nbd_client(bytes);
    imgfmt_fuzz::talk_to_nbd_server(bytes);
});
