//! wasmpod api
