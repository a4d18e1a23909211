//! Prints what a program is given: arguments, environment (sorted by name) and current directory.
//!
//! WASI 0.2 tells a program where it starts (`initial-cwd`), though its libc begins at `/`; WASI 0.1 has no such call.
fn main() {
    for (i, arg) in std::env::args().enumerate() {
        println!("arg[{i}]={arg}");
    }
    let mut env: Vec<_> = std::env::vars().collect();
    env.sort();
    for (name, value) in env {
        println!("env {name}={value}");
    }
    match std::env::current_dir() {
        Ok(dir) => println!("cwd={}", dir.display()),
        Err(e) => println!("cwd error: {e}"),
    }
    #[cfg(target_env = "p2")]
    println!("initial-cwd={}", wasip2::cli::environment::initial_cwd().unwrap_or_else(|| "(none)".into()));
}
