//! wasmpod node
