//! From the command line's inputs to objects: files, directories of them, standard input.
//!
//! Owns finding and reading. Decoding is `api`'s.

use std::io::Read;
use std::path::{Path, PathBuf};

use wasmpod_api::{Decoded, Diagnostic, MAX_INPUT_BYTES, check_duplicate_objects, decode};

/// The name of a file that is standard input.
const STDIN: &str = "<stdin>";
/// The endings of manifests in a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// The most files taken from a directory: more is a mistake in the path.
const MAX_FILES: usize = 1000;

/// All that the inputs hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects, in order, each with the directory that its images are relative to.
    pub objects: Vec<(Decoded, PathBuf)>,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads all inputs.
///
/// # Errors
/// The lines to show, one per problem, of all inputs.
pub fn read(inputs: &[PathBuf]) -> Result<Manifests, Vec<String>> {
    let mut problems = Vec::new();
    let mut all = Manifests::default();
    for source in sources(inputs, &mut problems) {
        let bytes = match source.read() {
            Ok(bytes) => bytes,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        match decode(&source.name, &bytes) {
            Ok(manifest) => {
                all.warnings.extend(manifest.warnings);
                all.objects.extend(manifest.objects.into_iter().map(|object| (object, source.base.clone())));
            }
            Err(diagnostics) => problems.extend(diagnostics.to_string().lines().map(str::to_owned)),
        }
    }
    if problems.is_empty()
        && let Err(diagnostics) = check_duplicate_objects(all.objects.iter().map(|(object, _)| object))
    {
        problems.extend(diagnostics.to_string().lines().map(str::to_owned));
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// One file.
struct Source {
    /// As the user named it.
    name: String,
    /// None for standard input.
    path: Option<PathBuf>,
    /// What images are relative to.
    base: PathBuf,
}

impl Source {
    fn file(path: &Path) -> Self {
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        Self { name: path.display().to_string(), path: Some(path.to_owned()), base }
    }

    /// At most one byte more than is allowed, which decoding refuses.
    fn read(&self) -> Result<Vec<u8>, String> {
        let limit = MAX_INPUT_BYTES as u64 + 1;
        let mut bytes = Vec::new();
        let read = match &self.path {
            None => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
            Some(path) => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
        };
        read.map(|_| bytes).map_err(|error| format!("{}: {error}", self.name))
    }
}

fn sources(inputs: &[PathBuf], problems: &mut Vec<String>) -> Vec<Source> {
    let mut out = Vec::new();
    let mut stdin = false;
    for input in inputs {
        if input.as_os_str() == "-" {
            if std::mem::replace(&mut stdin, true) {
                problems.push(format!("{STDIN}: standard input can be read only once"));
            } else {
                out.push(Source { name: STDIN.to_owned(), path: None, base: PathBuf::new() });
            }
        } else if input.is_dir() {
            match files_of(input) {
                Ok(files) => out.extend(files.iter().map(|path| Source::file(path))),
                Err(problem) => problems.push(problem),
            }
        } else {
            out.push(Source::file(input));
        }
    }
    out
}

/// The manifests of a directory, in the order of their names.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = dir.display();
    let failed = |error: std::io::Error| format!("{shown}: {error}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    match files.len() {
        0 => Err(format!("{shown}: no manifest (*.yaml, *.yml or *.json) in this directory")),
        n if n > MAX_FILES => Err(format!("{shown}: {n} manifests in this directory; at most {MAX_FILES} are taken")),
        _ => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: NAME\nspec:\n  containers:\n  - name: c\n    image: ./a.wasm\n";

    fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_names() {
        let temp = tempfile::tempdir().unwrap();
        write(temp.path(), "b.yml", &POD.replace("NAME", "two"));
        write(temp.path(), "a.yaml", &POD.replace("NAME", "one"));
        write(temp.path(), "notes.txt", "not: a manifest");
        let all = read(&[temp.path().to_owned()]).unwrap();
        let names: Vec<_> = all.objects.iter().map(|(decoded, _)| decoded.object.name().to_owned()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(all.objects[0].1, temp.path());
    }

    #[test]
    fn all_problems_of_all_files_are_told() {
        let temp = tempfile::tempdir().unwrap();
        let bad = write(temp.path(), "bad.yaml", "kind: Nope\n");
        let missing = temp.path().join("missing.yaml");
        let empty = temp.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let problems = read(&[bad.clone(), missing.clone(), empty]).unwrap_err();
        assert!(problems.iter().any(|line| line.starts_with(&format!("{}:1:", bad.display()))), "{problems:?}");
        assert!(problems.iter().any(|line| line.starts_with(&format!("{}: ", missing.display()))), "{problems:?}");
        assert!(problems.iter().any(|line| line.contains("no manifest (*.yaml")), "{problems:?}");
    }

    #[test]
    fn one_pod_in_two_files_is_a_problem() {
        let temp = tempfile::tempdir().unwrap();
        let a = write(temp.path(), "a.yaml", &POD.replace("NAME", "same"));
        let b = write(temp.path(), "b.yaml", &POD.replace("NAME", "same"));
        let problems = read(&[a, b]).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("duplicate Pod \"default/same\""), "{problems:?}");
    }

    #[test]
    fn standard_input_is_read_once() {
        let mut problems = Vec::new();
        assert_eq!(sources(&["-".into(), "-".into()], &mut problems).len(), 1);
        assert_eq!(problems.len(), 1);
    }
}
