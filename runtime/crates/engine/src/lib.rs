//! wasmpod engine
