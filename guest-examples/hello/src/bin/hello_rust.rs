//! Says hello and for which WASI it was built.
fn main() {
    let target = if cfg!(target_env = "p1") { "wasm32-wasip1" } else { "wasm32-wasip2" };
    println!("Hello from Rust on {target}");
}
