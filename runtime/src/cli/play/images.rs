//! What an `image:` means here: the path of a `.wasm` file or of a directory, relative to the manifest. All are looked at before
//! anything is started, so that a wrong path is an error with a line, not a pod that waits.

use std::io::Read;
use std::path::{Path, PathBuf};

use wasmpod_cri::ImageSource;

/// The first bytes of every WebAssembly binary.
const MAGIC: &[u8; 4] = b"\0asm";

/// Finds the image that `reference` names, seen from `base`.
///
/// # Errors
/// The sentence for the user.
pub fn resolve(reference: &str, base: &Path) -> Result<ImageSource, String> {
    if !is_path(reference) {
        return Err(format!(
            "image {reference:?} is not a path: this version of wasmpod runs the path of a .wasm file or of a directory, such as ./app.wasm"
        ));
    }
    let path = base.join(reference);
    let shown = || path.display().to_string();
    let metadata = std::fs::metadata(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("image {reference:?}: no such file or directory: {}", shown()),
        _ => format!("image {reference:?}: {}: {error}", shown()),
    })?;
    if metadata.is_dir() {
        return Ok(ImageSource::Directory(path));
    }
    if !metadata.is_file() {
        return Err(format!("image {reference:?}: {} is neither a file nor a directory", shown()));
    }
    check_magic(&path).map_err(|problem| format!("image {reference:?}: {}: {problem}", shown()))?;
    Ok(ImageSource::WasmFile(path))
}

/// A path starts with `.`, `..` or `/`, or ends in `.wasm`; anything else is the name of an image somewhere.
fn is_path(reference: &str) -> bool {
    let absolute = Path::new(reference).is_absolute();
    let dotted =
        matches!(reference, "." | "..") || ["./", "../", ".\\", "..\\"].iter().any(|p| reference.starts_with(p));
    absolute || dotted || reference.ends_with(".wasm")
}

fn check_magic(path: &PathBuf) -> Result<(), String> {
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(|error| error.to_string())?;
    if start == MAGIC {
        Ok(())
    } else {
        Err("not a WebAssembly program (it does not start with \"\\0asm\")".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names() {
        for path in ["./a.wasm", "../x", "a.wasm", "dir/a.wasm", ".", "./rootfs", "/abs"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["busybox", "docker.io/library/nginx:1.25", "python:3", "a/b", ".hidden"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn what_is_found_and_what_is_not() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a.wasm"), b"\0asm\x01\0\0\0").unwrap();
        std::fs::write(temp.path().join("b.wasm"), b"#!/bin/sh").unwrap();
        let of = |reference: &str| resolve(reference, temp.path());
        assert_eq!(of("a.wasm"), Ok(ImageSource::WasmFile(temp.path().join("a.wasm"))));
        assert_eq!(of("./"), Ok(ImageSource::Directory(temp.path().join("./"))));
        assert!(of("b.wasm").unwrap_err().contains("not a WebAssembly program"));
        assert!(of("./c.wasm").unwrap_err().starts_with("image \"./c.wasm\": no such file or directory: "));
        assert!(of("busybox").unwrap_err().starts_with("image \"busybox\" is not a path: "));
    }
}
