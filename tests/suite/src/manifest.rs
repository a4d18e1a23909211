//! Pods for tests, as JSON, which is a form of manifest too: paths need no quoting of ours.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A container that runs a guest.
pub fn container(name: &str, guest: &str, args: &[&str]) -> Value {
    json!({"name": name, "image": crate::guest(guest), "args": args})
}

/// A pod that restarts nothing.
pub fn pod(name: &str, containers: &[Value]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": containers},
    })
}

/// `value` with `more`'s fields, at a path of names such as `spec`.
///
/// # Panics
/// There is no object at the path.
#[must_use]
pub fn with(mut value: Value, path: &str, more: &Value) -> Value {
    let pointer = if path.is_empty() { String::new() } else { format!("/{}", path.replace('.', "/")) };
    let target = value.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("an object at the path");
    for (name, field) in more.as_object().expect("fields to add") {
        target.insert(name.clone(), field.clone());
    }
    value
}

/// A folder with manifests of a test.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    /// The host has no place for temporary files.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and says where it is.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        let parent = path.parent().expect("a file is in a folder");
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, bytes)).expect("a file can be written");
        path
    }

    /// Writes objects as one manifest, `name.json`: a List if there are several.
    pub fn manifest(&self, name: &str, objects: &[Value]) -> PathBuf {
        let text = match objects {
            [one] => one.to_string(),
            many => json!({"apiVersion": "v1", "kind": "List", "items": many}).to_string(),
        };
        self.write(&format!("{name}.json"), text)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}
