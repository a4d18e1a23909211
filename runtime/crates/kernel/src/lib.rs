//! wasmpod kernel
