//! wasmpod sim
