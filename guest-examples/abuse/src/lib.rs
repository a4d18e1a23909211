//! What the hostile guests share: each attempt is a line, and one that works ends the program with 1.
use std::io;
use std::process::exit;

/// The argument at a position.
pub fn arg(at: usize) -> String {
    std::env::args().nth(at).unwrap_or_default()
}

/// A number among the arguments, or else a default.
pub fn number(at: usize, otherwise: u64) -> u64 {
    std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Prints `FAILED NAME: why` and ends the program with 1.
pub fn fail(name: &str, why: &str) -> ! {
    println!("FAILED {name}: {why}");
    exit(1)
}

/// A case that nobody knows: wrong arguments.
pub fn unknown(case: &str) -> ! {
    println!("no such case: {case:?}");
    exit(2)
}

/// What has to work, so that an attempt is one at all.
pub fn must<T>(name: &str, result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => fail(name, &format!("it should work: {}", describe(&e))),
    }
}

/// What has to be so.
pub fn holds(name: &str, is_so: bool, seen: &dyn std::fmt::Debug) {
    if is_so {
        println!("ok {name}");
    } else {
        fail(name, &format!("saw {seen:?}"))
    }
}

/// An attempt that has to be refused with one of these errnos (numbers of WASI's libc).
pub fn refused<T>(name: &str, result: io::Result<T>, errnos: &[i32]) {
    match result {
        Err(e) if e.raw_os_error().is_some_and(|errno| errnos.contains(&errno)) => println!("refused {name}"),
        Err(e) => fail(name, &format!("expected errno {errnos:?}, got {}", describe(&e))),
        Ok(_) => fail(name, &format!("expected errno {errnos:?}, it worked")),
    }
}

/// An error as text, with its number.
pub fn describe(e: &io::Error) -> String {
    format!("{:?} (errno {})", e.kind(), e.raw_os_error().map_or_else(|| "none".into(), |n| n.to_string()))
}

/// The last error of the C library, for a call that says so by -1.
pub fn checked(code: i32) -> io::Result<i32> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// A text for the C library.
///
/// # Errors
/// It holds a NUL.
pub fn c(text: &str) -> io::Result<std::ffi::CString> {
    Ok(std::ffi::CString::new(text)?)
}

/// Makes a symbolic link at `at` that says `target`.
pub fn symlink(target: &str, at: &str) -> io::Result<()> {
    let (target, at) = (c(target)?, c(at)?);
    // SAFETY: both are NUL-terminated strings that live through the call
    checked(unsafe { libc::symlink(target.as_ptr(), at.as_ptr()) }).map(drop)
}

/// As [`holds`], without a line where it is so: for what is checked a thousand times.
pub fn holds_quietly(name: &str, is_so: bool) {
    if !is_so {
        fail(name, "it is not so");
    }
}
