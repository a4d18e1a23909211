//! wasmpod wasi
