//! What the file guests share: numbered checks that print what they did, and stop at the first that fails.
use std::fs;
use std::io;
use std::path::Path;
use std::process::exit;

/// Prints `ok NAME` when `result` is fine, else `FAILED NAME: why` and ends the program with 1.
pub fn check<T>(name: &str, result: io::Result<T>) -> T {
    match result {
        Ok(value) => {
            println!("ok {name}");
            value
        }
        Err(e) => fail(name, &describe(&e)),
    }
}

/// As `check`, for a condition.
pub fn check_that(name: &str, holds: bool, seen: &dyn std::fmt::Debug) {
    if holds {
        println!("ok {name}");
    } else {
        fail(name, &format!("saw {seen:?}"))
    }
}

/// Checks that a call fails with this errno (numbers of WASI's libc).
pub fn check_errno<T>(name: &str, result: io::Result<T>, errno: i32) {
    match result {
        Err(e) if e.raw_os_error() == Some(errno) => println!("ok {name}: {:?}", e.kind()),
        Err(e) => fail(name, &format!("expected errno {errno}, got {}", describe(&e))),
        Ok(_) => fail(name, &format!("expected errno {errno}, it succeeded")),
    }
}

fn fail(name: &str, why: &str) -> ! {
    println!("FAILED {name}: {why}");
    exit(1)
}

fn describe(e: &io::Error) -> String {
    format!("{:?} (errno {})", e.kind(), e.raw_os_error().map_or_else(|| "none".into(), |n| n.to_string()))
}

/// Creates a symbolic link at `at` that says `target`.
pub fn symlink(target: &str, at: &Path) -> io::Result<()> {
    let target = std::ffi::CString::new(target)?;
    let at = std::ffi::CString::new(at.to_string_lossy().as_bytes())?;
    // SAFETY: both are NUL-terminated strings that live through the call
    match unsafe { libc::symlink(target.as_ptr(), at.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The names in a directory, sorted.
pub fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = fs::read_dir(dir)?
        .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Prints files as `== PATH` and their text, directories as a sorted list and then their entries; links say where to.
pub fn show(path: &Path) {
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(e) => return println!("== {}: {:?}", path.display(), e.kind()),
    };
    if kind.is_symlink() {
        match fs::read_link(path) {
            Ok(target) => println!("== {} -> {}", path.display(), target.display()),
            Err(e) => println!("== {}: {:?}", path.display(), e.kind()),
        }
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => match names(path) {
            Ok(names) => {
                // the folders of a projected volume are named by the time; what they hold is seen through the links beside
                let names: Vec<_> = names.into_iter().filter(|n| !n.starts_with("..")).collect();
                println!("== {}/: {}", path.display(), names.join(" "));
                names.iter().for_each(|n| show(&path.join(n)));
            }
            Err(e) => println!("== {}/: {:?}", path.display(), e.kind()),
        },
        Ok(_) => match fs::read(path) {
            Ok(bytes) => {
                // /proc/self/cmdline and environ end each word with a NUL
                let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                println!("== {}", path.display());
                print!("{text}");
                if !text.is_empty() && !text.ends_with('\n') {
                    println!();
                }
            }
            Err(e) => println!("== {}: {:?}", path.display(), e.kind()),
        },
        Err(e) => println!("== {}: {:?}", path.display(), e.kind()),
    }
}
