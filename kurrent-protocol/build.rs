//! Types and services from `proto/`, without protoc: protox reads the files, tonic writes the code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["streams.proto", "gossip.proto", "serverfeatures.proto", "persistent.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
