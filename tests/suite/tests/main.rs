//! The tests, one file per subject; `wasmpod_suite` has what they share.

mod invalid;
mod layout;
mod pods;
