//! One finding of validation, as `field.Error` of apimachinery words it.

use std::fmt;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::path::Path;
use crate::quantity::Quantity;

/// What kind of finding; the API server's `reason` of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueTooLong`
    TooLong,
}

impl ErrorKind {
    /// The name in `status.details.causes[].reason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What kind.
    pub kind: ErrorKind,
    /// The field it is about, in Kubernetes' notation.
    pub field: String,
    /// The message of the cause, without the field: `Required value`, `Invalid value: "x": …`.
    pub message: String,
    /// The path of what it is really about, where Kubernetes names only something around it (all labels, not the one).
    pub place: Option<String>,
}

impl FieldError {
    /// The most exact path known: where to point at.
    #[must_use]
    pub fn place(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.field)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A value as Go shows it in a message.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

impl Shown for str {
    fn shown(&self) -> String {
        quote(self)
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        quote(self)
    }
}

impl Shown for i32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Quantity {
    fn shown(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Shown for IntOrString {
    fn shown(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::String(text) => quote(text),
        }
    }
}

/// A value that is shown as the JSON of Go's struct.
pub(super) struct Verbatim(pub String);

impl Shown for Verbatim {
    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// Characters of a value that a message shows; the API server shows all, but nobody reads more.
const SHOWN_MAX: usize = 1024;

/// Go's `%q` for what manifests hold: control characters are escaped, other text is left alone.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN_MAX) + 2);
    out.push('"');
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_MAX {
            out.push('…');
            break;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Findings kept of one object. Enough for any screen, and so that a hostile object costs no more to refuse than to read.
pub const MAX_FINDINGS: usize = 200;

/// What is wrong with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    /// The findings, in the order the API server looks for them; at most [`MAX_FINDINGS`].
    pub items: Vec<FieldError>,
    /// How many more there are.
    pub omitted: usize,
}

impl FieldErrors {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Errors(pub FieldErrors);

impl Errors {
    fn push(&mut self, kind: ErrorKind, path: &Path<'_>, message: impl FnOnce() -> String) {
        if self.0.items.len() < MAX_FINDINGS {
            self.0.items.push(FieldError { kind, field: path.to_string(), message: message(), place: None });
        } else {
            self.0.omitted = self.0.omitted.saturating_add(1);
        }
    }

    /// Findings up to now, those not kept included.
    pub fn len(&self) -> usize {
        self.0.items.len() + self.0.omitted
    }

    /// Says of the findings since there were `before` of them that they are about `path`.
    pub fn place(&mut self, before: usize, path: &Path<'_>) {
        for error in self.0.items.iter_mut().skip(before) {
            error.place = Some(path.to_string());
        }
    }

    pub fn required(&mut self, path: &Path<'_>, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.push(ErrorKind::Required, path, || format!("Required value{colon}{detail}"));
    }

    pub fn invalid<T: Shown + ?Sized>(&mut self, path: &Path<'_>, value: &T, detail: impl fmt::Display) {
        self.push(ErrorKind::Invalid, path, || format!("Invalid value: {}: {detail}", value.shown()));
    }

    /// One finding for each message of a check of a name.
    pub fn invalid_all<T: Shown + ?Sized>(&mut self, path: &Path<'_>, value: &T, messages: Vec<String>) {
        for message in messages {
            self.invalid(path, value, message);
        }
    }

    pub fn duplicate(&mut self, path: &Path<'_>, value: &str) {
        self.push(ErrorKind::Duplicate, path, || format!("Duplicate value: {}", quote(value)));
    }

    pub fn not_found(&mut self, path: &Path<'_>, value: &str) {
        self.push(ErrorKind::NotFound, path, || format!("Not found: {}", quote(value)));
    }

    pub fn not_found_because(&mut self, path: &Path<'_>, value: &str, detail: &str) {
        self.push(ErrorKind::NotFound, path, || format!("Not found: {}: {detail}", quote(value)));
    }

    pub fn forbidden(&mut self, path: &Path<'_>, detail: &str) {
        self.push(ErrorKind::Forbidden, path, || format!("Forbidden: {detail}"));
    }

    pub fn too_long(&mut self, path: &Path<'_>, limit: usize) {
        self.push(ErrorKind::TooLong, path, || format!("Too long: may not be more than {limit} bytes"));
    }

    pub fn too_many(&mut self, path: &Path<'_>, limit: usize) {
        self.push(ErrorKind::TooLong, path, || format!("Too long: may not have more than {limit} items"));
    }

    pub fn not_supported(&mut self, path: &Path<'_>, value: &str, supported: &[&str]) {
        self.push(ErrorKind::NotSupported, path, || {
            let list = supported.iter().map(|s| quote(s)).collect::<Vec<_>>().join(", ");
            format!("Unsupported value: {}: supported values: {list}", quote(value))
        });
    }

    /// [`Self::not_supported`] unless the value is one of those.
    pub fn one_of(&mut self, path: &Path<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.not_supported(path, value, supported);
        }
    }

    pub fn non_negative(&mut self, path: &Path<'_>, value: i64) {
        if value < 0 {
            self.invalid(path, &value, "must be greater than or equal to 0");
        }
    }
}
