//! Tells the linker what a Node-API addon needs.

fn main() {
    napi_build::setup();
    // Node unloads the addons of a worker thread that ends; the threads of this one may still run.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
