//! Generates messages and clients from descriptors that run.sh has made, so that no protoc is needed.

use prost::Message;

fn main() {
    for variable in ["PRISM_DESCRIPTORS", "GRPC_DESCRIPTORS"] {
        println!("cargo::rerun-if-env-changed={variable}");
        let file = std::env::var(variable).expect(variable);
        println!("cargo::rerun-if-changed={file}");
        let bytes = std::fs::read(&file).expect("descriptors");
        let descriptors = prost_types::FileDescriptorSet::decode(bytes.as_slice()).expect("descriptors");
        tonic_prost_build::configure()
            .build_server(false)
            .compile_fds(descriptors)
            .expect("generate");
    }
}
