//! Tells the linker what a Node-API addon needs.

fn main() {
    // Among it `-z nodelete`: Node may unload the addons of a worker thread that ends, and threads of this one
    // may still run.
    napi_build::setup();
}
